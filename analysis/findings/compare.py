"""Verdicts: what may be said of a family of paired differences."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.verdict_rules import FEWEST_SEEDS, VerdictRules
from analysis.statistics import hypotheses
from analysis.statistics.clusters import Component
from analysis.statistics.intervals import Interval, mean_interval, stack
from analysis.statistics.samples import Sample, difference
from analysis.statistics.seed_noise import moderated

TOO_FEW_SEEDS = "too few seeds"
NO_VERDICT = "no verdict"  # of a system without seeds
UNTESTED = (TOO_FEW_SEEDS, NO_VERDICT)


@dataclass(frozen=True)
class Comparison:
    """One paired difference among its family.

    Attributes:
        interval: Mean difference with its interval, 95 % without looks (not adjusted by Holm).
        p: Chance of a difference this large if there is none, for other seeds and utterances.
        p_holm: The same after Holm over the family.
        p_equivalent: Two one-sided tests within the margin, after Holm; NaN without a margin.
        n_family: Comparisons in the family.
        margin: Declared equivalence margin; None without one.
        gain: What the dense network gains over the unprocessed input; NaN if not known.
        sample: The paired differences.
        by_seed: Mean difference in each seed.
        n_utterances: Utterances paired.
        alpha: Level of the family.
        outside: An outside system has part in it, so that there is neither test nor verdict.
        sign: 1 where higher values of the metric are better, else -1.
    """

    interval: Interval
    p: float
    p_holm: float
    p_equivalent: float
    n_family: int
    margin: float | None
    gain: float
    sample: Sample
    by_seed: tuple[float, ...]
    n_utterances: int
    alpha: float
    outside: bool = False
    sign: int = 1

    @property
    def is_gain(self) -> bool:
        """Whether the first cell is better in the mean, whatever the direction of the metric."""
        return bool(self.sign * self.interval.estimate > 0)

    @cached_property
    def improvement(self) -> Interval:
        """Probability that the first cell scores better on an utterance."""
        scores, test_set = self.sample.values()
        return hypotheses.probability_of_improvement(self.sign * scores, test_set)

    @property
    def n_seeds(self) -> int:
        """Seeds paired."""
        return len(self.by_seed)

    @property
    def decided(self) -> bool:
        """Whether it differs from zero after Holm, over enough seeds."""
        return self.n_seeds >= FEWEST_SEEDS and bool(self.p_holm < self.alpha)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `equivalent`, `undecided`, `too few seeds` or `no verdict`.

        A difference that is decided and surely within the margin is `better, within margin`.
        """
        if self.outside:
            return NO_VERDICT
        if self.n_seeds < FEWEST_SEEDS:
            return TOO_FEW_SEEDS
        equivalent = self.p_equivalent < self.alpha
        if self.decided:
            direction = "better" if self.is_gain else "worse"
            return f"{direction}, within margin" if equivalent else direction
        return "equivalent" if equivalent else "undecided"

    @property
    def verdict_text(self) -> str:
        """The verdict as tables print it: no equivalence without what the margin is a share of."""
        verdict = self.verdict
        if "equivalent" in verdict or "within" in verdict:
            return f"{verdict} ({margin_share(self.margin, self.gain)})"
        return verdict

    def detectable(self, comparisons: int = 1) -> float:
        """Return the smallest difference found with 80 % power in a family of this size."""
        return hypotheses.detectable_effect(self.interval.components, self.alpha, comparisons)


def margin_share(margin: float | None, gain: float) -> str:
    """Return a margin as a share of what the dense network gains: `24 % of gain`."""
    if margin is None or not gain > 0:
        return "dense gain not known"
    return f"{margin / gain * 100:.0f} % of gain"


def judge(
    bundle: Bundle,
    differences: list[Sample | None],
    metric: str,
    families: list[str] | None = None,
    kinds: list[str] | None = None,
) -> list[Comparison | None]:
    """Compare differences; None (nothing to compare) stays None.

    Args:
        bundle: The study.
        differences: Paired differences.
        metric: What they are differences of.
        families: Family of each difference, for Holm; None if all are one. One family all the same
            if the study declares the whole table as its family.
        kinds: Kind of each difference: those of one kind are alike in noise and learn their
            training variance from each other (`seed_noise`). None if each has its own.
    """
    result: list[Comparison | None] = [None] * len(differences)
    used = {i: s for i, s in enumerate(differences) if s is not None and s.n_utterances}
    if not used:
        return result
    rules, samples = bundle.rules, list(used.values())
    seeds = _seed_components(samples, [kinds[i] for i in used] if kinds else None)
    intervals = [
        mean_interval(*sample.values(), sample.level, seeds=component)
        for sample, component in zip(samples, seeds, strict=True)
    ]
    apart = families if rules.family == "group" else None
    member = np.array([apart[i] if apart else "" for i in used])
    tested = np.array([not sample.outside for sample in samples])
    family = stack(intervals)
    p = np.where(tested, hypotheses.random_effects_p(family), np.nan)
    p_holm = _holm_within(p, member, tested)
    margin = rules.margins.get(metric)
    p_equivalent = np.full(len(used), np.nan)
    if margin is not None:
        p_equivalent = _holm_within(hypotheses.equivalence_p(family, margin), member, tested)
    gain, sign = dense_gain(bundle, metric), words.measure(metric).sign
    for row, (i, sample) in enumerate(used.items()):
        result[i] = Comparison(
            intervals[row], float(p[row]), float(p_holm[row]), float(p_equivalent[row]),
            int((tested & (member == member[row])).sum()), margin, gain,
            sample,
            tuple(sample.values()[0].mean(axis=1).tolist()),
            sample.n_utterances, rules.alpha, sample.outside, sign,
        )  # fmt: skip
    return result


