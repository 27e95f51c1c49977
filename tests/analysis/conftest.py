"""Simulated studies shared by the tests: written once, copied where a test changes them."""

import shutil
from pathlib import Path

import pytest

from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_bundle
from tests.analysis.simulate import FULL, QUICK, Plan, write_bundle
from tests.conftest import made_once
from tests.without import run_without

SMALL = ["dense", "dense-macs", "shuffled-labels", "uniform", "--B--.multi.supervised.global", FULL]


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory) -> Path:
    plan = Plan(SMALL, seeds=(0, 1, 2), per_condition=12, clean=4, counterfactual_per_condition=6)
    return write_bundle(tmp_path_factory.mktemp("studies") / "small", plan)


@pytest.fixture(scope="session")
def small(small_folder) -> Bundle:
    return load_bundle(small_folder)


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory) -> Path:
    plan = Plan(QUICK, seeds=(0,), per_condition=20, clean=6)
    return write_bundle(tmp_path_factory.mktemp("studies") / "quick", plan)


@pytest.fixture(scope="session")
def quick(quick_folder) -> Bundle:
    return load_bundle(quick_folder)


@pytest.fixture(scope="session")
def reported(tmp_path_factory, quick_folder) -> Path:
    """The quick study with its report, built in a process that cannot import torch or the engine.

    Of `smoe` it may import the schema of bundles only.
    """

    def make(folder: Path) -> None:
        bundle = shutil.copytree(quick_folder, folder / "quick")
        code = (
            "from pathlib import Path\nfrom analysis.report.build import build_report\n"
            f"summary = build_report(Path({str(bundle)!r}))\n"
            "import sys\n"
            "own = {n for n, m in sys.modules.items() if n.startswith('smoe.') and m is not None}\n"
            "print(*summary.skipped, *(n for n in own if not n.startswith('smoe.schema')))"
        )
        blocked = ("torch", "torchaudio", "mlflow", "ablations")
        assert run_without(blocked, code).split() == ["levels"]  # of a study that varies settings

    return made_once(tmp_path_factory, "report", make) / "quick"


@pytest.fixture
def folder(small_folder, tmp_path) -> Path:
    """A copy of the small study that a test may damage."""
    return Path(shutil.copytree(small_folder, tmp_path / "small"))
