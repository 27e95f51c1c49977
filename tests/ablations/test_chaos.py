"""A study under fire: whatever is killed whenever, the result is an undisturbed study's."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.ablations.conftest import assert_same_bundle, command, run_all

KILLS = 20
RUNS = 5
STUDY = ("run", "--study", "smoke", "--jobs", "2", "--checkpoint-every", "0", "--results")
START = "started "
STEP = re.compile(r"training: step (\d+)")


class Runners:
    """Main processes of a study, each started again when it has died."""

    def __init__(self, results: Path, count: int):
        self.results = results
        self.main = [self._start() for _ in range(count)]
        self.killed = {"run": 0, "worker": 0, "main": 0}

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(
            command(*STUDY, self.results),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill_one(self, rng: np.random.Generator) -> None:
        """Kills a process that trains, a worker that waits for one, or a main process."""
        kind = rng.choice(["run", "worker", "main"], p=[0.4, 0.3, 0.3])
        wait_for(lambda: self.all_done() or self._processes(kind), 30)  # until there is one
        victims = self._processes(kind)
        if not victims:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            victims[int(rng.integers(len(victims)))].kill()
            self.killed[kind] += 1

    def revive(self) -> None:
        """Starts what has died, unless all is done."""
        for index, process in enumerate(self.main):
            if process.poll() is not None and not self.all_done():
                self.main[index] = self._start()

    def all_done(self) -> bool:
        return len(list(self.results.glob(".runs/*/*/done"))) == RUNS

    def _processes(self, kind: str) -> list[psutil.Process]:
        """All of a kind: a main process has workers, and a worker that has work has a run."""
        found = [psutil.Process(process.pid) for process in self.main if process.poll() is None]
        try:
            if kind != "main":
                found = [child for main in found for child in main.children() if child.children()]
            if kind == "run":
                found = [run for worker in found for run in worker.children()]
        except psutil.NoSuchProcess:
            return []
        return found


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)


def attempts(log: Path) -> list[list[int]]:
    """The steps of each attempt at a run, as its log tells them."""
    parts = log.read_text().split(START)[1:]
    return [[int(step) for step in STEP.findall(part)] for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize("runners", [1, 2])
def test_twenty_kills_change_nothing(runners: int, smoke: Path, tmp_path: Path):
    seed = int.from_bytes(os.urandom(4), "little")
    rng = np.random.default_rng(seed)
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    fired = Runners(tmp_path, runners)
    for _ in range(KILLS):
        if fired.all_done():
            break
        # Some kills fall into starting up, some into training, some into scoring.
        time.sleep(rng.uniform(0.5, 4.0))
        fired.kill_one(rng)
        wait_for(lambda: any(p.poll() is not None for p in fired.main), 0.5)
        fired.revive()
    for process in fired.main:
        process.wait()
    finished = run_all(*STUDY, tmp_path)
    told = f"seed {seed}, killed {fired.killed}\n{finished.stdout}{finished.stderr}"
    (tmp_path / "told.txt").write_text(told)
    assert finished.returncode == 0, told
    assert sum(fired.killed.values()) >= KILLS // 2, f"it was over too soon: {told}"
    assert_same_bundle(tmp_path, smoke)
    for log in tmp_path.glob(".runs/*/*/log.txt"):
        assert_only_lost_steps_were_repeated(attempts(log), told)


def assert_only_lost_steps_were_repeated(steps: list[list[int]], told: str) -> None:
    """With a checkpoint at every step, an attempt goes on at the last logged step or after it.

    The step is logged, then saved: a kill between the two costs that one step.
    """
    reached = 0
    for attempt in steps:
        if attempt:
            assert attempt == list(range(attempt[0], attempt[-1] + 1)), told
            assert reached <= attempt[0] <= reached + 1, (steps, told)
            reached = attempt[-1]


def test_the_measure_of_repeated_steps_notices_lost_work(tmp_path: Path):
    assert_only_lost_steps_were_repeated([[1, 2, 3], [], [3, 4], [5]], "")
    for wrong in ([[1, 2, 3], [1, 2]], [[1, 2], [4]]):
        with pytest.raises(AssertionError):
            assert_only_lost_steps_were_repeated(wrong, "")
