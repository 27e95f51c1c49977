"""The dense width curve: interpolation, its variance, and no word beyond its ends."""

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.findings import cost_curve
from analysis.tables.cost import cost_table
from analysis.tables.main import main_table
from tests.analysis.simulate import FULL, Plan, edit, write_bundle

CELL = "--B--.multi.supervised.global"
COST = {"dense": 100.0, "dense-w6": 60.0, "dense-w10": 200.0, CELL: 130.0, FULL: 250.0}
TRUE = {"dense": 0.02, "dense-w6": 0.0, "dense-w10": 0.05, CELL: 0.1, FULL: 0.2}


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """Three dense widths, one S-MoE between two of them and one beyond the widest."""
    plan = Plan(list(COST), (0, 1, 2, 3), 20, effect=lambda cell: TRUE.get(cell, 0.0))
    folder = write_bundle(tmp_path_factory.mktemp("studies") / "curve", plan)
    edit(folder, "runs.parquet", lambda f: f.assign(macs=f["cell"].map(COST)))
    return load_bundle(folder)


def test_dense_networks_of_any_width_make_the_curve_from_cheap_to_dear(curve):
    assert list(cost_curve.curve_cells(curve, "macs")) == ["dense-w6", "dense", "dense-w10"]
    names = curve.cells()
    assert names.index("dense-w6") < names.index("dense-w10") < names.index(CELL)


def test_weights_are_linear_in_the_logarithm_of_the_cost(curve):
    point = cost_curve.point_at(curve, CELL, "macs")
    t = np.log(1.3) / np.log(2)
    assert point.weights == pytest.approx({"dense": 1 - t, "dense-w10": t})
    assert f"{t * 100:.1f} % dense-w10" in point.name


def test_difference_is_one_contrast_of_the_three_cells(curve):
    point = cost_curve.point_at(curve, CELL, "macs")
    sample = cost_curve.difference_to_curve(curve, CELL, point, "stoi")
    means = {c: np.nanmean(curve.sample(c, "stoi").scores[:, curve.strata < 3]) for c in COST}
    expected = means[CELL] - sum(w * means[c] for c, w in point.weights.items())
    assert sample.mean().estimate == pytest.approx(expected)


@pytest.mark.parametrize("cost", [100.0, 60.0, 200.0])
def test_at_a_width_of_the_study_that_network_alone_is_the_curve(curve, cost, tmp_path):
    import shutil

    folder = shutil.copytree(curve.folder, tmp_path / "same")
    moved = COST | {CELL: cost}
    edit(folder, "runs.parquet", lambda f: f.assign(macs=f["cell"].map(moved)))
    bundle = load_bundle(folder)
    names = {c: v for c, v in COST.items() if v == cost and words.is_dense(c)}
    point = cost_curve.point_at(bundle, CELL, "macs")
    assert {c: w for c, w in point.weights.items() if w} == dict.fromkeys(names, 1.0)


def test_nothing_is_extrapolated(curve):
    assert cost_curve.point_at(curve, FULL, "macs") == "outside the curve"
    assert cost_curve.point_at(curve, "dense", "macs") == "a point of the curve"
    row = next(r for r in cost_table(curve).rows if r.values[0] == FULL)
    assert "outside the curve" in row.values
    assert any("equal MACs: outside the curve" in note for note in main_table(curve).notes)


def test_one_dense_network_is_no_curve(small):
    from analysis.bundle.contents import Bundle

    assert isinstance(small, Bundle)
    alone = small.runs[~small.runs["cell"].isin(["dense-macs", "dense-params"])]
    bundle = Bundle(
        small.folder, small.study, alone.reset_index(drop=True), small.utterances,
        {m: s[:, alone.index] for m, s in small.scores.items()}, small.errors, small.routing,
        small.history,
    )  # fmt: skip
    assert "no curve" in cost_curve.point_at(bundle, FULL, "macs")
    assert "fewer than two" in cost_curve.range_sentence(bundle, "macs")
