"""Runs die and are taken over, runners share a folder: nothing is lost, nothing is done twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from ablations.runs.claims import STALE_S, Claim
from tests.ablations.conftest import assert_same_bundle, command, run_all, run_here


def starts(log: Path) -> int:
    """How often a run was begun, by its log."""
    return log.read_text().count("started ")


def foreign_claim(path: Path, host: str, age_s: float) -> Claim:
    path.mkdir(parents=True, exist_ok=True)
    claim = Claim.on(path)
    claim.path.write_text(json.dumps({"host": host, "pid": 1}))
    then = time.time() - age_s
    os.utime(claim.path, (then, then))
    return claim


def test_a_claim_is_taken_once(tmp_path: Path):
    claim = Claim.on(tmp_path)
    assert claim.take()
    assert claim.is_alive()
    assert not claim.take()
    claim.release()
    assert claim.take()


def test_a_claim_of_a_dead_process_is_taken_over(tmp_path: Path):
    script = (
        "import sys, pathlib; from ablations.runs.claims import Claim; "
        "Claim.on(pathlib.Path(sys.argv[1])).take()"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    assert Claim.on(tmp_path).path.exists()
    assert not Claim.on(tmp_path).is_alive()
    assert Claim.on(tmp_path).take()


def test_a_claim_from_another_host_lives_by_its_heartbeat(tmp_path: Path):
    assert foreign_claim(tmp_path / "fresh", "elsewhere", age_s=1).is_alive()
    stale = foreign_claim(tmp_path / "stale", "elsewhere", age_s=STALE_S + 1)
    assert not stale.is_alive()
    assert stale.take()


def test_a_claim_that_a_third_runner_made_meanwhile_is_put_back(tmp_path: Path):
    dead = foreign_claim(tmp_path, "elsewhere", age_s=STALE_S + 1)
    seen = dead.path.read_text()
    assert Claim.on(tmp_path).take()
    fresh = dead.path.read_text()
    Claim.on(tmp_path)._set_aside(seen)  # by one that saw the dead claim, and was slow
    assert dead.path.read_text() == fresh
    assert [path.name for path in tmp_path.iterdir()] == ["claim.json"]


def test_a_claim_of_another_is_not_released(tmp_path: Path):
    assert Claim.on(tmp_path).take()
    Claim.on(tmp_path).release()
    assert Claim.on(tmp_path).path.exists()


def test_the_owner_of_a_claim_that_was_taken_over_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("ablations.runs.claims.BEAT_S", 0.05)
    lost = threading.Event()
    claim = Claim.on(tmp_path)
    assert claim.take()
    claim.keep(on_lost=lost.set)
    assert not lost.wait(0.3)
    claim.path.write_text(claim.path.read_text().replace(claim.token, "another"))
    assert lost.wait(5)
    claim.release()


@pytest.mark.slow
def test_eight_runners_that_find_a_dead_claim_take_it_once(tmp_path: Path):
    script = (
        "import sys, time, pathlib, ablations.runs.claims as c\n"
        "claim = c.Claim.on(pathlib.Path(sys.argv[1]))\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "print(claim.take(), flush=True); time.sleep(1)"
    )
    foreign_claim(tmp_path, "elsewhere", age_s=STALE_S + 1)
    at = str(time.time() + 3)
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path, at], stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    assert [runner.communicate()[0].strip() for runner in runners].count("True") == 1


@pytest.mark.slow
def test_two_runners_share_a_study_and_do_no_run_twice(smoke: Path, tmp_path: Path):
    arguments = ("run", "--study", "smoke", "--results", tmp_path, "--jobs", "2")
    both = [
        subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    screens = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], screens
    assert_same_bundle(tmp_path, smoke)
    assert [starts(log) for log in tmp_path.glob(".runs/*/*/log.txt")] == [1] * 5


@pytest.mark.slow
def test_a_killed_run_costs_that_run_alone_and_is_tried_again(smoke: Path, tmp_path: Path):
    process = subprocess.Popen(
        command("run", "--study", "smoke", "--results", tmp_path, "--jobs", "2"),
        stdout=subprocess.PIPE,
        text=True,
    )
    os.kill(first_run_process(tmp_path), signal.SIGKILL)
    screen = process.communicate()[0]
    assert process.returncode == 0, screen
    counts = sorted(starts(log) for log in tmp_path.glob(".runs/*/*/log.txt"))
    assert counts == [1, 1, 1, 1, 2]
    assert_same_bundle(tmp_path, smoke)


def first_run_process(results: Path) -> int:
    """Process id of the first run that has made some progress."""
    until = time.monotonic() + 600  # on a busy machine it takes a minute to begin
    while time.monotonic() < until:
        for beat in results.glob(".runs/*/*/progress.json"):
            claim = beat.with_name("claim.json")
            if claim.exists() and json.loads(beat.read_text())["phase"] == "training":
                pid = json.loads(claim.read_text())["pid"]
                assert psutil.pid_exists(pid)
                return pid
        time.sleep(0.05)
    raise AssertionError("no run began")


DIVERGE = (
    "run", "--study", "smoke", "--set", "train.learning_rate=1e30", "--only", "dense", "--no-report"
)  # fmt: skip


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory, smoke: Path) -> Path:
    """A results folder with a run that has diverged."""
    results = tmp_path_factory.mktemp("diverged")
    shutil.copytree(smoke / ".corpora", results / ".corpora")
    finished = run_here(*DIVERGE, "--results", results)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    table = finished.stdout.partition("1 runs failed")[2]
    assert "diverged      dense, seed 0  DivergedError: the loss was not finite" in table
    assert "log.txt" in table
    return results


def test_a_diverged_run_is_marked_and_keeps_its_history(diverged: Path):
    (failure,) = diverged.glob(".runs/*/*/failed.json")
    assert json.loads(failure.read_text())["class"] == "diverged"
    assert len(pd.read_parquet(failure.with_name("history.parquet"))) > 0


def test_a_failed_run_is_tried_again_only_when_asked(diverged: Path):
    (log,) = diverged.glob(".runs/*/*/log.txt")
    assert run_here(*DIVERGE, "--results", diverged).returncode == 1
    assert starts(log) == 1
    assert run_here(*DIVERGE, "--results", diverged, "--retry", "failed").returncode == 1
    assert starts(log) == 2


@pytest.mark.slow
def test_a_run_that_takes_too_long_has_failed_and_the_others_go_on(tmp_path: Path):
    study = ("run", "--study", "smoke", "--results", tmp_path, "--only", "dense")
    finished = run_all(*study, "--set", "train.steps=100000", "--timeout", "0.003")
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "timeout       dense, seed 0  not done after 0.003 hours (--timeout)" in finished.stdout


@pytest.mark.slow
def test_limit_and_time_stop_early_and_the_next_start_goes_on(tmp_path: Path):
    study = ("run", "--study", "smoke", "--results", tmp_path)
    assert run_all(*study, "--limit", "1").returncode == 0
    assert "5 runs (1 done, 4 planned)" in run_all("plan", *study[1:]).stdout
    late = run_all(*study, "--max-hours", "0.00001")
    assert late.returncode == 0
    assert "runs were stopped" in late.stdout
