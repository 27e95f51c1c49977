"""Tests against scipy, closed testing, and simulated power."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import hypotheses
from analysis.statistics.clusters import Component
from analysis.statistics.intervals import mean_interval


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
    effect = hypotheses.detectable_effect((Component(1 / 40, 39.0),))
    studies = mean_interval(rng.normal(effect, 1, (6000, 1, 40)))
    power = np.mean(hypotheses.random_effects_p(studies) < 0.05)
    assert power == pytest.approx(0.8, abs=0.02)


def test_a_larger_family_needs_a_larger_effect():
    components = (Component(1.0, 4.0), Component(0.2, 30.0))
    sizes = [hypotheses.detectable_effect(components, comparisons=n) for n in (1, 5, 31)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] < sizes[2]


def test_the_seeds_that_are_said_to_be_needed_find_the_difference():
    """Simulated with the number that comes out: four of five studies find it after Holm."""
    rng = np.random.default_rng(7)
    needed = hypotheses.seeds_needed(1.0, 1.0, None, 0.05, 10)
    studies = mean_interval(rng.normal(1.0, 1.0, (4000, needed, 1)))
    power = np.mean(hypotheses.random_effects_p(studies) < 0.05 / 10)
    assert 0.78 <= power <= 0.9
    fewer = mean_interval(rng.normal(1.0, 1.0, (4000, needed - 1, 1)))
    assert np.mean(hypotheses.random_effects_p(fewer) < 0.05 / 10) < power


def test_no_number_of_seeds_makes_up_for_few_utterances():
    assert hypotheses.seeds_needed(1.0, 1.0, Component(1.0, 6.0), 0.05, 10) is None


def test_a_large_difference_needs_three_seeds_all_the_same():
    assert hypotheses.seeds_needed(1e6, 1.0, None, 0.05, 1) == 3


def test_probability_of_improvement_counts_wins_and_half_the_ties():
    share = hypotheses.probability_of_improvement(np.array([[1.0, -1.0, 0.0, 2.0]]))
    assert share.estimate == pytest.approx(2.5 / 4)
    assert 0 <= share.low <= share.high <= 1
