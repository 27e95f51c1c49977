"""Runs side by side in one process, as on a GPU but on the processor: the same path, to the bit."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ablations.bundles.bundle import write_bundle
from ablations.execution.gpus import gpu_attempts
from ablations.execution.resources import Means
from ablations.execution.runner import _job, carry_out
from ablations.execution.side_by_side import _Claims, _end_with
from ablations.execution.worker import Job
from ablations.runs.plan import PlannedRun, plan
from ablations.runs.run_folder import RunFolder, prepare_results
from ablations.studies.study import load_study
from smoe.corpora import open_corpus
from tests.ablations.conftest import assert_same_bundle
from tests.ablations.execution.test_runner import foreign_claim, starts

MEANS = Means(jobs=3, device="cpu", threads=1, checkpoint_interval_s=0.0)
STUDY = load_study("smoke", None, [])


def planned(results: Path, smoke: Path) -> tuple[list[PlannedRun], Path]:
    prepare_results(results)
    corpus = open_corpus(STUDY.data, smoke / ".corpora")
    return plan(STUDY, results, corpus.data_hash), corpus.folder


def with_learning_rate(run: PlannedRun, rate: float, results: Path) -> PlannedRun:
    train = run.config.train.model_copy(update={"learning_rate": rate})
    config = run.config.model_copy(update={"train": train})
    folder = RunFolder(RunFolder.above(results, config) / str(run.seed))
    return replace(run, config=config, folder=folder)


@contextmanager
def killed_while_training(run: PlannedRun, times: int) -> Iterator[list[int]]:
    """Kills the process that trains a run, so many times; yields the ids of those killed."""
    killed: list[int] = []
    over = threading.Event()

    def loop() -> None:
        beaten = 0.0
        while len(killed) < times and not over.wait(0.02):
            beat = run.folder.read_json("progress.json") or {"phase": "", "time": 0.0}
            claim = run.folder.read_json("claim.json") or {}
            begun_anew = beat["phase"] == "training" and beat["time"] > beaten
            if begun_anew and claim.get("pid") not in (None, *killed):
                killed.append(claim["pid"])
                os.kill(killed[-1], signal.SIGKILL)
                beaten = time.time()

    killer = threading.Thread(target=loop)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_a_run_fails_alone_and_another_runners_is_left_to_it(smoke: Path, tmp_path: Path):
    runs, corpus = planned(tmp_path, smoke)
    one, other = (run for run in runs if run.cell in ("dense", "-M-D-.single.supervised.global"))
    wrong = with_learning_rate(one, 1e30, tmp_path)
    claim = foreign_claim(other.folder.path, "elsewhere", age_s=1)
    jobs: list[Job] = [_job(run, MEANS, corpus, "") for run in (wrong, other, one, runs[0])]
    ends = {end.run_id: end for end in gpu_attempts(jobs, MEANS)}
    assert len(ends) == 4
    assert [ends[job.folder.run_id].status for job in jobs] == [
        "failed",
        "elsewhere",
        "done",
        "done",
    ]
    assert ends[wrong.folder.run_id].reason.startswith("DivergedError")
    assert (wrong.folder.read_json("failed.json") or {})["class"] == "diverged"
    assert wrong.folder.file("history.parquet").exists()
    assert "Traceback" in wrong.folder.file("log.txt").read_text()
    assert claim.is_alive()
    assert "training: step" in one.folder.file("log.txt").read_text()
    assert not one.folder.file("claim.json").exists()


@pytest.mark.parametrize(
    ("error", "kind", "poisoned"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory", False),
        (BrokenProcessPool("a process that scores was killed"), "error", False),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), "error", True),
    ],
)
def test_what_company_may_have_caused_is_held_against_a_run_only_alone(
    error: Exception, kind: str, poisoned: bool, smoke: Path, tmp_path: Path, monkeypatch
):
    left: list[int] = []
    monkeypatch.setattr(_Claims, "leave", lambda _, code: left.append(code))
    runs, corpus = planned(tmp_path, smoke)
    job, claims = _job(runs[1], MEANS, corpus, ""), _Claims()
    for alone in (False, True):
        assert claims.take(job)
        _end_with(error, replace(job, alone=alone), claims)
        assert not job.folder.file("claim.json").exists()
        assert (job.folder.read_json("failed.json") or {}).get("class") == (kind if alone else None)
    assert left == [1, 1] * poisoned


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 2])
def test_the_bundle_is_that_of_runs_in_processes_of_their_own(
    kills: int, smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whether or not the process that trains them is killed on the way."""
    monkeypatch.setattr("ablations.execution.runner.attempts", gpu_attempts)
    monkeypatch.setattr("ablations.execution.gpus.cores", lambda: 4)  # two processes that score
    runs, corpus = planned(tmp_path, smoke)
    dense = next(run for run in runs if run.cell == "dense")
    with killed_while_training(dense, kills) as killed:
        outcome = carry_out(runs, MEANS, corpus, lambda pending: None)
    assert len(killed) == kills
    assert len(outcome.done) == len(runs)
    write_bundle(STUDY, runs, tmp_path / "smoke")
    assert_same_bundle(tmp_path, smoke)
    assert starts(dense.folder.file("log.txt")) == 1 + kills


@pytest.mark.slow
def test_a_run_that_kills_its_process_is_found_out_and_costs_no_other(smoke: Path, tmp_path: Path):
    runs, corpus = planned(tmp_path, smoke)
    jobs = [_job(run, MEANS, corpus, "") for run in runs]
    culprit = next(run for run in runs if run.cell == "dense")
    with killed_while_training(culprit, times=9) as killed:
        ends = list(gpu_attempts(jobs, MEANS))
    assert len(killed) == 2  # once in company, once alone
    assert {end.run_id: end.status for end in ends} == {
        run.folder.run_id: "stopped" if run is culprit else "done" for run in runs
    }


@pytest.mark.slow
def test_no_time_is_given_beyond_what_was_asked_for(smoke: Path, tmp_path: Path):
    runs, corpus = planned(tmp_path, smoke)
    late, slow = runs[1:3]
    means = replace(MEANS, timeout_s=0.0)
    (end,) = gpu_attempts([_job(slow, means, corpus, "")], means)
    assert (end.status, end.reason) == (
        "failed",
        "TooLongError: not done after 0 hours (--timeout)",
    )
    means = replace(MEANS, deadline=time.time() + 1)
    (end,) = gpu_attempts([_job(late, means, corpus, "")], means)
    assert end.status == "time up"
