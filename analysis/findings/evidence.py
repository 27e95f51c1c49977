"""What speaks for and against a finding, and whether anything turns it over.

A finding is a paired difference in the primary metric. Beside it stand the same difference in each
seed, in the other metrics, in parts of the test set (condition, SNR, RT60), on clean speech, with
the same weights routed otherwise, and at other levels of the settings that the study varies. A
finding that is decided is called undecided all the same if a seed has the other sign, or a metric,
a part, a routing or a level is decided in the other direction. No single observation is called
decided beyond that: a page has so many of them that in a third of all studies without any effect
one would be, if each family of them were held to 5 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.bundle import conditions
from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.parts import level_name
from analysis.findings.captions import plural
from analysis.findings.claims import Claim, paired
from analysis.findings.compare import TOO_FEW_SEEDS, Comparison, judge
from analysis.rendering.forms import estimate
from analysis.statistics.samples import Sample

# Routings that speak to a comparison with another network: label errors, the mapping, and whether
# the router matters at all.
ROUTINGS = {
    "oracle": "true labels in place of the router",
    "oracle-paper": "true labels, paper's mapping",
    "learned-normalized": "learned, normalized mapping",
    "learned-paper": "learned, paper's mapping",
    "uniform": "experts averaged",
}
AS_TRAINED = "learned, as trained"
_OPPOSITE = {"better": "worse", "worse": "better"}
Speaks = Literal["for", "against", "neither"]


@dataclass(frozen=True)
class Item:
    """One observation beside a finding.

    Attributes:
        kind: `seed`, `metric`, `part`, `clean`, `routing` or `level`.
        name: Where it was made.
        comparison: The difference there; None for seeds.
        metric: Of the difference.
        speaks: For the finding where the estimate has its sign (of an equivalence: is within the
            margin), else against it; neither where a metric has no margin. Nothing is tested.
        turns_over: It is decided in the other direction, or a seed has the other sign.
    """

    kind: str
    name: str
    comparison: Comparison | None
    metric: str
    speaks: Speaks
    turns_over: bool

    @property
    def text(self) -> str:
        """The observation as a list shows it."""
        if self.comparison is None:
            return self.name
        decimals = words.METRICS[self.metric].decimals
        gain = estimate(self.comparison.interval, decimals, signed=True)
        m = words.METRICS[self.metric]
        unit = f" {m.unit_label}" if self.kind != "metric" else " dB" if m.unit == "dB" else ""
        opposite = "the opposite holds" if self.kind == "clean" else "turns it over"
        return f"{self.name}: {gain}{unit}{f', {opposite}' if self.turns_over else ''}"


@dataclass(frozen=True)
class Evidence:
    """A finding with everything that was observed beside it.

    Attributes:
        claim: The finding.
        primary: The judged difference in the primary metric.
        items: What else was observed.
    """

    claim: Claim
    primary: Comparison
    items: list[Item]

    @property
    def conclusion(self) -> str:
        """Return what may be said: `Undecided` where anything turns the finding over."""
        verdict = plain(self.primary)
        if verdict == TOO_FEW_SEEDS:
            return "Too few seeds: nothing is decided."
        if verdict == "undecided":
            return "Undecided."
        turned = [i.name for i in self.items if i.turns_over and i.kind != "clean"]
        if turned:
            return f"Undecided, it turns over: {'; '.join(turned)}."
        agree = sum(i.speaks == "for" for i in self.items)
        said = f"{verdict.capitalize()}; nothing turns it over, {agree} of {len(self.items)} agree"
        clean = [i.name for i in self.items if i.turns_over and i.kind == "clean"]
        return f"{said}, but the opposite holds on clean speech." if clean else f"{said}."


def plain(comparison: Comparison) -> str:
    """Return a verdict without what is said of the margin."""
    return comparison.verdict.split(",")[0]


def evidence(bundle: Bundle, claim: Claim) -> Evidence:
    """Collect what was observed beside a finding, in the order of the module's first paragraph."""
    primary = claim.comparisons[bundle.primary]
    items = [_seeds(primary, bundle.primary, bundle.rules.margins.get(bundle.primary))]
    for metric, comparison in claim.comparisons.items():
        if metric != bundle.primary:
            name = words.METRICS[metric].label
            items.append(_item("metric", name, comparison, metric, primary))
    for kind, found in (
        ("part", differences_by_part(bundle, claim, bundle.primary)),
        ("routing", differences_by_routing(bundle, claim, bundle.primary)),
        ("level", differences_by_level(bundle, claim, bundle.primary)),
    ):
        for name, comparison in found.items():
            if name == AS_TRAINED:
                continue
            own = "clean" if name == "clean" else kind
            items.append(_item(own, name, comparison, bundle.primary, primary))
    return Evidence(claim, primary, items)


