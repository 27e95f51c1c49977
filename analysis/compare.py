"""Verdicts: what may be said of a family of paired differences."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis import hypotheses
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.samples import Sample, difference
from analysis.seed_noise import SeedNoise, seed_noise
from analysis.statistics import Interval, mean_interval

ALPHA = 0.05
N_FLIPS = 10_000  # at least; 100 for each comparison, so that Holm can decide
RANDOM_STATE = 0  # of every table and figure, so that a report can be repeated byte by byte


@dataclass(frozen=True)
class Comparison:
    """One paired difference among its family.

    Attributes:
        interval: Mean difference with its 95 % interval (not adjusted).
        p_flip: Sign-flip p-value: chance of the utterances, for these trained networks.
        p_anew: Random-effects p-value: chance of seeds and utterances, for networks trained anew.
        p: The larger of the two: a difference has to exceed both chances.
        p_holm: The same after Holm over the family.
        p_equivalent: Two one-sided tests within the margin, after Holm; NaN without a margin.
        improvement: Probability that the first cell scores higher on an utterance.
        detectable: Smallest difference that the test finds with 80 % power, before Holm.
        n_seeds: Seeds paired.
        n_utterances: Utterances paired.
    """

    interval: Interval
    p_flip: float
    p_anew: float
    p: float
    p_holm: float
    p_equivalent: float
    improvement: Interval
    detectable: float
    n_seeds: int
    n_utterances: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `equivalent` or `undecided`, at 5 % for the whole family."""
        equivalent = self.p_equivalent < ALPHA
        if self.p_holm < ALPHA:
            direction = "better" if self.interval.estimate > 0 else "worse"
            return f"{direction}, within margin" if equivalent else direction
        return "equivalent" if equivalent else "undecided"


def judge(
    bundle: Bundle,
    differences: list[Sample | None],
    metric: str,
    conditions: tuple[str, ...] = words.DISTORTED,
    families: list[str] | None = None,
) -> list[Comparison | None]:
    """Compare differences; None (nothing to compare) stays None.

    What training anew adds is learned from all cells of the study (`seed_noise`) where a
    difference is between cells.

    Args:
        bundle: The study.
        differences: Paired differences.
        metric: What they are differences of.
        conditions: Conditions they were restricted to.
        families: Family of each difference, for Holm; None if all are one.
    """
    result: list[Comparison | None] = [None] * len(differences)
    used = {i: s for i, s in enumerate(differences) if s is not None and s.n_utterances}
    if not used:
        return result
    noise = study_noise(bundle, metric, conditions)
    intervals = [_difference_interval(sample, noise) for sample in used.values()]
    member = np.array([families[i] if families else "" for i in used])
    averages = np.stack([s.seed_average() for s in used.values()])
    n_flips = max(N_FLIPS, 100 * int(np.unique(member, return_counts=True)[1].max()))
    flips = hypotheses.sign_flip_test(averages, n_flips, np.random.default_rng(RANDOM_STATE))
    anew = np.array([hypotheses.random_effects_p(i) for i in intervals])
    p_values = np.where(np.isnan(anew), np.nan, np.maximum(flips, anew))
    adjusted = _holm_within(p_values, member)
    equivalent = np.full(len(used), np.nan)
    if (margin := margin_of(metric)) is not None:
        each = np.array([hypotheses.equivalence_p(i, margin) for i in intervals])
        equivalent = _holm_within(each, member)
    for row, (i, sample) in enumerate(used.items()):
        p = (flips[row], anew[row], p_values[row], adjusted[row], equivalent[row])
        result[i] = _comparison(sample, intervals[row], *p)
    return result


def _comparison(sample: Sample, interval: Interval, *p_values: float) -> Comparison:
    detectable = hypotheses.minimum_detectable_effect(interval.standard_error, interval.df)
    return Comparison(
        interval, *p_values,
        improvement=hypotheses.probability_of_improvement(*sample.values()),
        detectable=float(detectable),
        n_seeds=len(sample.seeds), n_utterances=sample.n_utterances,
    )  # fmt: skip


def _holm_within(p_values: np.ndarray, families: np.ndarray) -> np.ndarray:
    adjusted = np.empty(len(p_values))
    for family in np.unique(families):
        adjusted[families == family] = hypotheses.holm(p_values[families == family])
    return adjusted


@lru_cache(maxsize=32)
def study_noise(bundle: Bundle, metric: str, conditions: tuple[str, ...]) -> SeedNoise | None:
    """Seed noise of every trained cell in a metric's mean over these conditions."""
    mask = bundle.in_conditions(conditions)
    scores = bundle.scores[metric][words.COUNTERFACTUALS.index("learned")][:, mask]
    means: dict[str, dict[int, float]] = {}
    for cell, seed, row in zip(bundle.runs["cell"], bundle.runs["seed"], scores, strict=True):
        if cell != words.UNPROCESSED and not np.isnan(row).all():
            means.setdefault(cell, {})[seed] = float(np.nanmean(row))
    return seed_noise(means)


def _difference_interval(sample: Sample, noise: SeedNoise | None) -> Interval:
    """Interval of a mean difference; seeds pooled over the study where they can be."""
    scores, strata = sample.values()
    pooled = None
    if noise is not None and len(sample.seeds) > 1:
        pooled = noise.of_contrast(sample.weights, len(sample.seeds))
    return mean_interval(scores, strata, seed_component=pooled)


def margin_of(metric: str) -> float | None:
    """Declared equivalence margin of a metric, in its unit."""
    return words.EQUIVALENCE_MARGIN_PESQ if metric == words.PRIMARY else None


def best_of(
    bundle: Bundle, samples: list[Sample | None], metric: str, conditions: tuple[str, ...]
) -> int | None:
    """Row that is better than every other one after Holm; None if no row is.

    The family is the row with the highest mean against each other row.
    """
    means = {i: float(m.estimate) for i, s in enumerate(samples) if s and (m := s.mean())}
    if len(means) < 2:
        return None
    best = max(means, key=lambda i: means[i])
    winner, others = samples[best], [samples[i] for i in means if i != best]
    pairs = [difference(winner, other) if winner and other else None for other in others]
    comparisons = judge(bundle, pairs, metric, conditions)
    if all(c is not None and c.p_holm < ALPHA and c.interval.estimate > 0 for c in comparisons):
        return best
    return None


def equal_cost_reference(bundle: Bundle, cell: str) -> str | None:
    """The cheapest plain network that costs at least as many MACs as the cell (up to 5 % less).

    None if the study has no such network: its comparison would favour the dearer one.
    """
    row = bundle.cell_row(cell)
    plain = [c for c in (words.DENSE, *words.DENSE_CONTROLS) if bundle.has(c) and c != cell]
    costs = {c: float(bundle.cell_row(c)["macs"]) for c in plain}
    enough = [c for c in plain if costs[c] >= 0.95 * float(row["macs"])]
    return min(enough, key=lambda c: costs[c]) if enough else None


def differences_to(
    bundle: Bundle, cells: list[str], references: list[str | None], metric: str,
    conditions: tuple[str, ...] = words.DISTORTED,
) -> list[Sample | None]:  # fmt: skip
    """Paired differences of cells to their references; None where either is missing."""
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
