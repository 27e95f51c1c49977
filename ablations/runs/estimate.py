"""How long a study still takes, judged from what its runs have done so far on this machine.

A run gets ready, trains, lets its network enhance the test set and has the result scored; a study
ends with its bundle and report. How much there is of each is known beforehand. How fast the machine
does each is measured on the runs that are under way, whatever else the machine does meanwhile.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Phase = Literal["planned", "preparing", "training", "scoring", "ended"]
# Scoring 3 s of audio takes a processor about as long as training does so much work (45 ms, and
# 0.16 s for 4.4e9 in a step of the quick study). Used until a run has been scored.
SCORING_WORK = 1.2e9
# Bundle, MLflow, tables and figures take as long as scoring so many utterances, plus some per run.
CLOSING, CLOSING_PER_RUN = 40, 2.5
# What a step takes whatever the experts, beside the arithmetic of the study's smallest network
# (2 to 3 times as long as that in the quick study, less in wider networks).
OVERHEAD = 1.5
RECENT_LOOKS = 15
# Other programs come and go: speed is that of the last so many seconds, or of this share of the
# time since the start, where that is longer.
RECENT_S, RECENT_SHARE = 90.0, 0.2


class Load(NamedTuple):
    """What a run asks of a machine.

    Attributes:
        training: Multiply-accumulates of its training; 0 for the unprocessed input.
        enhancing: Those of enhancing the test set, under every routing that is scored.
        scored: Utterances that are scored, in units of 3 s.
    """

    training: float
    enhancing: float
    scored: float

    def with_overhead(self, training: float) -> "Load":
        """Return the load as work: a training of so many MACs more, and enhancing in proportion.

        A step also takes time that hardly depends on the number of experts, such as that of
        normalisations, transforms and the optimiser.
        """
        if not self.training:
            return self
        factor = 1 + training / self.training
        return Load(self.training * factor, self.enhancing * factor, self.scored)


class Look(NamedTuple):
    """What is to be seen of a run at one moment.

    Attributes:
        phase: What it is doing.
        share: How much of its training is done, 0 to 1.
        time: When it said so, in seconds by its own clock; None before it has said anything.
    """

    phase: Phase
    share: float = 0.0
    time: float | None = None


@dataclass
class _Seen:
    """A run's past. Times are by our clock, except those of `first` and `last`."""

    load: Load
    look: Look
    stale: float | None  # what it said before we began to look
    begun: float | None = None
    trained_first: float | None = None
    first: Look | None = None
    last: Look | None = None
    scoring: float | None = None
    ended: float | None = None

    def see(self, look: Look, now: float) -> None:
        self.look = look
        if look.phase == "ended":
            self.ended = now if self.ended is None else self.ended
            return
        if look.time is None or look.time == self.stale:
            return
        self.begun = now if self.begun is None else self.begun
        if look.phase == "training":
            self.trained_first = now if self.trained_first is None else self.trained_first
            self.first, self.last = self.first or look, look
        if look.phase == "scoring" or not self.load.training:
            self.scoring = now if self.scoring is None else self.scoring

    def trained(self) -> tuple[float, float]:
        """Return seconds between what it said of its training first and last, and the work then."""
        if self.first is None or self.last is None:
            return 0.0, 0.0
        assert self.first.time is not None and self.last.time is not None
        work = (self.last.share - self.first.share) * self.load.training
        return self.last.time - self.first.time, work


class Rates(NamedTuple):
    """Seconds from one run's end to the next one's first word, and what a run then takes.

    Attributes:
        process: For a new process, where each run has one of its own.
        start: To get ready.
        work: For a unit of training.
        utterance: To score one.
    """

    process: float
    start: float
    work: float
    utterance: float


