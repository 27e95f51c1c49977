"""What may not be read or written: one sentence with the path and what to do, status 2."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablations.cli.refusals import refusal
from ablations.execution.isolation import NOT_ALLOWED, SIGKILL, status_of
from ablations.runs.plan import plan
from ablations.runs.run_folder import NO_ROOM, forbidden_error
from ablations.studies.study import load_study
from smoe.atomic import write_atomic
from smoe.corpora import open_corpus
from tests.ablations.conftest import ROOT

SMALL = [
    "--set", "train.steps=2", "--set", "test.per_snr=1", "--set", "test.clean=0",
    "--only", "dense", "--jobs", "1",
]  # fmt: skip
STRANGER = "54321"
as_stranger = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root may become another user",
)


def ran(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command line as a user who may read everything, since Python may be root's."""
    stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    stranger += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return subprocess.run(
        [*stranger, sys.executable, str(ROOT / "run_all.py"), *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder of root's that everybody reaches, unlike those of pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def give(folder: Path) -> None:
    """Make a folder and all that is in it the stranger's."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, int(STRANGER), int(STRANGER))


def assert_said(finished: subprocess.CompletedProcess[str], place: Path) -> None:
    assert finished.returncode == 2, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    *others, sentence = finished.stderr.strip().splitlines()
    assert not [line for line in others if "Errno" in line]  # matplotlib speaks of its cache
    assert f"{place} " in sentence or f"{place}:" in sentence, sentence
    assert "change its permissions" in sentence


@as_stranger
def test_a_run_whose_folder_is_another_users(prepared: Path, reachable: Path):
    """Its process ends, the study says why; the run has not failed and is not tried thrice."""
    results = reachable / "results"
    shutil.copytree(prepared, results / ".corpora")
    (results / ".runs").mkdir()
    study = load_study("smoke", None, [each for each in SMALL if "=" in each])
    corpus = open_corpus(study.data, results / ".corpora")
    give(results)
    run = next(r for r in plan(study, results, corpus.data_hash) if r.cell == "dense")
    run.folder.path.mkdir(parents=True)  # root's
    finished = ran("run", "--study", "smoke", "--results", results, *SMALL)
    assert_said(finished, run.folder.path)
    assert not list(run.folder.path.iterdir())


@as_stranger
def test_a_report_whose_folder_is_another_users(reachable: Path):
    bundle = Path(shutil.copytree(ROOT / "results" / "quick", reachable / "quick"))
    assert_said(ran("report", "--study", "quick", "--results", reachable), bundle / "tables")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_it_is_no_exit_status_of_something_else(number: int):
    assert status_of(OSError(number, "no")) == NOT_ALLOWED
    assert NOT_ALLOWED not in {*NO_ROOM, 0, 1, SIGKILL}
    assert status_of(OSError(errno.ENOSPC, "no")) == errno.ENOSPC
    assert status_of(OSError(errno.ENOENT, "no")) is None


def test_the_place_whose_permissions_count_is_named(tmp_path: Path):
    """A file that may not be made is not there: its folder is what may not be written."""
    missing = tmp_path / "a" / "b.md"
    error = PermissionError(errno.EACCES, "Permission denied", str(missing))
    assert refusal(error).startswith(f"{tmp_path}: Permission denied; change its permissions")
    present = tmp_path / "c.md"
    present.touch()
    error = PermissionError(errno.EPERM, "Operation not permitted", str(present))
    assert refusal(error).startswith(f"{present}: Operation not permitted; change its")


def test_a_file_is_named_as_people_know_it():
    """And not by the passing name under which it is written."""
    with pytest.raises(OSError) as caught:
        write_atomic(Path("/proc/self/run.json"), b"")
    assert caught.value.filename == "/proc/self/run.json"


def test_what_nobody_forbids_is_looked_up_in_the_log(tmp_path: Path):
    said = str(forbidden_error(tmp_path, tmp_path))
    assert str(tmp_path / "log.txt") in said and "permissions" in said
