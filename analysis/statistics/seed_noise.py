"""How much training anew changes a contrast, learned from many contrasts of one kind.

Three seeds say little about one contrast's spread: its variance ``v[k] = var_s(d[k, s])`` has two
degrees of freedom, and after Holm over 31 placements nothing could ever be decided. Contrasts of
one kind (differences of placements to the dense network) are alike in noise, and together say more
(Smyth 2004, "Linear models and empirical Bayes methods", eqs. 2 to 6):

    moderated v[k] = (df0 v0 + df v[k]) / (df0 + df),      df = S - 1

They also share the reference, the batches and what a seed does to a factor, so they are no
independent witnesses: the prior's ``df0`` comes out too large. No moderated variance is therefore
given more degrees of freedom than all contrasts of its kind together have (`joint_df`): for
contrasts that move together that is S - 1, and nothing is gained. Contrasts of unlike noise (with
and without the late decoder) are of two kinds; few contrasts (main effects, Shapley values, axes)
are not moderated at all.

Axes: K contrasts of one kind, S seeds.
"""

import numpy as np
from scipy.special import digamma, polygamma

from analysis.statistics.clusters import Component

Array = np.ndarray
FEWEST = 8  # contrasts of one kind, below which a prior cannot be learned
_MOST_DF = 1e6


def moderated(by_seed: Array) -> Component:
    """Return the variance of each contrast's mean over seeds and its degrees of freedom, [..., K].

    With fewer than `FEWEST` contrasts or three seeds the contrasts' own variances.

    Args:
        by_seed: Mean of each contrast in each seed, [..., K, S], at least two seeds.
    """
    n_contrasts, n_seeds = by_seed.shape[-2:]
    own, df = by_seed.var(axis=-1, ddof=1), n_seeds - 1.0
    if n_contrasts < FEWEST or n_seeds < 3:
        return Component(own / n_seeds, np.full(own.shape, df))
    variance, df_moderated = moderate(own, df)
    limit = np.maximum(joint_df(by_seed), df)[..., None]
    return Component(variance / n_seeds, np.minimum(df_moderated, limit))


def joint_df(by_seed: Array) -> Array:
    """Return the degrees of freedom of the mean of all contrasts' variances, [...].

    With the covariance ``C`` of the contrasts they are ``(S - 1) tr(C)^2 / tr(C^2)``. With the
    sample covariance of few seeds that is too low, with unbiased estimates of both traces (Bai and
    Saranadasa 1996) the ratio is too high; the harmonic mean of both is returned (simulated).

    Args:
        by_seed: [..., K, S].
    """
    n_seeds = by_seed.shape[-1]
    df = n_seeds - 1.0
    around = by_seed - by_seed.mean(axis=-1, keepdims=True)
    gram = np.swapaxes(around, -1, -2) @ around / df  # [..., S, S]; same traces as C
    trace = np.trace(gram, axis1=-2, axis2=-1)
    of_square = (gram**2).sum(axis=(-2, -1))
    unbiased = (of_square - trace**2 / df) * df**2 / ((df - 1) * (df + 2))
    squared = np.maximum(trace**2 - 2 * unbiased / df, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = (of_square / trace**2 + np.maximum(unbiased, 0) / squared) / (2 * df)
        return np.where(inverse > 0, 1 / inverse, df)


def moderate(variances: Array, df: float) -> tuple[Array, Array]:
    """Return variances [..., K] shrunk towards a common one, and their degrees of freedom.

    The prior's mean and weight come from the moments of the logarithms; if these scatter no more
    than chance makes them, all variances are one, and their mean is taken.
    """
    middle = np.median(variances, axis=-1, keepdims=True)
    lowest = np.where(middle > 0, 1e-5 * middle, 1.0)
    logs = np.log(np.maximum(variances, lowest)) - digamma(df / 2) + np.log(df / 2)
    excess = logs.var(axis=-1, ddof=1, keepdims=True) - polygamma(1, df / 2)
    df_prior = np.where(excess > 0, 2 * _inverse_trigamma(np.maximum(excess, 1e-6)), np.inf)
    half = np.minimum(df_prior, _MOST_DF) / 2
    prior = np.exp(logs.mean(axis=-1, keepdims=True) + digamma(half) - np.log(half))
    shrunk = (2 * half * prior + df * variances) / (2 * half + df)
    common = variances.mean(axis=-1, keepdims=True)
    same = np.isinf(df_prior) | (middle == 0)
    total = np.broadcast_to(np.where(same, np.inf, df_prior + df), variances.shape)
    return np.where(same, common, shrunk), total


def _inverse_trigamma(value: Array) -> Array:
    """Invert trigamma by Newton's method on 1 / trigamma, which is nearly linear.

    Source: Smyth 2004, appendix.
    """
    x = 0.5 + 1 / np.asarray(value, dtype=float)
    for _ in range(50):
        trigamma = polygamma(1, x)
        x = x + trigamma * (1 - trigamma / value) / polygamma(2, x)
    return x
