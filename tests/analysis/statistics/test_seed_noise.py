"""Moderated variances: recovered priors, joint degrees of freedom, and what they protect from."""

import numpy as np
import pytest
from scipy.special import polygamma

from analysis.statistics import hypotheses, seed_noise
from analysis.statistics.clusters import Component
from analysis.statistics.intervals import Interval


def test_equal_variances_are_pooled():
    """Nothing is left to chance of a single contrast: all get the mean variance."""
    variances = np.array([1.0, 1.1, 0.9, 1.05])
    moderated, df = seed_noise.moderate(variances, 4.0)
    assert moderated == pytest.approx([variances.mean()] * 4)
    assert np.isinf(df).all()


def test_planted_prior_is_recovered():
    """Variances from a scaled inverse chi-square prior with 6 df and scale 2 (Smyth 2004)."""
    rng = np.random.default_rng(0)
    true = 2 * 6 / rng.chisquare(6, 20_000)
    sample = true * rng.chisquare(4, true.shape) / 4
    moderated, df = seed_noise.moderate(sample, 4.0)
    assert df[0] - 4 == pytest.approx(6, rel=0.1)
    prior = (moderated[0] * df[0] - 4 * sample[0]) / (df[0] - 4)
    assert prior == pytest.approx(2, rel=0.05)
    error = np.mean((np.log(moderated) - np.log(true)) ** 2)
    assert error < 0.6 * np.mean((np.log(sample) - np.log(true)) ** 2)


def test_variances_are_moderated_study_by_study():
    rng = np.random.default_rng(1)
    studies = rng.chisquare(2, (5, 12))
    together = seed_noise.moderate(studies, 2.0)
    for i, study in enumerate(studies):
        alone = seed_noise.moderate(study, 2.0)
        assert together[0][i] == pytest.approx(alone[0])
        assert together[1][i] == pytest.approx(alone[1])


@pytest.mark.parametrize("x", [0.3, 1.0, 7.0, 200.0])
def test_inverse_of_trigamma(x):
    assert seed_noise._inverse_trigamma(polygamma(1, x)) == pytest.approx(x, rel=1e-6)


def test_contrasts_that_move_together_have_the_degrees_of_freedom_of_one():
    shared = np.random.default_rng(2).normal(size=(200, 1, 3))
    assert seed_noise.joint_df(np.repeat(shared, 20, axis=1)) == pytest.approx([2] * 200)
    component = seed_noise.moderated(np.repeat(shared[0], 20, axis=0))
    own = shared[0, 0].var(ddof=1) / 3
    assert component.variance == pytest.approx([own] * 20)
    assert component.df == pytest.approx([2] * 20)


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_independent_contrasts_add_their_degrees_of_freedom(n_seeds):
    """A sixth of them or more, not all: the estimate errs towards too few."""
    by_seed = np.random.default_rng(3).normal(size=(2000, 20, n_seeds))
    share = np.median(seed_noise.joint_df(by_seed)) / (20 * (n_seeds - 1))
    assert 0.15 < share < 1


@pytest.mark.parametrize("shape", [(seed_noise.FEWEST - 1, 3), (20, 2)])
def test_few_contrasts_and_two_seeds_keep_their_own_variance(shape):
    by_seed = np.random.default_rng(4).normal(size=shape)
    component = seed_noise.moderated(by_seed)
    assert component.variance == pytest.approx(by_seed.var(axis=1, ddof=1) / shape[1])
    assert (component.df == shape[1] - 1).all()


def test_no_variance_at_all():
    component = seed_noise.moderated(np.ones((10, 3)))
    assert (component.variance == 0).all()
    assert np.isfinite(component.df).all()


def null_families(seeds, rng, n=400, n_contrasts=31):
    """By seed: differences to one noisy reference, all of them zero in truth."""
    cells = rng.normal(size=(n, n_contrasts, seeds))
    return cells - rng.normal(size=(n, 1, seeds))


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_shared_reference_makes_no_false_families(n_seeds):
    by_seed = null_families(n_seeds, np.random.default_rng(5))
    component = seed_noise.moderated(by_seed)
    means = by_seed.mean(axis=-1)
    p = hypotheses.random_effects_p(Interval(means, means, means, (component,)))
    assert np.mean([hypotheses.holm(row).min() < 0.05 for row in p]) <= 0.07


def test_cells_taken_for_independent_draws_would_be_sure_of_what_is_not_there():
    """The reason for this module: what a seed does to a factor does not average over cells.

    The variance of a main effect over 32 cells, summed over cells, misses the slope of the seed.
    """
    rng = np.random.default_rng(6)
    on = np.repeat([-0.5, 0.5], 16)
    cells = 0.006 * rng.normal(size=(2000, 32, 3))
    cells += 0.010 * on[:, None] * rng.normal(size=(2000, 1, 3))
    by_seed = np.einsum("c,ncs->ns", on / 8, cells)
    within = (cells - cells.mean(axis=-1, keepdims=True)) - cells.mean(axis=1, keepdims=True)
    pooled = (within**2).sum(axis=(1, 2)) / (31 * 2)
    summed = Component(pooled * (1 / 8) / 3, 62.0)
    own = Component(by_seed.var(axis=-1, ddof=1) / 3, 2.0)
    means = by_seed.mean(axis=-1)
    wrong = [
        np.mean(hypotheses.random_effects_p(Interval(means, means, means, (c,))) < 0.05)
        for c in (summed, own)
    ]
    assert wrong[0] > 0.2
    assert wrong[1] == pytest.approx(0.05, abs=0.02)
