"""Figures of the training: learning curves and an example in spectrograms."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import figures as style
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.figures import NothingToDrawError

_HIGHLIGHT = {
    words.FULL_CELL: (style.VERMILION, "-"),
    words.DENSE: (style.BLACK, "-"),
    "dense-macs": (style.BLUE, "--"),
    "shuffled-labels": (style.ORANGE, ":"),
}
_FRAMES_PER_S = 62.5
_BIN_HZ = 31.25
_RANGE_DB = 80


def learning_curves(bundle: Bundle) -> Figure:
    """Enhancement loss and routing accuracy during training, mean over seeds."""
    history = bundle.history.merge(
        bundle.runs[["run_id", "cell"]].astype({"run_id": str}), on="run_id", how="inner"
    )
    if history.empty:
        raise NothingToDrawError("the study stored no training history")
    panels = [("enhancement_loss", "enhancement loss")]
    if history["routing_accuracy"].notna().any():
        panels.append(("routing_accuracy", "routing accuracy"))
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 0.5 + 1.7 * len(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (column, label) in zip(grid, panels, strict=True):
        _curves(axes, history, column)
        axes.set_ylabel(label)
        style.light_grid(axes, "y")
    if len(panels) > 1:
        grid[1].axhline(1 / words.N_CLASSES, color=style.GREY, linewidth=0.8, linestyle=":")
        grid[1].annotate(
            "chance", (1, 1 / words.N_CLASSES), xycoords=("axes fraction", "data"),
            ha="right", va="bottom", color=style.GREY, fontsize=6,
        )  # fmt: skip
        grid[1].set_ylim(0, 1.02)
    grid[-1].set_xlabel("training step")
    grid[0].legend()
    return figure


def _curves(axes: Axes, history: pd.DataFrame, column: str) -> None:
    """One smoothed line per cell; the cells of table 1 in colour before the others in grey."""
    for cell, rows in history.dropna(subset=[column]).groupby("cell", sort=True):
        curve = rows.groupby("step")[column].mean()
        smooth = curve.rolling(max(1, len(curve) // 20), min_periods=1).mean()
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
    """The figure `spectrograms` of the levels in an `examples.npz`."""
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
