"""Slurm's backend, with submitit's local executor: real processes, no queue."""

import shutil
from pathlib import Path

import pytest

from tests.ablations.conftest import assert_same_bundle, run_all

pytest.importorskip("submitit", reason="submitit is not installed (the extra slurm)")


@pytest.mark.slow
def test_jobs_of_slurm_give_what_local_processes_give(smoke: Path, tmp_path: Path):
    if shutil.which("srun"):
        pytest.skip("here jobs would go to a real queue")
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    backend = ("--backend", "slurm", "--jobs", "2", "--threads", "1", "--slurm", "timeout_min=30")
    finished = run_all("run", "--study", "smoke", "--results", tmp_path, *backend)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_same_bundle(tmp_path, smoke)
    assert list(tmp_path.glob(".runs/.slurm/*_submitted.pkl"))
