"""Packages that are not installed: one sentence that names them, before any work, status 2."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ablations.cli.packages import REPORTING, TRAINING, refused_import
from ablations.cli.refusals import refusal
from tests.ablations.conftest import ROOT, run_here
from tests.without import run_without

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMAND_LINE = {"pydantic", "typer", "rich"}  # without which there is no command line to say it
CORPORA = {"h5py", "espeakng-loader", "pyroomacoustics"}  # said by those that need them


def test_what_is_asked_for_is_what_the_project_depends_on():
    dependencies = {re.split("[=><]", each)[0] for each in PROJECT["dependencies"]}
    assert {*TRAINING, *REPORTING} == dependencies - COMMAND_LINE - CORPORA


@pytest.mark.parametrize("name", [*TRAINING, *REPORTING])
def test_a_study_is_refused_before_anything_is_prepared(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, name, None)  # as Python itself notes a missing module
    finished = run_here("run", "--study", "smoke", "--results", tmp_path)
    assert finished.returncode == 2
    assert f"The package {name} is not installed; pip install {name}" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


# Commands that import a package only when they need it.
LAZY = {
    "matplotlib": ["report", "--study", "quick", "--results", "COPY"],
    "mlflow": ["ui", "--study", "quick", "--results", "COPY", "--port", "0"],
    "pesq": ["bench", "--quick", "--results", "COPY"],
}


@pytest.mark.parametrize("name", LAZY)
def test_any_other_command_says_it_as_well(name: str, tmp_path: Path):
    bundle = tmp_path / "quick"
    bundle.mkdir()
    for path in (ROOT / "results" / "quick").glob("*.*"):
        (bundle / path.name).write_bytes(path.read_bytes())
    arguments = [str(tmp_path) if each == "COPY" else each for each in LAZY[name]]
    code = f"""
import contextlib, io
sys.argv = {["run_all.py", *arguments]!r}
import run_all
said = io.StringIO()
with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
    try:
        run_all.entry()
    except SystemExit as end:
        status = end.code
print(status, said.getvalue())
"""
    said = run_without([name], code)
    assert said.strip() == f"2 Error: The package {name} is not installed; pip install {name}"


def test_a_package_that_cannot_be_loaded_is_named_with_the_reason():
    error = ImportError("libfoo.so: cannot open\nshared object", name="soxr.soxr_ext")
    assert refusal(error) == (
        "The package soxr cannot be used (libfoo.so: cannot open shared object); "
        "pip install --force-reinstall soxr"
    )


def test_a_corpus_that_asks_for_the_version_of_a_missing_package_names_it():
    """As the embedded one does of its voices and rooms, before it makes them."""
    with pytest.raises(metadata.PackageNotFoundError) as caught:
        metadata.version("no-such-voices")
    assert refusal(caught.value) == (
        "The package no-such-voices is not installed; pip install no-such-voices"
    )


def test_extras_are_installed_as_such():
    assert refusal(ModuleNotFoundError("no", name="ray")).endswith('-e ".[cluster]"')
    assert refusal(ModuleNotFoundError("no", name="submitit")).endswith('-e ".[slurm]"')


def test_a_fault_of_the_suite_itself_stays_one():
    error = ImportError("cannot import name", name="smoe.config")
    assert refused_import(error) is None
    with pytest.raises(ImportError):
        refusal(error)
