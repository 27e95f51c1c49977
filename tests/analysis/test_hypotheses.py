"""Tests against scipy, exhaustive enumeration, and simulated error rates."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from analysis import hypotheses
from analysis.statistics import mean_interval


def test_sign_flips_agree_with_the_exhaustive_test():
    values = np.random.default_rng(1).normal(0.5, 1, 9)
    exact = np.mean(
        [abs(np.dot(s, values)) >= abs(values.sum()) - 1e-12 for s in product((1, -1), repeat=9)]
    )
    ours = hypotheses.sign_flip_test(values, 50_000, np.random.default_rng(0))
    assert ours == pytest.approx(exact, abs=0.01)


def test_sign_flips_agree_with_scipy():
    values = np.random.default_rng(2).normal(0.2, 1, 40)
    reference = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=0
    ).pvalue
    ours = hypotheses.sign_flip_test(values, 20_000, np.random.default_rng(0))
    assert ours == pytest.approx(reference, abs=0.015)


def test_sign_flip_p_values_are_never_zero_and_one_for_no_difference():
    values = np.stack([np.full(50, 1.0), np.zeros(50)])
    p = hypotheses.sign_flip_test(values, 999, np.random.default_rng(0))
    assert p.tolist() == [1 / 1000, 1.0]


def test_an_utterance_left_out_changes_nothing():
    values = np.random.default_rng(3).normal(0.3, 1, 30)
    longer = np.append(values, np.zeros(5))
    p = [hypotheses.sign_flip_test(v, 40_000, np.random.default_rng(0)) for v in (values, longer)]
    assert p[0] == pytest.approx(p[1], abs=0.01)


def test_random_effects_p_is_the_t_test_with_one_seed():
    values = np.random.default_rng(4).normal(0.2, 1, (1, 30))
    ours = hypotheses.random_effects_p(mean_interval(values))
    assert ours == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue, rel=1e-9)


def test_random_effects_p_of_identical_cells_is_one():
    assert hypotheses.random_effects_p(mean_interval(np.zeros((3, 5)))) == 1


def test_equivalence_is_two_one_sided_t_tests():
    values = np.random.default_rng(5).normal(0.01, 0.1, (1, 40))
    reference = max(
        stats.ttest_1samp(values[0], -0.05, alternative="greater").pvalue,
        stats.ttest_1samp(values[0], 0.05, alternative="less").pvalue,
    )
    ours = hypotheses.equivalence_p(mean_interval(values), 0.05)
    assert ours == pytest.approx(reference, rel=1e-9)


def test_equivalence_of_a_difference_beyond_the_margin_is_unlikely():
    values = np.random.default_rng(5).normal(0.2, 0.01, (1, 40))
    assert hypotheses.equivalence_p(mean_interval(values), 0.05) > 0.99


def test_holm_equals_closed_testing_with_bonferroni():
    """Independent definition: the largest Bonferroni p of any subset that holds the hypothesis."""
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.6])
    closed = [
        max(
            min(1, len(subset) * min(p[list(subset)]))
            for size in range(1, 6)
            for subset in combinations(range(5), size)
            if i in subset
        )
        for i in range(5)
    ]
    assert hypotheses.holm(p) == pytest.approx(closed)


def test_holm_counts_members_only():
    adjusted = hypotheses.holm(np.array([0.01, np.nan, 0.04]))
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted[1])


def test_the_detectable_effect_is_found_in_four_of_five_studies():
    rng = np.random.default_rng(6)
    effect = float(hypotheses.minimum_detectable_effect(np.array(1 / np.sqrt(40)), np.array(39.0)))
    studies = mean_interval(rng.normal(effect, 1, (6000, 1, 40)))
    power = np.mean(hypotheses.random_effects_p(studies) < 0.05)
    assert power == pytest.approx(0.8, abs=0.02)


def test_probability_of_improvement_counts_wins_and_half_the_ties():
    share = hypotheses.probability_of_improvement(np.array([[1.0, -1.0, 0.0, 2.0]]))
    assert share.estimate == pytest.approx(2.5 / 4)
    assert 0 <= share.low <= share.high <= 1
