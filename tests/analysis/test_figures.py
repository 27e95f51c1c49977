"""What figures show: marks, seeds, margins, and where curves begin."""

import numpy as np
import pandas as pd
import pytest

from analysis import figures as style
from analysis import figures_heatmap, figures_quality, figures_routing, figures_training, routing
from analysis import vocabulary as words
from analysis.load import load_bundle
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
    tiles = figures_heatmap.placement_heatmap(bundle).axes[1]
    names = [t.get_text() for t in tiles.get_xticklabels()]
    assert names == ["overall", *words.CONDITIONS]
    overall = [text for text, x in zip(texts(tiles), range(10), strict=False) if x % 5 == 0]
    assert not overall[0].endswith("*") and overall[1].endswith("*")


def test_no_gain_within_the_margin_is_deep_in_colour(tmp_path):
    plan = Plan(["dense", SINGLE], (0, 1, 2), 12, effect=lambda _: 0.0, seed_sd=0.001)
    bundle = load_bundle(write_bundle(tmp_path / "flat", plan))
    image = figures_heatmap.placement_heatmap(bundle).axes[1].images[0]
    assert image.norm.vmax >= 3 * bundle.rules.margins["pesq_wb"]


def test_effects_show_each_seed_and_the_margin(core):
    figure = figures_quality.effects(core)
    seeds = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(seeds) == 5
    named = ["decided", "undecided", "one seed", "margin ±0.02"]
    assert legend_of(figure) == named


def test_quality_has_bars_and_marks_late_decoders(core):
    figure = figures_quality.quality_against_macs(core)
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
    start = figures_training.differ_from(curves)
    left = common - common[-1]
    assert left[start - 1] <= 0.1 < left[start - 2]


def test_curves_that_never_differ_begin_at_the_first_step():
    steps = np.arange(1, 101)
    one = pd.DataFrame({"a": np.exp(-steps / 10)}, index=steps)
    assert figures_training.differ_from(one) is None
    apart = pd.DataFrame({"a": 0.0 * steps, "b": 1 + 0.0 * steps}, index=steps)
    assert figures_training.differ_from(apart) is None


def test_curves_show_at_least_half_of_the_training():
    steps = np.arange(1, 101)
    late = np.linspace(1, 0, 100)
    curves = pd.DataFrame({"a": late, "b": late + 0.01}, index=steps)
    assert figures_training.differ_from(curves) == 51
