"""Pairing: common seeds, common utterances, nothing imputed."""

import numpy as np
import pytest

from analysis.statistics.clusters import TestSet
from analysis.statistics.samples import Sample, align, combine, difference, mean_of

TEST_SET = TestSet.of_size(4)


def sample(scores, seeds, **options):
    return Sample(np.array(scores, dtype=float), seeds, TEST_SET, **options)


FIRST = sample([[1, 2, 3, np.nan], [5, 6, 7, 8]], (0, 1))
SECOND = sample([[2, 2, 2, 2], [1, 1, np.nan, 1]], (1, 2))


def test_a_missing_value_takes_the_utterance_out_and_never_counts_as_zero():
    assert FIRST.n_utterances == 3
    assert FIRST.mean().estimate == pytest.approx((1 + 2 + 3 + 5 + 6 + 7) / 6)


def test_differences_use_common_seeds_and_utterances():
    pair = difference(FIRST, SECOND)
    assert pair.seeds == (1,)
    assert pair.scores.tolist() == [[3, 4, 5, 6]]


def test_cells_without_a_common_seed_have_no_difference():
    pair = difference(sample([[1, 2, 3, 4]], (0,)), sample([[1, 2, 3, 4]], (5,)))
    assert pair.n_utterances == 0
    assert pair.mean() is None


def test_the_unprocessed_input_pairs_with_every_seed():
    noisy = sample([[1, 1, 1, 1]], (0,), any_seed=True)
    scores, seeds = align([FIRST, noisy])
    assert seeds == (0, 1)
    assert scores[1].tolist() == [[1, 1, 1, 1]] * 2


def test_restriction_leaves_the_rest_missing():
    kept = FIRST.restrict(np.array([True, False, True, False]))
    assert kept.n_utterances == 2
    assert kept.values()[0].tolist() == [[1, 3], [5, 7]]
    assert len(kept.values()[1].strata) == 2


def test_nested_combinations_add_up():
    nested = combine([mean_of([FIRST, FIRST]), FIRST], np.array([2.0, -1.0]))
    assert np.array_equal(nested.scores, FIRST.scores, equal_nan=True)
