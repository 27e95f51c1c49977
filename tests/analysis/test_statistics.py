"""Crossed intervals: closed forms, scipy, the resampled version, and simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import bootstrap_interval, bootstrap_means, mean_interval, t_quantile

STRATA = np.repeat([0, 1, 2], 20)


def simulated(rng, n, n_seeds, *sds, n_utterances=60):
    """Scores [n, S, U] of n studies with true mean 0 and fixed differences between strata."""
    seed_sd, utterance_sd, rest_sd = sds
    scores = seed_sd * rng.normal(size=(n, n_seeds, 1))
    scores = scores + utterance_sd * rng.normal(size=(n, 1, n_utterances))
    scores = scores + rest_sd * rng.normal(size=(n, n_seeds, n_utterances))
    return scores + np.repeat([0.0, 0.3, -0.3], n_utterances // 3)


def coverage(interval, truth=0.0):
    return np.mean((interval.low <= truth) & (truth <= interval.high))


def test_one_seed_is_the_t_interval_over_utterances():
    scores = np.random.default_rng(0).normal(size=(1, 25))
    ours = mean_interval(scores)
    reference = stats.ttest_1samp(scores[0], 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), rel=1e-12)


def test_one_utterance_is_the_t_interval_over_seeds():
    scores = np.random.default_rng(0).normal(size=(6, 1))
    ours = mean_interval(scores)
    reference = stats.ttest_1samp(scores[:, 0], 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), rel=1e-12)


def test_one_score_has_no_interval():
    one = mean_interval(np.array([[1.5]]))
    assert one.estimate == 1.5
    assert np.isnan(one.low) and np.isnan(one.high)


def test_variance_without_rest_is_the_sum_of_both_factors():
    seeds, utterances = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 5.0, 6.0])
    interval = mean_interval(seeds[:, None] + utterances)
    expected = seeds.var(ddof=1) / 3 + utterances.var(ddof=1) / 4
    assert interval.standard_error**2 == pytest.approx(expected, rel=1e-12)


def test_components_equal_two_way_analysis_of_variance():
    """Mean squares of the textbook table, one stratum; the rest dominates no factor here."""
    rng = np.random.default_rng(3)
    y = simulated(rng, 1, 4, 0.5, 0.5, 0.2, n_utterances=12)[0]
    rows, columns, grand = y.mean(1), y.mean(0), y.mean()
    ms_rows = 12 * ((rows - grand) ** 2).sum() / 3
    ms_columns = 4 * ((columns - grand) ** 2).sum() / 11
    rest = y - rows[:, None] - columns + grand
    ms_rest = (rest**2).sum() / 33
    variance = (ms_rows + ms_columns - ms_rest) / 48
    assert mean_interval(y).standard_error ** 2 == pytest.approx(variance, rel=1e-12)
    spread = ms_rows**2 / 3 + ms_columns**2 / 11 + ms_rest**2 / 33
    assert mean_interval(y).df == pytest.approx((variance * 48) ** 2 / spread, rel=1e-12)


def test_strata_remove_their_differences_from_the_uncertainty():
    scores = np.random.default_rng(0).normal(size=(1, 60)) + 10 * STRATA
    stratified = mean_interval(scores, STRATA)
    within = sum(20**2 * scores[0, k == STRATA].var(ddof=1) / 20 for k in range(3)) / 60**2
    assert stratified.standard_error**2 == pytest.approx(within, rel=1e-12)
    assert stratified.half_width < mean_interval(scores).half_width / 5


@pytest.mark.parametrize("sds", [(0.02, 0.15, 0.03), (0.03, 0.03, 0.1), (0.0, 0.1, 0.1)])
def test_resampling_agrees_with_the_closed_form(sds):
    scores = simulated(np.random.default_rng(5), 1, 5, *sds)
    closed = mean_interval(scores[0], STRATA)
    drawn = bootstrap_interval(
        lambda means: means[..., 0], scores, 20_000, np.random.default_rng(0), STRATA
    )
    assert drawn.estimate == pytest.approx(closed.estimate)
    assert drawn.standard_error == pytest.approx(closed.standard_error, rel=0.05)


def test_resampling_serves_ratios():
    """Delta method: the ratio of two independent means, one seed."""
    rng = np.random.default_rng(2)
    scores = np.stack([2 + rng.normal(0, 0.1, (1, 400)), 4 + rng.normal(0, 0.1, (1, 400))])
    ratio = bootstrap_interval(lambda m: m[..., 0] / m[..., 1], scores, 4000, rng)
    a, b = scores.mean(axis=(1, 2))
    covariance = np.cov(scores[:, 0]) / 400
    gradient = np.array([1 / b, -a / b**2])
    expected = np.sqrt(gradient @ covariance @ gradient)
    assert ratio.estimate == pytest.approx(a / b)
    assert ratio.standard_error == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize(
    "sds", [(0.01, 0.05, 0.05), (0.005, 0.02, 0.05), (0.0, 0.05, 0.05), (0.01, 0.15, 0.03)]
)
def test_coverage_lies_between_93_and_97_percent(n_seeds, sds):
    scores = simulated(np.random.default_rng(11), 3000, n_seeds, *sds)
    assert 0.93 <= coverage(mean_interval(scores, STRATA)) <= 0.97


def test_coverage_over_utterances_alone_with_one_seed():
    scores = simulated(np.random.default_rng(12), 4000, 1, 0, 0.05, 0.05)
    assert 0.93 <= coverage(mean_interval(scores, STRATA)) <= 0.97


def test_coverage_of_the_resampled_interval():
    rng = np.random.default_rng(13)
    studies = simulated(rng, 400, 4, 0.02, 0.05, 0.05)
    found = [
        bootstrap_interval(lambda m: m[..., 0], study[None], 300, rng, STRATA) for study in studies
    ]
    share = np.mean([i.low <= 0 <= i.high for i in found])
    assert 0.93 <= share <= 0.97


def test_the_percentile_bootstrap_would_not_cover():
    """The reason for the correction: three seeds, training noise alone, 75 % instead of 95 %."""
    rng = np.random.default_rng(14)
    covered = []
    for study in simulated(rng, 400, 3, 0.05, 0, 0.001):
        drawn = bootstrap_means(study[None], 300, rng, STRATA)[:, 0]
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered.append(low <= 0 <= high)
    assert 0.65 < np.mean(covered) < 0.85


def test_resamples_keep_cells_paired_and_strata_whole():
    """Two cells that differ by a constant do so in every resample; strata keep their sizes."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(1, 4, 60))
    drawn = bootstrap_means(np.concatenate([scores, scores + 1]), 50, rng, STRATA)
    assert np.allclose(drawn[:, 1] - drawn[:, 0], 1)
    by_stratum = np.broadcast_to(STRATA * 1.0, (1, 4, 60))
    assert np.allclose(bootstrap_means(by_stratum, 50, rng, STRATA), 1)


def test_resampling_one_factor_leaves_the_other():
    rng = np.random.default_rng(0)
    by_seed = np.broadcast_to(np.arange(4.0)[:, None], (1, 4, 30))
    assert np.ptp(bootstrap_means(by_seed, 50, rng, factors=("utterances",))) == 0
    assert np.ptp(bootstrap_means(by_seed, 50, rng, factors=("seeds",))) > 0


def test_t_quantile_equals_scipy_and_takes_infinite_df():
    df = np.array([1.0, 2.5, 30.0, np.inf])
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-6)


@pytest.mark.slow
def test_ten_thousand_resamples_of_a_full_study_take_seconds():
    import resource
    import time

    scores = np.random.default_rng(0).normal(size=(250, 3, 300))
    start = time.perf_counter()
    drawn = bootstrap_means(scores, 10_000, np.random.default_rng(1), np.arange(300) // 100)
    assert drawn.shape == (10_000, 250)
    assert time.perf_counter() - start < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20  # KiB
