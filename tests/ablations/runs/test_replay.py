"""The time left of a recorded quick study, played again as it was, on slow and on busy machines.

`quick_durations.csv` holds what its runs really took, written by `quick_durations.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.execution.runner import in_order
from ablations.runs.estimate import Estimate, Load, Look, Phase
from ablations.runs.plan import plan
from ablations.studies.study import load_study

RECORDED = pd.read_csv(Path(__file__).with_name("quick_durations.csv")).set_index("cell")
BOOT_S, CLOSING_S = 6.0, 12.0  # before the first run, and for bundle, tables and figures
BEATS = 50  # of a run's training
TICK_S = 0.5
MINUTE = 60.0
FACTOR = 1.5
PLANNED = Look("planned")
Slowness = Callable[[float], float]  # at a time, against the quiet machine


@dataclass
class Playing:
    """A run that is played: seconds of the recording that are over, and what it last said."""

    start_s: float
    train_s: float
    scoring_s: float
    over_s: float = 0.0
    said: Look = PLANNED
    begun: bool = False

    def play(self, seconds: float, now: float) -> None:
        """Go on by so many seconds of the recording."""
        phase, share = self.said.phase, self.said.share
        self.over_s += seconds
        trained = min(max(0.0, self.over_s - self.start_s), self.train_s)
        if self.over_s >= self.start_s + self.train_s + self.scoring_s:
            self.said = Look("ended", 1.0)
        elif not self.begun:
            self.begun, self.said = True, Look("preparing", 0.0, now)
        elif self.train_s and trained == self.train_s:
            self.said = self.said if phase == "scoring" else Look("scoring", 1.0, now)
        elif self.train_s and (beat := math.floor(BEATS * trained / self.train_s) / BEATS) > share:
            during: Phase = "training"
            self.said = Look(during, beat, now)


def played(
    slowness: Slowness, at_once: int, until: float = math.inf
) -> tuple[dict[float, float], float]:
    """Play the study; return the time left as it was said up to a moment, and when it ended."""
    runs = in_order(plan(load_study("quick"), Path("/nowhere")))
    loads: dict[str, Load] = {run.cell: run.load for run in runs}
    left = {c: Playing(*RECORDED.loc[c, ["start_s", "train_s", "scoring_s"]]) for c in loads}
    estimate = Estimate(
        loads, {c: run.said for c, run in left.items()}, jobs=at_once, side_by_side=False, now=0.0
    )
    said: dict[float, float] = {}
    now, before_s, after_s = 0.0, BOOT_S, CLOSING_S
    while after_s > 0:
        now += TICK_S
        step_s = TICK_S / slowness(now)
        if before_s > 0:
            before_s -= step_s
        else:
            playing = [run for run in left.values() if run.said.phase != "ended"][:at_once]
            for run in playing:
                run.play(step_s, now)
            after_s -= 0.0 if playing else step_s
        if now % 1.0 == 0 and now <= until:
            estimate.see({c: run.said for c, run in left.items()}, now)
            said[now] = estimate.seconds_left(now) or math.nan
    return said, now


def busy(seed: int, mean: float, spread: float) -> Slowness:
    """Others come and go: slowness changes every 10 s about a mean, by a random factor."""
    noise = np.random.default_rng(seed).lognormal(0.0, spread, 2000)
    return lambda now: max(1.0, mean * noise[int(now / 10) % len(noise)])


MACHINES: dict[str, Slowness] = {
    "as recorded": lambda _: 1.0,
    "slow": lambda _: 5.0,
    **{f"busy {seed}": busy(seed, 2.0, 0.4) for seed in range(4)},
    **{f"slow and busy {seed}": busy(seed, 5.0, 0.25) for seed in range(4)},
}


@pytest.mark.parametrize("at_once", [2, 4])
@pytest.mark.parametrize("machine", MACHINES)
def test_after_a_minute_the_time_left_is_within_a_factor_of_what_it_turns_out(
    machine: str, at_once: int
):
    said, end = played(MACHINES[machine], at_once, until=MINUTE)
    ratio = said[MINUTE] / (end - MINUTE)
    assert 1 / FACTOR < ratio < FACTOR, f"{said[MINUTE]:.0f} s said, {end - MINUTE:.0f} s taken"


@pytest.mark.parametrize("machine", ["as recorded", "slow"])
def test_it_stays_so_until_little_but_the_report_is_left(machine: str):
    slowness = MACHINES[machine]
    said, end = played(slowness, 2)
    last = end - 5 * CLOSING_S * slowness(end)
    later = {t: s / (end - t) for t, s in said.items() if MINUTE <= t < last}
    assert len(later) > 100
    assert min(later.values()) > 1 / FACTOR and max(later.values()) < FACTOR


def test_one_run_at_a_time_on_a_slow_machine_says_nothing_before_it_knows():
    """Five times as slow, the first network has not trained a fiftieth of its steps by then."""
    said, _ = played(MACHINES["slow"], 1, until=100.0)
    first = min(t for t, left in said.items() if not math.isnan(left))
    assert MINUTE < first < 100.0


def test_the_recording_is_of_every_run():
    runs = plan(load_study("quick"), Path("/nowhere"))
    assert [run.cell for run in runs] == list(RECORDED.index)
    trained = RECORDED.drop("unprocessed")
    assert (trained["train_s"] > 10).all() and (RECORDED["scoring_s"] > 1).all()