def _seed_components(samples: list[Sample], kinds: list[str] | None) -> list[Component | None]:
    """Return the moderated training variance of each sample; None where it is its own.

    Samples learn from each other if they are of one kind and have the same seeds.
    """
    found: list[Component | None] = [None] * len(samples)
    alike: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for i, sample in enumerate(samples):
        if kinds is not None and len(sample.seeds) > 1:
            alike.setdefault((kinds[i], sample.seeds), []).append(i)
    for group in alike.values():
        component = moderated(np.stack([samples[i].values()[0].mean(axis=1) for i in group]))
        for row, i in enumerate(group):
            variance, df = np.asarray(component.variance), np.asarray(component.df)
            found[i] = Component(variance[row], df[row])
    return found


def noise_kinds(bundle: Bundle, cells: list[str]) -> list[str]:
    """Return each cell's kind of difference to a dense network: with or without late decoder.

    Late-decoder cells vary several times as much between trainings as others (STOI and SI-SDR).
    """
    late = [bundle.has(c) and bool(bundle.cell_row(c)["late_decoder"]) for c in cells]
    return ["late decoder" if has else "no late decoder" for has in late]


def _holm_within(p_values: np.ndarray, families: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Adjust within each family; NaN for what is not tested and enters no family."""
    adjusted = np.full(len(p_values), np.nan)
    for family in np.unique(families[tested]):
        members = tested & (families == family)
        adjusted[members] = hypotheses.holm(p_values[members])
    return adjusted


@lru_cache(maxsize=32)
def dense_gain(bundle: Bundle, metric: str) -> float:
    """Return what the dense network gains over the unprocessed input; NaN without either.

    Mean over the distorted utterances: the scale on which a margin is large or small.
    """
    pair = differences_to(bundle, [words.DENSE], [words.UNPROCESSED], metric)[0]
    mean = pair.mean() if pair is not None else None
    return words.measure(metric).sign * float(mean.estimate) if mean is not None else np.nan


def margin_phrase(rules: VerdictRules, metric: str, gain: float) -> str:
    """Return `±0.02 PESQ-WB (24 % of gain)`, or that the metric has no margin."""
    name, margin = words.measure(metric), rules.margins.get(metric)
    if margin is None:
        return f"no margin for {name.label}"
    return f"±{margin:g} {name.unit_label} ({margin_share(margin, gain)})"


def best_of(bundle: Bundle, samples: list[Sample | None], metric: str) -> int | None:
    """Return the row that is better than every other one after Holm; None if no row is.

    The family is the row with the highest mean against each other row. Outside systems are not
    tested: where one has the highest mean, no row is best.
    """
    means = {i: float(m.estimate) for i, s in enumerate(samples) if s and (m := s.mean())}
    if len(means) < 2:
        return None
    sign = words.measure(metric).sign
    best = max(means, key=lambda i: sign * means[i])
    winner = samples[best]
    if winner is None or winner.outside:
        return None
    others = [s for i in means if i != best and (s := samples[i]) and not s.outside]
    pairs: list[Sample | None] = [difference(winner, other) for other in others]
    judged = judge(bundle, pairs, metric)
    won = [c is not None and c.verdict.startswith("better") for c in judged]
    return best if won and all(won) else None


def differences_to(
    bundle: Bundle, cells: list[str], references: list[str | None], metric: str,
    conditions: tuple[str, ...] = words.DISTORTED,
) -> list[Sample | None]:  # fmt: skip
    """Pair cells with their references; None where either is missing."""
    mask = bundle.in_conditions(conditions)
    result: list[Sample | None] = []
    for cell, reference in zip(cells, references, strict=True):
        known = reference is not None and bundle.has(cell) and bundle.has(reference)
        if not known or cell == reference:
            result.append(None)
            continue
        pair = difference(bundle.sample(cell, metric), bundle.sample(str(reference), metric))
        result.append(pair.restrict(mask))
    return result
