"""Moderated variances: recovered priors, and error rates of whole families."""

import numpy as np
import pytest
from scipy.special import polygamma

from analysis import hypotheses, seed_noise
from analysis.statistics import mean_interval


def run_means(scores):
    """Cell to seed to mean, from scores [C, S, U]; cell 0 is the reference."""
    return {str(c): dict(enumerate(rows.mean(axis=-1))) for c, rows in enumerate(scores)}


def test_equal_variances_are_pooled():
    """Nothing is left to chance of a single cell: all get the mean variance."""
    variances, df = np.array([1.0, 1.1, 0.9, 1.05]), np.full(4, 4.0)
    moderated, df_moderated = seed_noise.moderate(variances, df)
    assert moderated == pytest.approx([variances.mean()] * 4)
    assert np.isinf(df_moderated).all()


def test_planted_prior_is_recovered():
    """Variances from a scaled inverse chi-square prior with 6 df and scale 2 (Smyth 2004)."""
    rng = np.random.default_rng(0)
    true = 2 * 6 / rng.chisquare(6, 20_000)
    sample = true * rng.chisquare(4, true.shape) / 4
    moderated, df = seed_noise.moderate(sample, np.full(true.shape, 4.0))
    assert df[0] - 4 == pytest.approx(6, rel=0.1)
    prior = (moderated[0] * df[0] - 4 * sample[0]) / (df[0] - 4)
    assert prior == pytest.approx(2, rel=0.05)
    error = np.mean((np.log(moderated) - np.log(true)) ** 2)
    assert error < 0.6 * np.mean((np.log(sample) - np.log(true)) ** 2)


@pytest.mark.parametrize("x", [0.3, 1.0, 7.0, 200.0])
def test_inverse_of_trigamma(x):
    assert seed_noise._inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_what_a_seed_does_to_all_cells_is_no_noise():
    shared = np.random.default_rng(1).normal(size=(1, 4, 1))
    noise = seed_noise.seed_noise(run_means(np.arange(5.0)[:, None, None] + shared))
    assert noise is not None
    assert max(noise.variance.values()) == pytest.approx(0, abs=1e-20)


def test_two_cells_give_the_variance_of_their_difference():
    scores = np.random.default_rng(2).normal(size=(2, 5, 1))
    noise = seed_noise.seed_noise(run_means(scores))
    assert noise is not None
    variance, df = noise.of_contrast({"0": 1, "1": -1}, 5)
    difference = scores[0, :, 0] - scores[1, :, 0]
    assert variance == pytest.approx(difference.var(ddof=1) / 5)
    assert df == pytest.approx(4)


def test_only_contrasts_between_known_cells_are_pooled():
    noise = seed_noise.seed_noise(run_means(np.random.default_rng(3).normal(size=(3, 3, 2))))
    assert noise is not None
    assert noise.of_contrast({"0": 1.0}, 3) is None
    assert noise.of_contrast({"0": 1.0, "unknown": -1.0}, 3) is None
    assert noise.of_contrast({"0": 0.0, "1": 0.0}, 3) is None
    assert noise.of_contrast({"0": 1.0, "1": -0.5, "2": -0.5}, 3) is not None


def test_one_seed_teaches_nothing():
    assert seed_noise.seed_noise({"a": {0: 1.0}, "b": {0: 2.0}}) is None


def null_family(rng, n_seeds, n_cells=31, n_utterances=60):
    """p-values and intervals of cells that differ from the reference by training noise alone."""
    scores = rng.normal(0, 0.03, (n_cells + 1, n_seeds, n_utterances))
    if n_seeds > 1:
        scores += rng.normal(0, 0.01, (n_cells + 1, n_seeds, 1)) + rng.normal(0, 0.02, (n_seeds, 1))
    noise = seed_noise.seed_noise(run_means(scores))
    differences = scores[1:] - scores[0]
    intervals = [
        mean_interval(
            d,
            seed_component=noise.of_contrast({str(c + 1): 1, "0": -1}, n_seeds) if noise else None,
        )
        for c, d in enumerate(differences)
    ]
    flips = hypotheses.sign_flip_test(differences.mean(axis=1), 2000, rng)
    p = np.maximum(flips, [hypotheses.random_effects_p(i) for i in intervals])
    return p, intervals


@pytest.mark.parametrize("n_seeds", [1, 3, 5])
def test_family_wise_error_under_a_null_grid_is_at_most_5_percent(n_seeds):
    rng = np.random.default_rng(7)
    families = [null_family(rng, n_seeds) for _ in range(150)]
    wrong = [(hypotheses.holm(p) < 0.05).any() for p, _ in families]
    covered = [i.low <= 0 <= i.high for _, intervals in families for i in intervals]
    assert np.mean(wrong) <= 0.05
    assert 0.93 <= np.mean(covered) <= 0.97


def test_without_pooling_three_seeds_would_find_what_is_not_there():
    """The reason for this module."""
    rng = np.random.default_rng(8)
    wrong = []
    for _ in range(100):
        scores = rng.normal(0, 0.03, (32, 3, 60)) + rng.normal(0, 0.01, (32, 3, 1))
        p = hypotheses.random_effects_p(mean_interval(scores[1:] - scores[0]))
        wrong.append((hypotheses.holm(p) < 0.05).any())
    assert np.mean(wrong) > 0.1
