"""What all tests share; the GPU's kernels are tested on the processor, by Triton's interpreter."""

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# Read when libraries are imported, so before everything else.
os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' processes fill the cores already
TESTS = Path(__file__).parent
# In this order, so that no process is left alone with a long file at the end; the others follow.
# The first makes the smoke study, on which others would only wait: they come later.
LONGEST = (
    "ablations/test_smoke.py",
    "smoe/reference/test_network.py",
    "analysis/report/test_build.py",
    "smoe/ops/fused/test_fused.py",
    "smoe/training/test_train.py",
    "ablations/bench/test_gpu.py",
    "ablations/cli/test_terminal.py",
    "ablations/runs/test_claims.py",
    "analysis/report/test_environment.py",
    "ablations/execution/test_runner.py",
    "smoe/schema/test_fuzz.py",
    "ablations/test_nameless.py",
    "ablations/bench/test_emulation.py",
    "smoe/audio/test_walking.py",
    "smoe/corpora/test_memory.py",
    "smoe/ops/fused/test_narrow_conv.py",
    "ablations/bench/test_benchmark.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    place = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Let garbage collections pass over what was imported: a bench asks for one after each part."""
    gc.freeze()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first of pytest's processes to ask for it has made, for all."""
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, complete = shared / name, shared / f"{name}.complete"
    with FileLock(shared / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed on the way
            make(folder)
            complete.touch()
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the tiny embedded corpus; to be copied, since others use it, too."""
    from smoe.corpora import open_corpus

    return made_once(tmp_path_factory, "tiny corpus", lambda f: open_corpus("synthetic:tiny", f))