class Estimate:
    """The time left of a study.

    Args:
        loads: What each run asks for, by name, in the order in which they are begun.
        looks: What is to be seen of them now.
        jobs: How many are expected to work at once.
        side_by_side: Whether some are trained while others, in a queue, are scored, as beside GPUs.
        now: Seconds by any clock; the same one is given to `see` and `seconds_left`.
    """

    def __init__(
        self,
        loads: dict[str, Load],
        looks: dict[str, Look],
        *,
        jobs: int,
        side_by_side: bool,
        now: float,
    ):
        least = min((load.training for load in loads.values() if load.training), default=0.0)
        self._runs = {
            name: _Seen(load.with_overhead(OVERHEAD * least), looks[name], looks[name].time)
            for name, load in loads.items()
        }
        self._done_before = {name for name, look in looks.items() if look.phase == "ended"}
        for name in self._done_before:
            self._runs[name].ended = now
        self._jobs, self._side_by_side, self._started = jobs, side_by_side, now
        self._active: deque[int] = deque(maxlen=RECENT_LOOKS)
        self._totals: deque[tuple[float, float, float]] = deque()  # time, seconds and work so far
        self._places: deque[float] = deque()  # when runs ended that no other has followed yet
        self._gaps: list[float] = []  # how long it took until one did

    def see(self, looks: dict[str, Look], now: float) -> None:
        """Take note of what is to be seen of runs at a moment."""
        begun = [name for name in looks if self._runs[name].begun is None]
        ended = [name for name in looks if self._runs[name].ended is None]
        for name, look in looks.items():
            self._runs[name].see(look, now)
        self._places.extend(now for name in ended if self._runs[name].ended is not None)
        for name in begun:
            # Beside GPUs a group begins together, whenever the one before is trained.
            if self._runs[name].begun is not None and self._places and not self._side_by_side:
                self._gaps.append(now - self._places.popleft())
        self._note_speed(now)
        working = ("preparing", "training") + (() if self._side_by_side else ("scoring",))
        self._active.append(sum(s.look.phase in working for s in self._runs.values()))

    def rates(self) -> Rates | None:
        """Return the machine's speed, None until something has been trained."""
        here = [s for name, s in self._runs.items() if name not in self._done_before]
        work = self._recent_rate() or _training_rate(here)
        if work is None:
            return None
        utterance = self._scoring_rate(here, work)
        starts = [
            max(0.0, s.trained_first - s.begun - work * s.load.training * _begun_share(s))
            for s in here
            if s.trained_first is not None and s.begun is not None and s.first
        ]
        return Rates(_mean(self._gaps), _mean(starts), work, utterance)

    def seconds_left(self, now: float) -> float | None:
        """Return the time until tables and figures are written; None while nothing is known."""
        rates = self.rates()
        if rates is None:
            return None
        left = [s for s in self._runs.values() if s.look.phase != "ended"]
        left.sort(key=lambda s: s.look.phase == "planned")  # those at work have their places
        at_once = max(self._active, default=0) or self._jobs
        closing = rates.utterance * (CLOSING + CLOSING_PER_RUN * len(self._runs))
        if not self._side_by_side:
            return _makespan((sum(_parts(s, rates, now)) for s in left), at_once) + closing
        parts = [_parts(s, rates, now) for s in left]
        training = _makespan((start + train for start, train, _ in parts), at_once)
        return max(training, sum(score for *_, score in parts)) + closing

    def share(self, now: float) -> float:
        """Return how much of the study is done, 0 to 1, in seconds of work."""
        rates = self.rates() or Rates(0.0, 0.0, 1.0, SCORING_WORK)
        whole = sum(sum(_whole(s.load, rates)) for s in self._runs.values())
        left = sum(sum(_parts(s, rates, now)) for s in self._runs.values())
        return 1 - left / whole if whole else 1.0

    def _note_speed(self, now: float) -> None:
        """Keep the totals of training from the beginning of the recent past to now."""
        both = [s.trained() for s in self._runs.values()]
        self._totals.append((now, sum(each[0] for each in both), sum(each[1] for each in both)))
        recent_s = max(RECENT_S, RECENT_SHARE * (now - self._started))
        while len(self._totals) > 2 and self._totals[1][0] <= now - recent_s:
            self._totals.popleft()

    def _recent_rate(self) -> float | None:
        """Seconds per unit of work lately, None if nothing was heard lately."""
        if not self._totals:
            return None
        (_, seconds, work), (_, all_seconds, all_work) = self._totals[0], self._totals[-1]
        return (all_seconds - seconds) / (all_work - work) if all_work > work else None

    def _scoring_rate(self, runs: list[_Seen], work: float) -> float:
        """Seconds per utterance of one run, or of the whole queue beside GPUs."""
        done = [s for s in runs if s.ended is not None and s.scoring is not None]
        utterances = sum(s.load.scored for s in done)
        if not utterances:
            if not self._side_by_side:
                return work * SCORING_WORK
            # As if scoring just kept up with training.
            training, scored = (sum(s.load[i] for s in runs) for i in (0, 2))
            return work * training / max(1.0, scored) / max(1, self._jobs)
        begun = [s.scoring for s in done if s.scoring is not None]
        ended = [s.ended for s in done if s.ended is not None]
        if self._side_by_side:
            return (max(ended) - min(begun)) / utterances
        enhancing = sum(s.load.enhancing for s in done)
        seconds = sum(ended) - sum(begun) - work * enhancing
        return max(seconds / utterances, 0.1 * work * SCORING_WORK)


def _training_rate(runs: Iterable[_Seen]) -> float | None:
    """Seconds per unit of work, from what runs said of themselves; at first from their start."""
    both = [s.trained() for s in runs]
    seconds, work = (sum(each[i] for each in both) for i in (0, 1))
    if work > 0 and seconds > 0:
        return seconds / work
    early = [s for s in runs if s.begun is not None and s.trained_first is not None]
    seconds = sum(s.trained_first - s.begun for s in early)  # pyright: ignore
    work = sum(_begun_share(s) * s.load.training for s in early)
    return seconds / work if work and seconds else None


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def _begun_share(s: _Seen) -> float:
    return s.first.share if s.first else 0.0


def _whole(load: Load, rates: Rates) -> tuple[float, float, float]:
    """Seconds of getting ready, of training, and of enhancing and scoring."""
    scoring = rates.work * load.enhancing + rates.utterance * load.scored
    return rates.process + rates.start, rates.work * load.training, scoring


def _parts(s: _Seen, rates: Rates, now: float) -> tuple[float, float, float]:
    """What is left of them."""
    start, training, scoring = _whole(s.load, rates)
    own_seconds, own_work = s.trained()
    if own_work > 0:  # its own speed says more than that of others
        training = s.load.training * own_seconds / own_work
    training *= 1 - s.look.share
    if s.look.phase == "ended":
        return 0.0, 0.0, 0.0
    if s.scoring is not None:
        return 0.0, 0.0, max(0.0, scoring - (now - s.scoring))
    if s.look.phase == "preparing" and s.begun is not None:
        return max(0.0, rates.start - (now - s.begun)), training, scoring
    if s.look.phase == "training":
        return 0.0, training, scoring
    return start, training, scoring


def _makespan(seconds: Iterable[float], at_once: int) -> float:
    """When the last of some jobs ends, if each begins in order, as soon as there is room."""
    free = [0.0] * max(1, at_once)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)
