"""Tests of paired differences, and what may be said after many of them.

All p-values belong to the intervals of `statistics`: seeds and utterances are both random.
"""

import numpy as np

from analysis.statistics.clusters import TestSet
from analysis.statistics.intervals import (
    Array,
    Component,
    Interval,
    half_width,
    mean_interval,
    tail,
)

POWER = 0.8
MOST_SEEDS = 1000


def random_effects_p(difference: Interval) -> Array:
    """Return two-sided p-values that the mean difference is zero, for networks trained anew."""
    return 2 * tail(np.abs(difference.estimate), difference.components)


def equivalence_p(difference: Interval, margin: Array | float) -> Array:
    """Return p-values of two one-sided tests: small if the difference lies within the margin.

    The larger of the p-values of `difference > -margin` and `difference < margin` (Schuirmann
    1987).
    """
    return tail(margin - np.abs(difference.estimate), difference.components)


def holm(p_values: Array) -> Array:
    """Return p-values after Holm's step-down over one family, [n]; NaN entries are no members."""
    adjusted = np.full(len(p_values), np.nan)
    members = np.flatnonzero(~np.isnan(p_values))
    order = members[np.argsort(p_values[members], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def detectable_effect(
    components: tuple[Component, ...], alpha: float = 0.05, comparisons: int = 1
) -> float:
    """Return the smallest true difference that a test finds with 80 % power.

    The sum of the half widths at both quantiles (Bloom 1995). Holm's first step tests the smallest
    of several p-values at `alpha / comparisons`.
    """
    critical = half_width(components, 1 - alpha / (2 * comparisons))
    return float(critical + half_width(components, POWER))


def seeds_needed(
    difference: float, variance: float, utterances: Component | None, alpha: float, comparisons: int
) -> int | None:
    """Return how many seeds find a difference with 80 % power after Holm; None if no number does.

    Args:
        difference: True difference, in the unit of the metric.
        variance: Variance of the contrast between trainings, of one seed.
        utterances: What the test utterances add, whatever the number of seeds.
        alpha: Level of the family.
        comparisons: Size of the family.
    """

    def found(n_seeds: int) -> bool:
        seeds = Component(variance / n_seeds, n_seeds - 1.0)
        parts = (seeds,) if utterances is None else (seeds, utterances)
        return detectable_effect(parts, alpha, comparisons) <= difference

    if not found(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # at least three: with fewer no verdict is given
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle > 1 and found(middle) else (middle, high)
    return max(high, 3)


def probability_of_improvement(differences: Array, test_set: TestSet | None = None) -> Interval:
    """Return the share of seed-utterance pairs with a positive difference, ties counted half.

    With the interval of `mean_interval`, cut to [0, 1] (Agarwal et al. 2021, here paired).
    """
    wins = (differences > 0) + 0.5 * (differences == 0)
    share = mean_interval(wins, test_set)
    low, high = np.maximum(share.low, 0), np.minimum(share.high, 1)
    return Interval(share.estimate, low, high, share.components)
