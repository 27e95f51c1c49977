"""The Pareto front against its definition."""

from dataclasses import replace

import numpy as np

from analysis.findings import pareto
from analysis.tables.cost import cost_table


def on_front(cost, quality):
    """By definition, pair by pair."""
    return [
        not any(c <= cost[i] and q > quality[i] for c, q in zip(cost, quality, strict=True))
        for i in range(len(cost))
    ]


def test_front_equals_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(200):
        cost, quality = rng.integers(0, 5, 8).astype(float), rng.integers(0, 5, 8).astype(float)
        assert pareto.front(cost, quality).tolist() == on_front(cost, quality)


def test_front_works_resample_by_resample():
    rng = np.random.default_rng(1)
    cost, quality = rng.random(6), rng.random((3, 6))
    assert pareto.front(cost, quality).tolist() == [on_front(cost, q) for q in quality]


def test_the_cheapest_cell_is_on_the_front(small):
    found = {p.cell: p for p in pareto.points(small)}
    assert found["dense"].on_front
    assert not found["shuffled-labels"].on_front


def test_networks_that_shared_a_gpu_tell_no_times(small):
    shared = replace(small, runs=small.runs.assign(device="NVIDIA H200"))
    named = [column.key for column in cost_table(small).columns]
    times = {"training_step_ms", "real_time_factor"}
    assert times < set(named)
    assert [column.key for column in cost_table(shared).columns] == [
        key for key in named if key not in times
    ]
    assert "No times" in cost_table(shared).caption
