"""Coverage and error rates at the levels of a varied setting, with the noise of the core study."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from tests.analysis import error_rates, level_errors

CLAIMED = (level_errors.ONE, level_errors.BESIDE)


@pytest.fixture(scope="module")
def components():
    return error_rates.core_components()


def test_drawn_effects_vary_as_planted_and_are_half_alike_at_two_levels(components):
    """Difference of the full S-MoE to dense: its five slopes, correlated by 0.5 between levels."""
    planted = replace(components["pesq_wb"], rest=(0.0, 0.0), noise=0.0, utterance=0.0)
    each = replace(planted, slope=np.tile(planted.slope, 1 + level_errors.LEVELS))
    rng = np.random.default_rng(0)
    test_set = error_rates.random_test_set(rng)
    on, late = level_errors.cells()
    means = error_rates.draw_scores(rng, 200, 5, on, late, each, test_set)[..., 0]
    by_level = means.reshape(200, level_errors.LEVELS, -1, 5)
    full = by_level[:, :, level_errors.FULL] - by_level[:, :, 0]  # [studies, levels, seeds]
    drawn = full.transpose(1, 0, 2).reshape(level_errors.LEVELS, -1)
    expected = np.sqrt(np.square(planted.slope).sum())
    assert drawn.std(axis=1) == pytest.approx(expected, rel=0.1)
    between = np.corrcoef(drawn)[np.triu_indices(level_errors.LEVELS, 1)]
    assert between == pytest.approx(level_errors.SHARED, abs=0.1)


def test_a_few_simulated_studies_make_a_table(components):
    one = {"pesq_wb": components["pesq_wb"]}
    found = list(level_errors.simulate(one, (3,), error_rates.BATCH))
    assert {rates.family for rates in found} == {*CLAIMED, level_errors.ANY}
    assert all(rates.coverage > 0.8 for rates in found)
    rate = {rates.family: rates.false_families for rates in found}
    assert rate[level_errors.ANY] >= rate[level_errors.ONE]


@pytest.mark.slow
@pytest.mark.parametrize("metric", list(words.METRICS))
def test_coverage_and_error_rates_at_levels(components, metric):
    """At least 93 % coverage, at most 7 % false families, 5 % false equivalence at any seed count.

    At most 97 % coverage from ten seeds on, and 98 % with fewer: a difference that learns its
    training variance from no other one has two degrees of freedom with three seeds, and its
    interval is somewhat too wide. The Monte Carlo error of a rate of 5 % is 0.7 %.
    """
    found = list(level_errors.simulate({metric: components[metric]}, (3, 5, 10), 1000))
    for rates in found:
        said = error_rates.table([rates])
        assert 0.93 <= rates.coverage <= (0.97 if rates.n_seeds >= 10 else 0.98), said
        assert rates.lowest >= 0.92, said
        assert rates.false_equivalent <= 0.055, said
        if rates.family in CLAIMED:
            assert rates.false_families <= 0.07, said
