"""The time left against what it turns out to be, on simulated machines and studies.

A simulated machine takes a while to begin, to get each run ready, per step (a fixed part for every
network and a part by its multiply-accumulates), per scored utterance and for the report.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from ablations.execution.runner import in_order
from ablations.runs.estimate import CLOSING, CLOSING_PER_RUN, Estimate, Load, Look, Phase, _makespan
from ablations.runs.plan import plan
from ablations.studies.study import load_study


@dataclass(frozen=True)
class Machine:
    """Seconds that things take; the defaults are about those of a quiet server in 2026."""

    slowness: float = 1.0
    at_once: int = 2
    boot_s: float = 6.0
    process_s: float = 0.0
    start_s: float = 2.0
    step_s: float = 0.07  # whatever the network
    mac_s: float = 3.1e-11
    utterance_s: float = 0.05
    closing_s: float = 12.0


class Times(NamedTuple):
    """When a run begins, trains, scores and ends."""

    begun: float
    trains: float
    scores: float
    ended: float


def timetable(machine: Machine, loads: list[Load], steps: int) -> list[Times]:
    """Runs in order, each as soon as a process is free."""
    free = [machine.boot_s * machine.slowness] * machine.at_once
    times = []
    for load in loads:
        free_at = min(free)
        begun = free_at + (machine.slowness * machine.process_s if times else 0)
        trains = begun + machine.slowness * machine.start_s
        train_s = machine.mac_s * load.training + (machine.step_s * steps if load.training else 0)
        scores = trains + machine.slowness * train_s
        scoring_s = machine.mac_s * load.enhancing + machine.utterance_s * load.scored
        ended = scores + machine.slowness * scoring_s
        free[free.index(free_at)] = ended
        times.append(Times(begun, trains, scores, ended))
    return times


def look(times: Times, load: Load, now: float, steps: int) -> Look:
    """What a run says at a moment: a beat whenever a fiftieth of its steps is done."""
    if now < times.begun:
        return Look("planned")
    if now >= times.ended:
        return Look("ended", 1.0)
    if load.training and now >= times.scores:
        return Look("scoring", 1.0, times.scores)
    every = max(1, steps // 50)
    per_step = (times.scores - times.trains) / steps
    step = int((now - times.trains) / per_step) // every * every if per_step else 0
    phase: Phase = "training" if step > 0 else "preparing"
    beat = times.trains + step * per_step if step > 0 else times.begun
    return Look(phase, max(0, step) / steps, beat)


def quick(study: str = "quick") -> tuple[list[Load], int]:
    runs = in_order(plan(load_study(study), NOWHERE))
    return [run.load for run in runs], runs[0].config.train.steps


NOWHERE = Path("/nowhere")
MACHINES = {
    "quiet": Machine(),
    "one core": Machine(at_once=1),
    "a process for each run": Machine(at_once=1, process_s=20.0),
    "eight cores": Machine(at_once=8),
    "busy": Machine(slowness=4.0),
    "emulates": Machine(step_s=0.5, mac_s=3.7e-10),
    "scores slowly": Machine(utterance_s=0.3, closing_s=60.0),
    "slow to begin": Machine(boot_s=30.0, start_s=10.0),
    "large networks cheap": Machine(step_s=0.14, mac_s=1e-11),
    "large networks dear": Machine(step_s=0.0, mac_s=6e-11),
}


def ratios(machine: Machine, loads: list[Load], steps: int, done: int = 0) -> dict[int, float]:
    """Estimated by true time left, second by second, from the first minute on.

    The last minutes are left out, when there is little but the report to come. The first `done`
    runs were done before.
    """
    times = timetable(machine, loads[done:], steps)
    closing_s = machine.closing_s * machine.slowness
    end = max(t.ended for t in times) + closing_s
    before = [Times(-1.0, -1.0, -1.0, -1.0)] * done

    def looks(now: int) -> dict[str, Look]:
        both = zip([*before, *times], loads, strict=True)
        return {str(i): look(t, load, now, steps) for i, (t, load) in enumerate(both)}

    named = {str(i): load for i, load in enumerate(loads)}
    means = {"jobs": machine.at_once, "side_by_side": False}
    estimate, found = Estimate(named, looks(0), now=0, **means), {}
    for now in range(int(end - 3 * closing_s)):
        estimate.see(looks(now), now)
        if now >= 60:
            left = estimate.seconds_left(now)
            found[now] = (left or 0.0) / (end - now)
    return found


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("done", [0, 5])
def test_after_a_minute_the_time_left_is_right_within_a_factor_of_1_5(name: str, done: int):
    """And from then on; also of a study that goes on."""
    if done and name == "scores slowly":
        pytest.skip("not known before a run is scored, and the unprocessed input was done before")
    found = ratios(MACHINES[name], *quick(), done=done)
    assert min(found) == 60
    assert min(found.values()) > 1 / 1.5 and max(found.values()) < 1.5


def test_a_machine_that_others_leave_is_soon_known_to_be_faster():
    """One long run trains; a second one is planned. Speed doubles after 10 minutes."""
    loads = {name: Load(1e12, 0.0, 0.0) for name in "ab"}
    looks = dict.fromkeys(loads, Look("planned"))
    estimate = Estimate(loads, looks, jobs=1, side_by_side=False, now=0.0)
    share = 0.0
    for now in range(0, 721, 10):
        share += 10 / (4000 if now <= 600 else 2000)
        estimate.see({**looks, "a": Look("training", share, now)}, now)
    rates = estimate.rates()
    assert rates is not None
    # All in all 0.21 of the training took 720 s. A fifth of that time ago, at 570 s, 30 s were to
    # come at the old speed, and then 120 s at the new one.
    assert rates.work * 2.5e12 == pytest.approx(150 / (30 / 4000 + 120 / 2000))


def test_nothing_is_said_before_something_was_trained():
    loads = {"a": Load(1e12, 1e10, 60.0)}
    estimate = Estimate(loads, {"a": Look("planned")}, jobs=2, side_by_side=False, now=0.0)
    estimate.see({"a": Look("preparing", 0.0, 1.0)}, 5.0)
    assert estimate.seconds_left(5.0) is None and estimate.share(5.0) == 0


def test_what_an_interrupted_run_had_behind_it_is_no_speed():
    """Half of it was done before; then a quarter takes 100 s, so that a quarter is left."""
    loads = {"a": Load(1e12, 0.0, 0.0)}
    before = Look("planned", 0.5, 1000.0)
    estimate = Estimate(loads, {"a": before}, jobs=1, side_by_side=False, now=0.0)
    for now, share in ((10, 0.5), (110, 0.75)):
        estimate.see({"a": Look("training", share, 2000.0 + now)}, now)
    rates = estimate.rates()
    assert rates is not None
    closing = (CLOSING + CLOSING_PER_RUN) * rates.utterance
    assert estimate.seconds_left(110) == pytest.approx(100 + closing)
    assert estimate.share(110) == pytest.approx(0.75)


def test_beside_a_gpu_the_slower_of_training_and_scoring_counts():
    """Four runs, two at once, each 10 s of training; one takes 40 s to score, in a queue."""
    loads = {name: Load(1e12, 0.0, 40.0) for name in "abcd"}
    planned = dict.fromkeys(loads, Look("planned"))
    estimate = Estimate(loads, planned, jobs=2, side_by_side=True, now=0.0)
    for now in range(0, 11, 2):
        said = Look("training", now / 10, now)
        estimate.see({**planned, "a": said, "b": said}, now)
    left = estimate.seconds_left(10)
    rates = estimate.rates()
    assert left is not None and rates is not None
    closing = CLOSING + CLOSING_PER_RUN * 4
    assert left == pytest.approx(20.0 / 2 + 10.0 + closing * rates.utterance)  # scoring keeps up
    scoring = Look("scoring", 1.0, 10)
    estimate.see({**planned, "a": scoring, "b": scoring}, 11)
    estimate.see({**planned, "a": Look("ended", 1.0), "b": scoring}, 51)
    # 40 utterances in 40 s; those of b were waited for and are next, those of c and d follow.
    assert estimate.seconds_left(51) == pytest.approx(3 * 40 - 40 + closing, abs=1)


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"), [([3, 2, 2], 2, 4), ([], 2, 0), ([1, 1, 5], 1, 7)]
)
def test_when_the_last_job_ends(seconds: list[float], at_once: int, expected: float):
    assert _makespan(seconds, at_once) == expected
