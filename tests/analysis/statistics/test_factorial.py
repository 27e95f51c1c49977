"""Planted games with and without interactions, and the definitions spelled out."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import factorial

GAINS = np.array([0.01, 0.02, 0.05, 0.03, 0.04])


def test_levels_read_the_cell_number_as_bits():
    assert factorial.levels(3)[0b101].tolist() == [1, 0, 1]


def test_additive_game_is_recovered_exactly():
    values = factorial.levels(5) @ GAINS
    _, interactions = factorial.two_way_interactions(5)
    assert factorial.shapley_values(5) @ values == pytest.approx(GAINS, abs=1e-12)
    assert factorial.main_effects(5) @ values == pytest.approx(GAINS, abs=1e-12)
    assert interactions @ values == pytest.approx(0, abs=1e-12)


def test_planted_interaction_is_recovered_exactly():
    """0.06 only with factors 1 and 3 together: shared by both, in both main effects by half."""
    on = factorial.levels(5)
    values = on @ GAINS + 0.06 * on[:, 1] * on[:, 3]
    pairs, contrasts = factorial.two_way_interactions(5)
    found = dict(zip(pairs, contrasts @ values, strict=True))
    assert found.pop((1, 3)) == pytest.approx(0.03, abs=1e-12)
    assert list(found.values()) == pytest.approx([0] * 9, abs=1e-12)
    shared = GAINS + np.array([0, 0.03, 0, 0.03, 0])
    assert factorial.shapley_values(5) @ values == pytest.approx(shared, abs=1e-12)
    assert factorial.main_effects(5) @ values == pytest.approx(shared, abs=1e-12)


def test_effects_equal_least_squares():
    values = np.random.default_rng(0).normal(size=16)
    signs = 2 * factorial.levels(4) - 1
    pairs, contrasts = factorial.two_way_interactions(4)
    products = [signs[:, i] * signs[:, j] for i, j in pairs]
    design = np.column_stack([np.ones(16), signs, *products])
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    assert factorial.main_effects(4) @ values == pytest.approx(2 * coefficients[1:5])
    assert contrasts @ values == pytest.approx(2 * coefficients[5:])


def test_shapley_equals_the_mean_over_all_orders():
    values = np.random.default_rng(1).normal(size=16)
    expected = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        cell = 0
        for player in order:
            with_player = cell | 1 << (3 - player)
            expected[player] += (values[with_player] - values[cell]) / len(orders)
            cell = with_player
    assert factorial.shapley_values(4) @ values == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=32, max_size=32))
def test_shapley_values_sum_to_all_minus_none(values):
    total = (factorial.shapley_values(5) @ np.array(values)).sum()
    assert total == pytest.approx(values[31] - values[0], abs=1e-9)
