"""Tests of paired differences, and what may be said after many of them.

Differences are [S, U]: one per seed (both cells trained with it) and utterance (both heard it).
"""

import numpy as np
from scipy.special import stdtr

from analysis.statistics import Array, Interval, mean_interval, t_quantile

_FLIPS_PER_BLOCK = 2000


def sign_flip_test(differences: Array, n_flips: int, rng: np.random.Generator) -> Array:
    """Two-sided p-values that the mean difference is zero, for these trained networks.

    Resampled: the sign of each utterance's difference (averaged over seeds), in common for all
    comparisons; under the null hypothesis both signs are equally likely. The observed signs count
    as one of the flips, so the smallest p-value is 1 / (n_flips + 1).

    Args:
        differences: [..., U], averaged over seeds; 0 where an utterance does not take part.
        n_flips: Random sign patterns.
        rng: Source of the signs.
    """
    flat = differences.reshape(-1, differences.shape[-1])
    observed = np.abs(flat.sum(axis=1)) * (1 - 1e-12)  # ties count, whatever the rounding
    exceeding = np.zeros(len(flat))
    for start in range(0, n_flips, _FLIPS_PER_BLOCK):
        n = min(_FLIPS_PER_BLOCK, n_flips - start)
        signs = rng.integers(0, 2, (n, flat.shape[1]), dtype=np.int8) * 2.0 - 1.0
        exceeding += (np.abs(signs @ flat.T) >= observed).sum(axis=0)
    return ((1 + exceeding) / (1 + n_flips)).reshape(differences.shape[:-1])


def random_effects_p(difference: Interval) -> Array:
    """Two-sided p-values that the mean difference is zero, for networks trained anew.

    The t test that belongs to `mean_interval`: seeds and utterances are both random.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference.estimate) / difference.standard_error
    t = np.where(difference.estimate == 0, 0.0, t)
    return 2 * stdtr(np.minimum(difference.df, 1e9), -t)


def equivalence_p(difference: Interval, margin: float) -> Array:
    """Two one-sided tests (Schuirmann 1987): small if the difference lies within +-margin.

    p is the larger of the two one-sided p-values of `difference > -margin` and `< margin`.
    """
    with np.errstate(divide="ignore"):
        t = (margin - np.abs(difference.estimate)) / difference.standard_error
    return stdtr(np.minimum(difference.df, 1e9), -t)


def holm(p_values: Array) -> Array:
    """Holm's step-down adjustment over one family, [n]; NaN entries are no members of it."""
    adjusted = np.full(len(p_values), np.nan)
    members = np.flatnonzero(~np.isnan(p_values))
    order = members[np.argsort(p_values[members], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def minimum_detectable_effect(
    standard_error: Array, df: Array, alpha: float = 0.05, power: float = 0.8
) -> Array:
    """Smallest true difference that one test at `alpha` finds with probability `power`.

    Uses the sum of the two t quantiles (Bloom 1995), in the unit of the difference.
    """
    return (t_quantile(1 - alpha / 2, df) + t_quantile(power, df)) * standard_error


def probability_of_improvement(differences: Array, strata: Array | None = None) -> Interval:
    """Share of seed-utterance pairs with a positive difference, ties counted half.

    With the crossed interval of `mean_interval`, cut to [0, 1] (Agarwal et al. 2021, here paired).
    """
    wins = (differences > 0) + 0.5 * (differences == 0)
    share = mean_interval(wins, strata)
    low, high = np.maximum(share.low, 0), np.minimum(share.high, 1)
    return Interval(share.estimate, low, high, share.standard_error, share.df)