def differences_by_part(bundle: Bundle, claim: Claim, metric: str) -> dict[str, Comparison]:
    """Judge a claim in each condition, at each SNR and RT60; each of the three is one family."""
    whole = paired(bundle, claim.cell, claim.weights, metric)
    named: list[tuple[str, str, Sample]] = [
        (family, name, whole.restrict(mask))
        for family, parts in (
            ("condition", conditions.by_condition(bundle)),
            ("snr", conditions.by_snr(bundle)),
            ("rt60", conditions.by_rt60(bundle)),
        )
        for name, mask in parts.items()
    ]
    found = judge(bundle, [s for *_, s in named], metric, families=[f for f, *_ in named])
    pairs = zip(named, found, strict=True)
    return {name: comparison for (_, name, _), comparison in pairs if comparison is not None}


def differences_by_routing(bundle: Bundle, claim: Claim, metric: str) -> dict[str, Comparison]:
    """Judge a claim with the same weights routed otherwise, over the utterances scored so.

    First as trained, over the same utterances; empty if no other routing was scored.
    """
    mask = bundle.in_conditions(words.DISTORTED)
    routed = {
        name: paired(bundle, claim.cell, claim.weights, metric, counterfactual).restrict(mask)
        for counterfactual, name in (("learned", AS_TRAINED), *ROUTINGS.items())
    }
    scored = {name: s.complete() for name, s in routed.items() if s.n_utterances}
    if len(scored) < 2:
        return {}
    common = np.all([*scored.values()], axis=0)
    apart = [routed[name].restrict(common) for name in scored]
    found = judge(bundle, [*apart], metric)
    return {n: c for n, c in zip(scored, found, strict=True) if c is not None}


def differences_by_level(bundle: Bundle, claim: Claim, metric: str) -> dict[str, Comparison]:
    """Judge a claim at the levels beside the one shown, as one family; empty without any."""
    cells = (claim.cell, *claim.weights)
    apart = {
        level_name(level): paired(part, claim.cell, claim.weights, metric).restrict(
            part.in_conditions(words.DISTORTED)
        )
        for level, part in bundle.levels
        if level_name(level) != bundle.level and all(part.has(c) for c in cells)
    }
    paired_in_seeds = {name: s for name, s in apart.items() if s.seeds}
    found = judge(bundle, [*paired_in_seeds.values()], metric)
    return {n: c for n, c in zip(paired_in_seeds, found, strict=True) if c is not None}


def _seeds(primary: Comparison, metric: str, margin: float | None) -> Item:
    """Return the observation whether all seeds have the sign of the mean.

    For an equivalence it is whether all seeds lie within the margin.
    """
    up = primary.interval.estimate > 0
    other = sum((value > 0) != up for value in primary.by_seed)
    decimals = words.METRICS[metric].decimals
    values = ", ".join(f"{v:+.{decimals}f}" for v in primary.by_seed).replace("-", "−")
    seeds = plural(len(primary.by_seed), "seed")
    name = f"{primary.n_seeds - other} of {seeds} {'above' if up else 'below'} zero ({values})"
    decided = plain(primary) in _OPPOSITE
    speaks: Speaks = "against" if other else "for"
    if plain(primary) == "equivalent" and margin is not None:
        within = sum(abs(value) < margin for value in primary.by_seed)
        name = f"{within} of {seeds} within the margin ({values})"
        speaks = "for" if within == len(primary.by_seed) else "against"
    return Item("seed", name, None, metric, speaks, turns_over=bool(other) and decided)


def _item(kind: str, name: str, found: Comparison, metric: str, primary: Comparison) -> Item:
    verdict, claimed = plain(found), plain(primary)
    turns_over = verdict == _OPPOSITE.get(claimed)
    if claimed == "equivalent":
        turns_over = verdict in _OPPOSITE and "within" not in found.verdict
    agrees = found.is_gain == primary.is_gain
    if claimed == "equivalent":
        agrees = found.margin and abs(found.interval.estimate) < found.margin
    speaks: Speaks = "neither" if agrees is None else "for" if agrees else "against"
    return Item(kind, name, found, metric, speaks, turns_over)


def spoken(items: list[Item], speaks: Speaks) -> Iterator[str]:
    """Return the observations that speak for, against, or neither."""
    return (item.text for item in items if item.speaks == speaks)
