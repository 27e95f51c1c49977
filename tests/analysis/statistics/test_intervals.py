"""Intervals over seeds and utterances: closed forms, scipy, and simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.clusters import Component, TestSet
from analysis.statistics.intervals import (
    half_width,
    mean_interval,
    rest_variance,
    stack,
    t_quantile,
    tail,
)

CONDITIONS = TestSet(np.repeat([0, 1, 2], 20))


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
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), rel=1e-9)


def test_one_utterance_is_the_t_interval_over_seeds():
    scores = np.random.default_rng(0).normal(size=(6, 1))
    ours = mean_interval(scores)
    reference = stats.ttest_1samp(scores[:, 0], 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), rel=1e-9)


def test_one_score_has_no_interval():
    one = mean_interval(np.array([[1.5]]))
    assert one.estimate == 1.5
    assert np.isnan(one.low) and np.isnan(one.high) and np.isnan(one.standard_error)


def test_seeds_that_agree_leave_the_t_interval_over_utterances():
    """The half width is exact where one of the variances is zero."""
    values = np.random.default_rng(1).normal(size=30)
    agreed = mean_interval(np.broadcast_to(values, (4, 30)))
    assert agreed.half_width == pytest.approx(mean_interval(values[None]).half_width, rel=1e-9)


def test_variance_without_rest_is_the_sum_of_both_factors():
    seeds, utterances = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 5.0, 6.0])
    interval = mean_interval(seeds[:, None] + utterances)
    of_seeds, of_utterances = seeds.var(ddof=1) / 3, utterances.var(ddof=1) / 4
    assert interval.standard_error**2 == pytest.approx(of_seeds + of_utterances, rel=1e-12)
    howe = t_quantile(0.975, 2) ** 2 * of_seeds + t_quantile(0.975, 3) ** 2 * of_utterances
    assert interval.half_width < np.sqrt(howe)


def test_half_width_is_between_welch_and_howe():
    """Quantiles squared, weighted with r squared and with r: the mean of both, written out."""
    seeds, utterances = Component(0.3, 2.0), Component(0.1, 50.0)
    large, small = t_quantile(0.975, 2.0) ** 2, t_quantile(0.975, 50.0) ** 2
    howe = 0.4 * (small + (large - small) * 0.75)
    welch = 0.4 * (small + (large - small) * 0.75**2)
    found = half_width((seeds, utterances), 0.975)
    assert found == pytest.approx(np.sqrt((howe + welch) / 2), rel=1e-12)
    assert found == pytest.approx(half_width((utterances, seeds), 0.975), rel=1e-12)


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
    assert rest_variance(y, TestSet.of_size(12)) == pytest.approx(ms_rest / 48, rel=1e-12)


def test_strata_remove_their_differences_from_the_uncertainty():
    scores = np.random.default_rng(0).normal(size=(1, 60)) + 10 * CONDITIONS.strata
    stratified = mean_interval(scores, CONDITIONS)
    parts = [scores[0, k == CONDITIONS.strata].var(ddof=1) for k in range(3)]
    within = sum(20**2 * part / 20 for part in parts) / 60**2
    assert stratified.standard_error**2 == pytest.approx(within, rel=1e-12)
    assert stratified.half_width < mean_interval(scores).half_width / 5


def test_a_given_training_variance_takes_the_place_of_the_own_one():
    scores = np.random.default_rng(4).normal(size=(3, 40))
    known = mean_interval(scores, seeds=Component(0.04, 50.0))
    assert known.components[0] == Component(0.04, 50.0)
    assert known.components[1] == mean_interval(scores).components[1]


@pytest.mark.parametrize("p", [0.4, 0.025, 1e-6])
def test_tail_inverts_the_half_width(p):
    components = (Component(0.3, 2.0), Component(0.1, 7.5))
    assert tail(half_width(components, 1 - p), components) == pytest.approx(p, rel=1e-6)
    assert tail(-half_width(components, 1 - p), components) == pytest.approx(1 - p, rel=1e-6)


def test_tail_of_one_component_is_students():
    assert tail(2.0, (Component(1.0, 5.0),)) == pytest.approx(stats.t.sf(2, 5), rel=1e-9)


def test_stacked_intervals_have_the_p_values_of_each():
    rng = np.random.default_rng(5)
    shapes = [(3, 20), (1, 20), (4, 1), (1, 1)]
    alone = [mean_interval(rng.normal(0.3, 1, shape)) for shape in shapes]
    together = stack(alone)
    assert tail(together.estimate, together.components) == pytest.approx(
        [float(tail(i.estimate, i.components)) for i in alone], nan_ok=True
    )
    assert np.isnan(tail(together.estimate, together.components)[-1])
    assert together.standard_error[:3] == pytest.approx([i.standard_error for i in alone[:3]])


def test_tail_without_any_variance():
    nothing = (Component(0.0, 2.0), Component(0.0, 10.0))
    assert tail(np.array([0.0, 0.1]), nothing) == pytest.approx([0.5, 0.0], abs=1e-11)


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("sds", [(0.01, 0.05, 0.05), (0.005, 0.02, 0.05), (0.01, 0.15, 0.03)])
def test_coverage_lies_between_93_and_97_percent(n_seeds, sds):
    scores = simulated(np.random.default_rng(11), 3000, n_seeds, *sds)
    assert 0.93 <= coverage(mean_interval(scores, CONDITIONS)) <= 0.97


@pytest.mark.parametrize("sds", [(0.01, 0.05, 0.05), (0.01, 0.15, 0.03)])
def test_two_seeds_cover_if_more_than_they_say(sds):
    scores = simulated(np.random.default_rng(11), 3000, 2, *sds)
    assert coverage(mean_interval(scores, CONDITIONS)) >= 0.93


def test_coverage_over_utterances_alone_with_one_seed():
    scores = simulated(np.random.default_rng(12), 4000, 1, 0, 0.05, 0.05)
    assert 0.93 <= coverage(mean_interval(scores, CONDITIONS)) <= 0.97


def test_t_quantile_equals_scipy_and_takes_infinite_df():
    df = np.array([1.0, 2.5, 30.0, np.inf])
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-6)
