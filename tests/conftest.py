"""What all tests share; the GPU's kernels are tested on the processor, by Triton's interpreter."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, so before everything else


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
