"""Eight devices at one study: processes in place of GPUs, which share claims, scoring, checkpoints.

The path is that of GPUs, see `test_together`; only what computes is the processor.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ablations.bundles.bundle import write_bundle
from ablations.execution import gpus
from ablations.execution.resources import Means
from ablations.execution.runner import carry_out
from ablations.execution.side_by_side import UNSCORED_GROUPS
from ablations.runs.plan import PlannedRun, plan
from ablations.runs.run_folder import prepare_results
from ablations.studies.study import load_study
from smoe.corpora import open_corpus
from smoe.metrics import score
from tests.ablations.conftest import ROOT, assert_same_bundle
from tests.ablations.execution.test_runner import starts
from tests.ablations.test_chaos import assert_only_lost_steps_were_repeated, attempts

DEVICES, AT_ONCE = 8, 2
MEANS = Means(jobs=AT_ONCE, device="cpu", threads=1, checkpoint_interval_s=0.0)
STEP_S = 3.48e-3  # of a network of `core` on an H100, issue 24
STEPS = 16_000


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablations.execution.runner.attempts", gpus.gpu_attempts)
    monkeypatch.setattr(gpus, "_devices", lambda _: ["cpu"] * DEVICES)


class Seen:
    """What was to be seen of runs while they were done."""

    def __init__(self) -> None:
        self.owners: dict[str, set[int]] = defaultdict(set)
        self.at_once = 0  # processes that had runs
        self.unscored = 0  # runs of one process that waited for their scores

    def look(self, runs: list[PlannedRun]) -> None:
        waiting: dict[int, int] = defaultdict(int)
        pids = set()
        for run in runs:
            pid = (run.folder.read_json("claim.json") or {}).get("pid")
            if pid is None:
                continue
            pids.add(pid)
            self.owners[run.folder.run_id].add(pid)
            beat = run.folder.read_json("progress.json") or {}
            waiting[pid] += beat.get("phase") == "scoring"
        self.at_once = max(self.at_once, len(pids))
        self.unscored = max(self.unscored, *waiting.values(), 0)


@contextmanager
def watched(runs: list[PlannedRun]) -> Iterator[Seen]:
    seen, over = Seen(), threading.Event()

    def loop() -> None:
        while not over.wait(0.02):
            seen.look(runs)

    watcher = threading.Thread(target=loop)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.slow
def test_eight_devices_share_a_study(eight: None, smoke: Path, tmp_path: Path):
    """Each run is done once, by one process, from its first step to its last; to the bit."""
    study = tmp_path / "eight.toml"
    text = (ROOT / "ablations" / "studies" / "smoke.toml").read_text(encoding="utf-8")
    study.write_text(text.replace("seeds = [0]", "seeds = [0, 1, 2, 3]"), encoding="utf-8")
    results = tmp_path / "results"
    prepare_results(results)
    corpus = open_corpus("synthetic:tiny", smoke / ".corpora")
    runs = plan(load_study(str(study)), results, corpus.data_hash)
    assert len(runs) > DEVICES * AT_ONCE
    with watched(runs) as seen:
        outcome = carry_out(runs, MEANS, corpus.folder, lambda pending: None)
    assert len(outcome.done) == len(runs) and not outcome.stopped and not outcome.failed
    assert seen.at_once == DEVICES
    assert {len(owners) for owners in seen.owners.values()} == {1}
    for run in runs:
        log = run.folder.file("log.txt")
        assert starts(log) == 1
        assert_only_lost_steps_were_repeated(attempts(log), run.name)
        left = {path.name for path in run.folder.path.iterdir()}
        assert not left & {"claim.json", "checkpoint.pt", "progress.json", "failed.json"}
    # What waits for its scores is bounded, so that memory is, too.
    assert seen.unscored <= UNSCORED_GROUPS * AT_ONCE + AT_ONCE
    smoke_study = load_study("smoke")
    write_bundle(smoke_study, plan(smoke_study, results, corpus.data_hash), results / "smoke")
    assert_same_bundle(results, smoke)


@pytest.mark.parametrize("cores", [1, 2, 8, 18, 64, 128, 192])
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_scoring_takes_the_cores_that_are_there_and_no_more(
    cores: int, devices: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gpus, "cores", lambda: cores)
    each = gpus.scoring_processes(devices)
    assert each >= 1
    assert devices * each <= max(devices, cores - 2)
    assert devices * (each + 1) > cores - 2  # no more would fit


@pytest.mark.parametrize("cores", [18, 128])
def test_scoring_keeps_up_with_eight_gpus(cores: int, monkeypatch: pytest.MonkeyPatch):
    """Of the core study at 16 000 steps: a network is scored before the next one is trained.

    How long an utterance takes is measured here, so that a change that makes scoring slow is seen;
    the time of a training is that of an H100 which trains one network after the other, and side by
    side they take longer.
    """
    monkeypatch.setattr(gpus, "cores", lambda: cores)
    study = load_study("core", None, [f"train.steps={STEPS}"])
    scored = max(run.load.scored for run in plan(study, Path("/nowhere")))
    seconds = utterance_s() * scored / gpus.scoring_processes(DEVICES)
    assert seconds < STEPS * STEP_S


def utterance_s() -> float:
    """Processor time to score 3 s of speech-like noise; the best of three, for others work, too."""
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.uniform(0.01, 0.3, 30), 1600)
    clean = (rng.standard_normal(48_000) * envelope).clip(-1, 1)
    noisy = (clean + 0.02 * rng.standard_normal(48_000)).clip(-1, 1)
    times = []
    for _ in range(4):
        started = time.process_time()
        score(reference=clean, estimate=noisy)
        times.append(time.process_time() - started)
    return min(times[1:])
