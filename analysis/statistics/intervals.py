"""Intervals and tail probabilities of a mean over trainings and test utterances.

Model: ``d[s, u] = mean + seed[s] + utterances[u] + rest[s, u]``, where d is any linear combination
of cells (a cell, a paired difference, a factorial effect), formed seed by seed and utterance by
utterance before anything is estimated. Seeds stand for trainings that could have been run,
utterances for recordings that could have been tested; a difference counts only if it would survive
other seeds and other utterances.

    V_seeds      = var_s(d[s, .]) / S               S - 1 degrees of freedom, contains the rest
    V_utterances = clusters of d[., u] - V_rest      see `clusters`; not below zero
    V            = V_seeds + V_utterances,  r = share of V whose t quantile is the larger one
    half width   = sqrt(V (t_small^2 + (t_large^2 - t_small^2) (r + r^2) / 2))

The seeds' variance is the contrast's own: cells of one seed share batches and initial values, so
they are no independent draws and nothing is summed over cells. Where many contrasts of one kind
exist, their variances are moderated (`seed_noise`).

The half width is exact where either variance is zero. Between, it takes the mean of Howe's (1974)
square, with r, which is too wide (coverage up to 98 % at three seeds), and of the first order of
Welch's (1947), with r^2, which is too narrow in the tails that Holm needs. Satterthwaite's one t
quantile for V is worse there: after a small V_seeds that chance made, it takes the many degrees of
freedom of the utterances (8 to 23 % false families at three seeds). Coverage and error rates:
`tests/analysis/error_rates.py`.

Axes: S seeds, U utterances.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from analysis.statistics.clusters import Component, TestSet, utterance_component

Array = np.ndarray
_SMALLEST_P = 1e-12
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty; every field has the shape of the estimate.

    `low` and `high` are symmetric about the estimate, NaN where nothing varies that could be
    counted (one score). `components` are the variances that the interval is made of.
    """

    estimate: Array
    low: Array
    high: Array
    components: tuple[Component, ...] = ()

    @property
    def half_width(self) -> Array:
        """Half the interval: the number behind the plus-minus sign."""
        return (self.high - self.low) / 2

    @property
    def standard_error(self) -> Array:
        """Root of the variance of the estimate; NaN without components."""
        if not self.components:
            return np.full(np.shape(self.estimate), np.nan)
        return np.sqrt(np.asarray(sum(part.variance for part in self.components)))


def stack(intervals: list[Interval]) -> Interval:
    """Return scalar intervals as one with arrays, [n]; of at most two components each.

    A component that is absent has variance zero; without any, all is NaN.
    """
    parts = []
    for k in range(2):
        each = [i.components[k] if len(i.components) > k else _absent(i) for i in intervals]
        variance = np.array([float(c.variance) for c in each])
        parts.append(Component(variance, np.array([float(c.df) for c in each])))
    estimate, low, high = (
        np.array([float(value) for value in values])
        for values in zip(*((i.estimate, i.low, i.high) for i in intervals), strict=True)
    )
    return Interval(estimate, low, high, tuple(parts))


def _absent(interval: Interval) -> Component:
    return Component(0.0 if interval.components else np.nan, np.inf)


def mean_interval(
    scores: Array,
    test_set: TestSet | None = None,
    level: float = LEVEL,
    seeds: Component | None = None,
) -> Interval:
    """Return the mean over seeds and utterances with its interval.

    With one seed the interval is over utterances alone, with one utterance over seeds alone.

    Args:
        scores: [..., S, U], finite.
        test_set: Strata and clusters of the utterances; None if they have nothing in common.
        level: Coverage.
        seeds: Variance of the mean over seeds and its degrees of freedom where more is known than
            these scores show (see `seed_noise`).
    """
    known = test_set if test_set is not None else TestSet.of_size(scores.shape[-1])
    components = _components(scores, known, seeds)
    means = np.asarray(scores.mean(axis=(-2, -1)))
    half = half_width(components, 0.5 + level / 2)
    if not components:
        half = np.full(np.shape(means), np.nan)
    return Interval(means, means - half, means + half, components)


def _components(scores: Array, test_set: TestSet, seeds: Component | None) -> tuple[Component, ...]:
    n_seeds = scores.shape[-2]
    utterances = utterance_component(scores.mean(axis=-2), test_set)
    if n_seeds < 2:
        return (utterances,) if utterances is not None else ()
    if seeds is None:
        seeds = Component(scores.mean(axis=-1).var(axis=-1, ddof=1) / n_seeds, n_seeds - 1.0)
    if utterances is None:
        return (seeds,)
    beyond = np.maximum(utterances.variance - rest_variance(scores, test_set), 0)
    return seeds, Component(beyond, utterances.df)


def rest_variance(scores: Array, test_set: TestSet) -> Array:
    """Return what the rest, seed by utterance, adds to the variance of the mean, [...].

    It is part of both other variances, but adds only once.

    Args:
        scores: [..., S, U] of at least two seeds.
        test_set: Strata of the utterances.
    """
    n_seeds = scores.shape[-2]
    around = scores - scores.mean(axis=-2, keepdims=True)
    squares = (test_set.residuals(around) ** 2).sum(axis=-2)
    return squares @ test_set.own_weights / (n_seeds * (n_seeds - 1))


def half_width(components: tuple[Component, ...], probability: float | Array) -> Array:
    """Return the distance from the mean beyond which a tail of 1 - `probability` lies.

    Args:
        components: At most two; NaN without any.
        probability: Above 0.5.
    """
    if not components:
        return np.asarray(np.nan)
    squares = [t_quantile(probability, c.df) ** 2 for c in components]
    howe = sum(t * c.variance for t, c in zip(squares, components, strict=True))
    if len(components) == 1:
        return np.sqrt(np.asarray(howe))
    product = np.asarray(components[0].variance * components[1].variance)
    total = np.asarray(components[0].variance + components[1].variance)
    both = np.divide(product, total, out=np.zeros(np.shape(total)), where=total > 0)
    return np.sqrt(howe - np.abs(squares[0] - squares[1]) * both / 2)


def tail(distance: Array | float, components: tuple[Component, ...]) -> Array:
    """Return the one-sided p-value of a mean this far above its value under the hypothesis.

    Inverts `half_width`, so that an interval of level 1 - 2p just touches the hypothesis. Not
    below 1e-12; NaN without components.
    """
    if not components:
        return np.full(np.shape(distance), np.nan)
    size = np.abs(np.asarray(distance, dtype=float))
    shape = np.broadcast_shapes(size.shape, *(np.shape(c.variance) for c in components))
    low, high = np.full(shape, np.log(_SMALLEST_P)), np.full(shape, np.log(0.5))
    for _ in range(50):  # bisection of the logarithm, to 1e-14 of it
        middle = (low + high) / 2
        inside = half_width(components, 1 - np.exp(middle)) >= size
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    p = np.where(size == 0, 0.5, np.exp(high))
    p = np.where(np.isnan(half_width(components, 0.9)), np.nan, p)
    return np.where(np.asarray(distance) >= 0, p, 1 - p)


def t_quantile(probability: float | Array, df: Array | float) -> Array:
    """Return the quantile of Student's t; `df` may be fractional or infinite."""
    return stdtrit(np.minimum(df, 1e9), probability)
