"""When a run that was trained again agrees with what is stored: three words, and their limits."""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

from ablations.studies.verdict import Verdict
from ablations.travel.compared import Differences

Word = Literal["equal to the bit", "within rounding", "different"]
SPREADS = 3.0  # standard deviations of a difference that count as rounding
# Standard errors over utterances. Rounding that has grown moves all of a network's scores together,
# in the core study by about twice this error (SD 0.005 PESQ-WB of one run, error 0.004).
ERRORS = 6.0
LOSSES = 0.5  # of how much the training losses vary between logged steps; other batches: 1.4


@dataclass(frozen=True)
class Limits:
    """How far results may lie apart and still count as equal but for rounding.

    Attributes:
        means: By metric, the largest absolute difference of the mean score.
        measured: Whether they come from the rounding spread that the bundle stores.
    """

    means: dict[str, float]
    measured: bool

    @property
    def source(self) -> str:
        """Where the limits of mean scores come from."""
        if self.measured:
            return "three standard deviations of what the stored rounding spread lets expect"
        return (
            "the study's margin of equivalence or six standard errors of the difference, "
            "whichever is larger, as no rounding spread is stored"
        )

    def of(self, metric: str, found: Differences) -> float:
        """Return the limit of a metric's mean difference.

        How differences scatter over utterances tells what rounding does, unless the training is the
        same to the bit, after which rounding has had no time to grow.
        """
        declared = self.means.get(metric, 0.0)
        if self.measured or found.trained_alike:
            return declared
        return max(declared, ERRORS * found.errors.get(metric, 0.0))


def limits_of(description: dict[str, Any]) -> Limits:
    """Return the limits that a bundle's `study.json` gives.

    `rounding` there is the standard deviation of one run's mean score under rounding alone; that of
    the difference of two runs is the square root of two times as much. Bundles without it are
    judged by the margins below which their study calls two networks equivalent, and by the usual
    ones if it has none.
    """
    spread = description.get("rounding") or {}
    margins = (description.get("verdict") or {}).get("margins") or Verdict().margins
    rounding = {name: SPREADS * sqrt(2) * float(sd) for name, sd in spread.items()}
    return Limits({**margins, **rounding}, bool(spread))


def judge(found: Differences, limits: Limits) -> Word:
    """Return the word for the differences of a run."""
    if found.none:
        return "equal to the bit"
    near = all(abs(apart) <= limits.of(name, found) for name, apart in found.means.items())
    if found.trained_alike:  # a single score that moved is none of rounding's
        near &= all(found.values[name] <= limits.of(name, found) for name in found.means)
    if found.rows or not found.means or not near or found.losses > LOSSES:
        return "different"
    return "within rounding"
