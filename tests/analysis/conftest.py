"""Simulated studies shared by the tests: written once, copied where a test changes them."""

import shutil
from pathlib import Path

import pytest

from analysis.bundle import Bundle
from analysis.load import load_bundle
from tests.analysis.simulate import FULL, QUICK, Plan, write_bundle

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


@pytest.fixture
def folder(small_folder, tmp_path) -> Path:
    """A copy of the small study that a test may damage."""
    return Path(shutil.copytree(small_folder, tmp_path / "small"))
