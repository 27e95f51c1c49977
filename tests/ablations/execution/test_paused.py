"""A runner that is paused (SIGSTOP, a closed laptop) and wakes when another has its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ablations.runs.claims import STALE_S, Claim
from ablations.tracking.run_contents import from_bundle
from ablations.tracking.study_view import Tracker
from tests.ablations.conftest import ROOT
from tests.ablations.runs.test_claims import QUICK, runs_of

# Brings runs to MLflow one by one, and waits before each of them until it is told to go on.
RUNNER = """
import sys
from pathlib import Path
from rich.console import Console
from ablations.tracking.live_writer import Mirror
from ablations.tracking.run_contents import from_bundle
from ablations.tracking.study_view import Tracker

results, quick = Path(sys.argv[1]), Path(sys.argv[2])

def asked():
    for number, run in enumerate(from_bundle(quick)[:5]):
        print("at", number, flush=True)
        sys.stdin.readline()
        yield run

make = lambda guard: Tracker("s", "question", "d", results, before_write=guard)
mirror = Mirror(make, results / "claim", Console(stderr=True))
mirror.sync(asked())
print("its turn" if mirror._is_mine() else "not its turn", flush=True)
"""


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    assert said == line, said


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def let_time_pass(claim: Path, seconds: float) -> None:
    """Age a claim as its owner's sleep would: nothing else of it looks at a clock."""
    then = time.time() - seconds
    os.utime(claim, (then, then))


def test_a_runner_that_was_paused_writes_no_run_twice_into_mlflow(tmp_path: Path):
    """Stopped after two of five runs; another one writes all five; then the first one wakes."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RUNNER, str(tmp_path), str(QUICK)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        for number in range(2):
            wait_for(process, f"at {number}")
            go_on(process)
        wait_for(process, "at 2")
        process.send_signal(signal.SIGSTOP)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        runs, other = from_bundle(QUICK)[:5], Claim.on(tmp_path / "claim")
        assert len(runs_of(tmp_path)) == 2
        assert not other.take()  # a process that sleeps for less than two minutes keeps its work
        let_time_pass(other.path, STALE_S + 1)
        assert other.take()
        Tracker("s", "question", "d", tmp_path, before_write=other.require).sync(runs)
        process.send_signal(signal.SIGCONT)
        go_on(process)
        wait_for(process, "not its turn")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert other.is_mine()
    found = [run.data.tags["run_id"] for run in runs_of(tmp_path)]
    assert sorted(found) == sorted(run.run_id for run in runs)
