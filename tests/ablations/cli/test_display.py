"""What a person reads while a study runs."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ablations.cli import display
from ablations.execution.resources import Means
from ablations.runs.claims import Claim
from ablations.runs.estimate import CLOSING, CLOSING_PER_RUN, OVERHEAD, SCORING_WORK
from ablations.runs.plan import PlannedRun, plan
from ablations.studies.study import load_study


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def trained(run: PlannedRun, share: float, time_s: float) -> None:
    run.folder.path.mkdir(parents=True, exist_ok=True)
    beat = {"step": share * run.config.train.steps, "phase": "training", "time": time_s}
    run.folder.file("progress.json").write_text(json.dumps(beat))


def test_lines_of_a_run_that_goes_on(clock: list[float], tmp_path: Path):
    """The time left follows from what was done since the start, and is told every half minute."""
    (run,) = [r for r in plan(load_study("smoke"), tmp_path) if r.cell.startswith("EMBDL")]
    trained(run, 0.5, 0.0)
    console = Console(file=StringIO(), width=100)
    with display.study_progress(console, [run], Means(1)) as watch:
        assert Claim.on(run.folder.path).take()
        for now, share in ((0.0, 0.5), (20.0, 0.55), (60.0, 0.65), (300.0, 0.75)):
            clock[0] = now
            trained(run, share, 1000.0 + now)
            watch([run])
    # A quarter of the training took 300 s and a quarter of it is left; then scoring and closing, at
    # the speed of the last 240 s.
    work = run.load.with_overhead(OVERHEAD * run.load.training)
    per_work = 240 / (0.1 * work.training)
    scored = SCORING_WORK * (work.scored + CLOSING + CLOSING_PER_RUN)
    left_s = 300 + per_work * (work.enhancing + scored)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split(", ")[0] for line in lines] == ["0 of 1 runs"] * 2
    assert lines[-1].endswith(f", about {left_s / 60:.0f} min left")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "not known yet"), (3.0, "about 10 s left"), (84.0, "80 s"), (100.0, "2 min")],
)
def test_words_for_the_time_left(seconds: float | None, words: str):
    assert words in display._left(seconds)
