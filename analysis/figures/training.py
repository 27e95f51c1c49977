"""Figures of the training: learning curves and an example in spectrograms."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.plots import Axes, Figure
from analysis.figures.style import NothingToDrawError

_HIGHLIGHT = {
    words.FULL_CELL: (style.VERMILION, "-"),
    words.DENSE: (style.BLACK, "-"),
    "dense-macs": (style.BLUE, "--"),
    "shuffled-labels": (style.ORANGE, ":"),
}
# Columns of the losses on unseen mixtures: line, marker and what the legend calls them.
BY_ROUTING = {
    "loss_routed": ("-", "o", "routed as at test time"),
    "loss_labelled": ("--", "x", "routed by labels, as in training"),
}
_FRAMES_PER_S = 62.5
_BIN_HZ = 31.25
_RANGE_DB = 80


def learning_curves(bundle: Bundle) -> Figure:
    """Draw enhancement loss and routing accuracy during training, means over seeds.

    The loss of supervised cells is that of teacher-forced routing, with the true labels. Where the
    study stored them, a panel of its own shows the losses of networks with a router on unseen
    mixtures, as routed at test time and by labels. Drawn from the step on at which the cells differ
    by at least half of what the loss still falls: before, all curves lie on each other.
    """
    history = bundle.history.merge(
        bundle.runs[["run_id", "cell"]].astype({"run_id": str}), on="run_id", how="inner"
    )
    if history.empty:
        raise NothingToDrawError("the study stored no training history")
    panels = {"loss": "enhancement loss"}
    if "loss_routed" in history and history["loss_routed"].notna().any():
        panels["by routing"] = "enhancement loss,\nunseen mixtures"
    if history["routing_accuracy"].notna().any():
        panels["accuracy"] = "routing accuracy"
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 0.5 + 1.7 * len(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    axes_of = dict(zip(panels, grid, strict=True))
    for name, axes in axes_of.items():
        {"loss": _losses, "by routing": _routings, "accuracy": _accuracy}[name](axes, history)
        axes.set_ylabel(panels[name])
        style.light_grid(axes, "y")
    start = differ_from(_smoothed(history, "enhancement_loss"))
    if start is not None:
        grid[0].set_xlim(left=start)
        for name in ("loss", "by routing"):
            if name in axes_of:
                _fit_from(axes_of[name], start)
    grid[-1].set_xlabel(f"training step, from {start}" if start else "training step")
    grid[0].legend()
    return figure


def _losses(axes: Axes, history: pd.DataFrame) -> None:
    _curves(axes, history, "enhancement_loss")


def _routings(axes: Axes, history: pd.DataFrame) -> None:
    by_routing(axes, history, {cell: colour for cell, (colour, _) in _HIGHLIGHT.items()})


def _accuracy(axes: Axes, history: pd.DataFrame) -> None:
    _curves(axes, history, "routing_accuracy")
    axes.axhline(1 / words.N_CLASSES, color=style.GREY, linewidth=0.8, linestyle=":")
    axes.annotate(
        "chance", (1, 1 / words.N_CLASSES), xycoords=("axes fraction", "data"),
        ha="right", va="bottom", color=style.GREY, fontsize=6,
    )  # fmt: skip
    axes.set_ylim(0, 1.02)


def by_routing(axes: Axes, history: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw the losses on unseen mixtures, one line per cell and routing; mean over seeds.

    Args:
        axes: Where to.
        history: With the columns `step`, `cell` and any of `BY_ROUTING`.
        colours: Of cells that stand out; others are thin and grey.
    """
    for column, (line, marker, label) in BY_ROUTING.items():
        known = history.dropna(subset=[column]) if column in history else history.iloc[:0]
        means = known.groupby(["step", "cell"])[column].mean().unstack() if len(known) else {}
        for cell in means:
            first, values = cell in colours, means[cell].dropna()
            axes.plot(
                values.index, values, color=colours.get(str(cell), style.LIGHT_GREY),
                linestyle=line, marker=marker, markersize=2.5, linewidth=1.0 if first else 0.6,
                zorder=3 if first else 2,
            )  # fmt: skip
        if len(known):
            axes.plot(
                [], [], color=style.BLACK, linestyle=line, marker=marker, markersize=2.5,
                linewidth=1.0, label=label,
            )  # fmt: skip
    axes.legend()


