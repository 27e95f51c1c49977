"""Figures of one run, for views of the results that show runs one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.plots import Figure
from analysis.figures.training import BY_ROUTING, by_routing, triplets

DPI = 100  # hundreds of runs have theirs


def draw_run(
    history: Sequence[Mapping[str, Any]], levels: Mapping[str, np.ndarray], folder: Path
) -> None:
    """Write `learning_curve.png` and `spectrograms.png`, each where there is something to draw.

    Args:
        history: Rows of the training history, as in `history.parquet`.
        levels: Example spectrograms, as in `examples.npz`; may be empty.
        folder: Where they go.
    """
    drawn: dict[str, Figure] = {}
    with style.house_style():
        if len(history):
            drawn["learning_curve"] = _learning_curve(pd.DataFrame(history))
        if levels:
            drawn["spectrograms"] = triplets(levels)
        for name, figure in drawn.items():
            style.save(figure, folder / f"{name}.png", dpi=DPI)


def _learning_curve(history: pd.DataFrame) -> Figure:
    """Draw enhancement loss over the training steps, losses by routing and the router's accuracy.

    The last two where they were measured.
    """
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 2.2)
    axes = figure.subplots()
    axes.plot(history["step"], history["enhancement_loss"], color=style.BLACK, label="in training")
    axes.set(xlabel="training step", ylabel="enhancement loss")
    style.light_grid(axes, "y")
    if any(column in history and history[column].notna().any() for column in BY_ROUTING):
        by_routing(axes, history.assign(cell=""), {"": style.VERMILION})
        axes.legend(loc="center right")  # the losses lie low there, the accuracy high
    if history["routing_accuracy"].notna().any():
        right = axes.twinx()
        right.plot(history["step"], history["routing_accuracy"], color=style.BLUE, linewidth=0.8)
        right.set_ylabel("routing accuracy", color=style.BLUE)
        right.set_ylim(0, 1.02)
        right.spines["right"].set_visible(True)
    return figure
