"""What a person reads of the time left."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ablations import display
from ablations.plan import PlannedRun, plan
from ablations.study import load_study


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def trained(run: PlannedRun, share: float) -> None:
    run.folder.path.mkdir(parents=True, exist_ok=True)
    beat = {"step": share * run.config.train.steps}
    run.folder.file("progress.json").write_text(json.dumps(beat))


@pytest.mark.parametrize(("device", "share"), display.TRAINED_SHARE.items())
def test_time_left_follows_from_what_was_done_since_the_start(
    clock: list[float], tmp_path: Path, device: str, share: float
):
    """Not from what an interrupted run had behind it then."""
    runs = [r for r in plan(load_study("smoke"), tmp_path) if r.cell.startswith("EMBDL")][:1]
    trained(runs[0], 0.5)
    console = Console(file=StringIO(), width=100)
    with display.study_progress(console, runs, device) as watch:
        watch(runs)
        clock[0] = 60.0
        watch(runs)
        trained(runs[0], 1.0)
        clock[0] = 600.0
        watch(runs)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    # In ten minutes `share` / 2 of the run was done, and 1 - `share` of it is left.
    left_min = round(10 * (1 - share) / (share / 2))
    assert lines == [
        f"0 of 1 runs, {share / 2:.0%}, time left not known yet",
        f"0 of 1 runs, {share:.0%}, about {left_min} min left",
    ]