def differ_from(curves: pd.DataFrame) -> int | None:
    """Return the first step at which cells differ by half of what is left to fall; None if none.

    Never later than half of the training; None for a single cell.

    Args:
        curves: Smoothed loss, one row per step and one column per cell.
    """
    mean = curves.mean(axis=1)
    left = mean - mean[::-1].cummin()[::-1]
    spread = curves.max(axis=1) - curves.min(axis=1)
    steps = curves.index[(spread >= left / 2) & (spread > 0)]
    first, middle = curves.index[0], curves.index[len(curves) // 2]
    if not len(steps) or steps[0] == first:
        return None
    return int(min(steps[0], middle))


def _fit_from(axes: Axes, start: int) -> None:
    """Fit the vertical range to what is seen from the step `start` on."""
    lines = [np.asarray(line.get_xydata()) for line in axes.lines]
    seen = np.concatenate([line[line[:, 0] >= start] for line in lines if len(line)])
    if len(seen):
        room = 0.05 * np.ptp(seen[:, 1]) or 0.05
        axes.set_ylim(seen[:, 1].min() - room, seen[:, 1].max() + room)


def _smoothed(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return means over seeds, [steps, cells], smoothed over a twentieth of the steps."""
    means = history.dropna(subset=[column]).groupby(["step", "cell"])[column].mean().unstack()
    return means.rolling(max(1, len(means) // 20), min_periods=1).mean()


def _curves(axes: Axes, history: pd.DataFrame, column: str) -> None:
    """Draw one smoothed line per cell; highlighted cells in colour before the others in grey."""
    curves = _smoothed(history, column)
    for cell in curves:
        smooth = curves[cell].dropna()
        colour, line = _HIGHLIGHT.get(str(cell), (style.LIGHT_GREY, "-"))
        first = cell in _HIGHLIGHT
        axes.plot(
            smooth.index, smooth, color=colour, linestyle=line, zorder=3 if first else 2,
            linewidth=1.2 if first else 0.6, label=words.short_name(str(cell)) if first else None,
        )  # fmt: skip
    axes.plot([], [], color=style.LIGHT_GREY, label="other cells")


def spectrograms(bundle: Bundle) -> Figure:
    """Noisy, enhanced and clean example of each distortion, in dB below the noisy maximum."""
    if not any(f"{c}/noisy" in bundle.examples for c in words.DISTORTED):
        raise NothingToDrawError("the study stored no example spectrograms")
    return triplets(bundle.examples)


def triplets(examples: Mapping[str, np.ndarray]) -> Figure:
    """Draw the figure `spectrograms` from the levels in an `examples.npz`."""
    shown = [c for c in words.DISTORTED if f"{c}/noisy" in examples]
    stages = ("noisy", "enhanced", "clean")
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 0.5 + 1.45 * len(shown))
    grid = figure.subplots(len(shown), 3, sharex=True, sharey=True, squeeze=False)
    image = None
    for row, condition in zip(grid, shown, strict=True):
        for axes, stage in zip(row, stages, strict=True):
            levels = examples[f"{condition}/{stage}"].astype(float) / 255 * _RANGE_DB
            extent = (0, levels.shape[1] / _FRAMES_PER_S, 0, levels.shape[0] * _BIN_HZ / 1e3)
            image = axes.imshow(
                levels - _RANGE_DB, origin="lower", aspect="auto", extent=extent, cmap="magma",
                vmin=-_RANGE_DB, vmax=0, interpolation="nearest", rasterized=True,
            )  # fmt: skip
            axes.set_yticks([0, 2, 4, 6, 8])
        row[0].set_ylabel(f"{condition}\nfrequency (kHz)")
    for axes, stage in zip(grid[0], stages, strict=True):
        axes.set_title({"noisy": "input"}.get(stage, stage))
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    assert image is not None
    bar = figure.colorbar(image, ax=grid, pad=0.01, aspect=40)
    bar.set_label("magnitude (dB re input maximum)")
    bar.outline.set_visible(False)  # pyright: ignore
    cell = str(np.asarray(examples.get("cell", "")))
    figure.suptitle(words.cell_name(cell), x=0.01, ha="left", fontsize=7.5)
    return figure
