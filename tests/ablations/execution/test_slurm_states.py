"""Slurm's own words: a refusal is one sentence, and each way to end is told from the others.

The commands of Slurm are stand-ins; submitit, which calls and reads them, is the real one.
"""

import os
import stat
from pathlib import Path

import pytest

from ablations.execution.resources import Means
from ablations.execution.slurm import slurm_attempts
from ablations.execution.worker import Job
from ablations.runs.run_folder import RunFolder
from smoe.config import RunConfig
from smoe.errors import UserError

pytest.importorskip("submitit", reason="submitit is not installed (the extra slurm)")

REFUSES = "#!/bin/sh\necho 'sbatch: error: invalid partition specified: nowhere' >&2\nexit 1\n"
ACCEPTS = "#!/bin/sh\necho 'Submitted batch job 12'\n"
ACCOUNTS = "#!/bin/sh\nprintf 'JobID|State|NodeList\\n12|{state}|node1\\n'\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = RunFolder(tmp_path / "results" / ".runs" / "0123456789abcdef" / "0")
    folder.path.mkdir(parents=True)
    return Job(
        folder=folder, cell="dense", config=RunConfig(data_hash="d"), seed=0,
        corpus_folder=tmp_path, git_commit="", runner=("host", os.getpid()),
    )  # fmt: skip


def slurm(tmp_path: Path, monkeypatch, sbatch: str, state: str = "RUNNING") -> None:
    from submitit.slurm.slurm import SlurmJob

    SlurmJob.watcher.clear()  # it remembers jobs by their numbers
    monkeypatch.setattr(SlurmJob.watcher, "_delay_s", 0.01)
    monkeypatch.setattr("ablations.execution.slurm.REQUEUE_S", 0)
    monkeypatch.setattr(SlurmJob, "_results_timeout_s", 0)
    commands = {"sbatch": sbatch, "srun": ACCEPTS, "scancel": ACCEPTS,
                "sacct": ACCOUNTS.format(state=state)}  # fmt: skip
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in commands.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_job_that_sbatch_refuses_is_one_sentence(job, tmp_path, monkeypatch, capsys):
    slurm(tmp_path, monkeypatch, REFUSES)
    with pytest.raises(UserError, match=r"invalid partition specified: nowhere.*--slurm"):
        list(slurm_attempts([job], Means(1, backend="slurm")))
    assert capsys.readouterr().err == ""


def test_an_unknown_parameter_is_one_sentence(job, tmp_path, monkeypatch):
    slurm(tmp_path, monkeypatch, ACCEPTS)
    with pytest.raises(UserError, match="--slurm"):
        list(slurm_attempts([job], Means(1, backend="slurm", slurm=("slurm_partitoin=a",))))


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("PREEMPTED", "taken away", "PREEMPTED"),
        ("NODE_FAIL", "taken away", "NODE_FAIL"),
        ("TIMEOUT", "stopped", "timeout_min"),
        ("CANCELLED by 1000", "time up", "cancelled"),
        ("OUT_OF_MEMORY", "failed", "memory ran out"),
        ("FAILED", "stopped", "FAILED"),
    ],
)
def test_each_way_to_end_is_told_apart(
    state: str, status: str, reason: str, job: Job, tmp_path, monkeypatch
):
    slurm(tmp_path, monkeypatch, ACCEPTS, state)
    (end,) = slurm_attempts([job], Means(1, backend="slurm"))
    assert end.status == status
    assert reason in end.reason
    assert "\n" not in end.reason


def test_a_run_that_is_taken_away_again_and_again_still_ends(monkeypatch, job):
    from ablations.execution import runner
    from ablations.execution.isolation import RunEnd

    statuses = iter(["taken away"] * 7 + ["done"])

    def attempts(jobs, means):
        return iter([RunEnd(jobs[0].folder.run_id, next(statuses))])

    monkeypatch.setattr(runner, "attempts", attempts)
    assert [end.status for end in runner._ends([job], Means(1))] == ["done"]
