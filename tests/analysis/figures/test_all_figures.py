"""What figures show: marks, seeds, margins, and where curves begin."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.figures import (
    heatmap,
    quality,
    style,
    training,
)
from analysis.figures import (
    routing as figures_routing,
)
from analysis.figures import (
    run as run_figures,
)
from analysis.findings import routing
from tests.analysis.simulate import CORE, FULL, Plan, write_bundle

SINGLE = "--B--.multi.supervised.global"


def texts(axes):
    return [t.get_text() for t in axes.texts]


def legend_of(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    plan = Plan(CORE, (0, 1, 2), 12, seed_sd=0.004, rest_sd=0.01)
    return load_bundle(write_bundle(tmp_path_factory.mktemp("studies") / "core", plan))


@pytest.fixture(autouse=True)
def _style():
    with style.house_style():
        yield


def test_heatmap_marks_what_is_decided_and_has_clean_speech(tmp_path):
    plan = Plan(["dense", SINGLE, FULL], (0, 1, 2, 3), 24, seed_sd=0.001, rest_sd=0.01,
                effect=lambda cell: 0.2 * (cell == FULL))  # fmt: skip
    bundle = load_bundle(write_bundle(tmp_path / "two", plan))
    tiles = heatmap.placement_heatmap(bundle).axes[1]
    names = [t.get_text() for t in tiles.get_xticklabels()]
    assert names == ["overall", *words.CONDITIONS]
    overall = [text for text, x in zip(texts(tiles), range(10), strict=False) if x % 5 == 0]
    assert not overall[0].endswith("*") and overall[1].endswith("*")


def test_no_gain_within_the_margin_is_deep_in_colour(tmp_path):
    plan = Plan(["dense", SINGLE], (0, 1, 2), 12, effect=lambda _: 0.0, seed_sd=0.001)
    bundle = load_bundle(write_bundle(tmp_path / "flat", plan))
    image = heatmap.placement_heatmap(bundle).axes[1].images[0]
    assert image.norm.vmax >= 3 * bundle.rules.margins["pesq_wb"]


def test_effects_show_each_seed_and_the_margin(core):
    figure = quality.effects(core)
    seeds = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(seeds) == 5
    named = ["decided", "undecided", "one seed", "margin ±0.02"]
    assert legend_of(figure) == named


def test_quality_has_bars_and_marks_late_decoders(core):
    figure = quality.quality_against_macs(core)
    said = legend_of(figure)
    assert {"S-MoE with late decoder", "filled: on the front", "open: not on it"} <= set(said)
    late = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert len([line for line in late if len(line.get_xdata())]) == 16
    bars = [c for c in figure.axes[0].collections if len(c.get_paths())]
    assert len(bars) == len(core.cells()) - 1  # the dense network is the reference


def test_usage_shows_the_sum_of_the_weights(small):
    shares, sums = figures_routing.expert_usage(small).axes
    rows = routing.decisions(small, FULL)
    rows = rows[rows["condition"] == "both"]
    expected = (rows["weight_noise"] + rows["weight_reverb"]).mean()
    row = routing.router_cells(small).index(FULL)
    drawn = [
        float(line.get_xdata()[0])
        for line in sums.lines
        if len(line.get_xdata()) == 1 and row - 0.5 < line.get_ydata()[0] < row + 0.5
    ]
    assert any(value == pytest.approx(expected) for value in drawn)
    assert shares.get_xlim()[1] < 1.1 < sums.get_xlim()[1]


def test_confusion_shows_accuracy_by_snr(small):
    figure = figures_routing.router_confusion(small)
    ticks = [t.get_text() for t in figure.axes[-1].get_xticklabels()]
    assert ticks == ["−5", "0", "5", "10", "15", "no\nnoise"]
    lower = figure.axes[len(figure.axes) // 2]
    drawn = [line.get_ydata() for line in lower.lines if len(line.get_xdata()) == 5]
    correct = routing.correct_decisions(small, FULL)
    mask = (small.utterances["snr_db"] == -5).to_numpy() & small.in_conditions(("noise",))
    assert any(y[0] == pytest.approx(correct.scores[:, mask].mean()) for y in drawn)


def test_curves_begin_where_cells_differ():
    steps = np.arange(1, 101)
    common = np.exp(-steps / 10)
    curves = pd.DataFrame({"a": common, "b": common + 0.05}, index=steps)
    start = training.differ_from(curves)
    left = common - common[-1]
    assert left[start - 1] <= 0.1 < left[start - 2]


def test_curves_that_never_differ_begin_at_the_first_step():
    steps = np.arange(1, 101)
    one = pd.DataFrame({"a": np.exp(-steps / 10)}, index=steps)
    assert training.differ_from(one) is None
    apart = pd.DataFrame({"a": 0.0 * steps, "b": 1 + 0.0 * steps}, index=steps)
    assert training.differ_from(apart) is None


def test_curves_show_at_least_half_of_the_training():
    steps = np.arange(1, 101)
    late = np.linspace(1, 0, 100)
    curves = pd.DataFrame({"a": late, "b": late + 0.01}, index=steps)
    assert training.differ_from(curves) == 51


@pytest.fixture
def routed(small):
    """Every tenth row of the networks with a router has their losses by routing."""
    history = small.history.merge(small.runs[["run_id", "cell"]], on="run_id")
    measured = history["cell"].isin([FULL, "shuffled-labels", SINGLE]) & (
        history["step"] % 100 == 0
    )
    loss = history["enhancement_loss"].where(measured)
    columns = {"loss_labelled": loss + 0.1, "loss_routed": loss + 0.3}
    return replace(small, history=history.drop(columns="cell").assign(**columns))


def test_curves_show_the_loss_of_both_routings(routed):
    figure = training.learning_curves(routed)
    axes = figure.axes[1]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "routed as at test time", "routed by labels, as in training",
    ]  # fmt: skip
    lines = [line for line in axes.lines if len(line.get_xdata())]
    assert len(lines) == 6
    full = [line for line in lines if line.get_color() == style.VERMILION]
    above, below = (np.asarray(line.get_ydata()) for line in full)
    assert list(full[0].get_xdata()) == [100, 200, 300, 400]
    assert above - below == pytest.approx(0.2)
    low, high = axes.get_ylim()
    start = figure.axes[0].get_xlim()[0]
    seen = np.concatenate(
        [y[np.asarray(x) >= start] for x, y in (line.get_data() for line in lines)]
    )
    assert low < seen.min() and seen.max() < high
    assert figure.axes[2].get_ylabel() == "routing accuracy"


def test_curves_of_an_old_study_and_of_one_without_routers_have_no_such_panel(small, routed):
    assert len(training.learning_curves(small).axes) == 2
    empty = routed.history.assign(loss_labelled=np.nan, loss_routed=np.nan)
    assert len(training.learning_curves(replace(routed, history=empty)).axes) == 2


def test_implicit_routing_has_no_curve_by_labels(routed):
    implicit = replace(routed, history=routed.history.assign(loss_labelled=np.nan))
    axes = training.learning_curves(implicit).axes[1]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["routed as at test time"]


def test_a_runs_own_curve_shows_both_routings(routed):
    run = routed.history[routed.history["run_id"] == f"{FULL}-0"]
    axes = run_figures._learning_curve(run).axes[0]
    assert len(axes.get_legend().get_texts()) == 3
    plain = run.drop(columns=["loss_labelled", "loss_routed"])
    assert run_figures._learning_curve(plain).axes[0].get_legend() is None
