"""What a study declared before it was run: primary endpoint, margins, family, level.

Read from `verdict` in study.json. Bundles from before that section get `DEFAULTS`, and their
captions say so: a margin chosen after the results are known decides nothing.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from analysis.bundle import vocabulary as words
from analysis.statistics.intervals import LEVEL
from analysis.statistics.spending import level_at

FAMILIES = ("group", "table")
FEWEST_SEEDS = 3  # with two, a difference's own seeds have one degree of freedom


@dataclass(frozen=True)
class VerdictRules:
    """How differences are judged.

    Attributes:
        primary: Metric of the primary endpoint.
        margins: Metric to equivalence margin, in its unit; a metric without one has no
            equivalence.
        reason: Why these margins.
        family: Over what Holm corrects, for each metric: `group` (the rows of one group of a
            table) or `table` (all its rows).
        alpha: Level of each family; of the look that is reported where there are several.
        looks: Numbers of seeds at which a study that runs until it is decided is looked at.
        declared: The study file said all this before the study was run.
    """

    primary: str
    margins: dict[str, float]
    reason: str
    family: str = "group"
    alpha: float = 0.05
    declared: bool = True
    looks: tuple[int, ...] = ()

    @property
    def coverage(self) -> float:
        """Coverage of the study's intervals: 95 %, or what the level of its look leaves."""
        return 1 - self.alpha if self.looks else LEVEL

    def at_look(self, n_seeds: int) -> "VerdictRules":
        """Return the rules with the level of the look at so many complete seeds."""
        return replace(self, alpha=level_at(self.alpha, self.looks, n_seeds))

    def sentence(self) -> str:
        """Return the primary endpoint and where the margins come from, as captions print it."""
        origin = "declared in the study file" if self.declared else "not declared by this study"
        return (
            f"Primary endpoint: {words.METRICS[self.primary].label}. Margins {origin}. "
            f"{self.reason}"
        )


DEFAULTS = VerdictRules(
    primary="pesq_wb",
    margins={"pesq_wb": 0.02, "stoi": 0.01, "estoi": 0.015, "si_sdr_db": 0.5},
    reason=(
        "These are the suite's defaults: the study was run before margins were declared, so its "
        "verdicts of equivalence are exploratory."
    ),
    declared=False,
)


def verdict_rules(study: dict) -> VerdictRules:
    """Return the rules in the contents of study.json, or the defaults.

    Raises:
        ValueError: a field is missing or has an impossible value.
    """
    section = study.get("verdict")
    if section is None:
        return DEFAULTS
    try:
        rules = VerdictRules(
            primary=section["primary"],
            margins={metric: float(margin) for metric, margin in section["margins"].items()},
            reason=" ".join(str(section["reason"]).split()),
            family=section.get("family", "group"),
            alpha=float(section.get("alpha", 0.05)),
            looks=tuple(int(look) for look in section.get("looks", ())),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"`verdict` cannot be read ({error!r})") from None
    unknown = [m for m in (rules.primary, *rules.margins) if m not in words.METRICS]
    if unknown:
        raise ValueError(f"`verdict` names the unknown metric {unknown[0]}")
    if not all(margin > 0 for margin in rules.margins.values()):
        raise ValueError("`verdict` has a margin that is not above zero")
    if rules.family not in FAMILIES or not 0 < rules.alpha < 0.5:
        raise ValueError("`verdict` has an unknown family or an impossible alpha")
    if rules.looks and (rules.looks[0] != FEWEST_SEEDS or not _increase(rules.looks)):
        raise ValueError(f"`verdict` has looks that do not increase from {FEWEST_SEEDS} seeds")
    return rules


def _increase(looks: tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(looks))
