"""Figures of what the network costs: time against width, batch, length and networks at once."""

from typing import Any

import numpy as np

from analysis.figures import style
from analysis.figures.plots import Axes, Figure

Record = dict[str, Any]
# What is timed, by the name it is stored under: how tables and figures call it, colour, marker.
SIDES = {
    "reference": ("literal, float32", style.BLACK, "o"),
    "fast_float32": ("float32", style.BLUE, "s"),
    "fast_bfloat16": ("bfloat16", style.VERMILION, "D"),
    "single_float32": ("single-expert, float32", style.GREEN, "^"),
    "captured": ("captured, bfloat16", style.VERMILION, "D"),
    "arithmetic": ("floor of arithmetic", style.GREY, "v"),
    "memory": ("floor of memory", style.SKY, "v"),
}
_AXES = {
    "width": "channels of the first level",
    "batch": "signals per batch",
    "length_s": "length of a signal (s)",
}
_QUANTITIES = {"sweep_step": "training step (s)", "sweep_inference": "inference (s)"}


def with_floors(record: Record) -> Record:
    """Return a measurement's times, with each of its lower bounds added as a further side."""
    floors = {side: {"wall_s": [s]} for side, s in record.get("floors_s", {}).items()}
    return record["times"] | floors


def draw_gpu(content: Record) -> Figure:
    """Draw the time of a training step against width and against the number of networks at once."""
    left, right = (figure := style.new_figure(style.DOUBLE_COLUMN_IN, 2.4)).subplots(1, 2)
    steps = [r for r in content["measurements"] if r["what"] == "step"]
    together = [
        r | {"cells": int(number), "times": with_floors(r) | {"captured": side}}
        for r in content["measurements"] if r["what"] == "together"
        for number, side in r["times"].items()
    ]  # fmt: skip
    _draw_sweep(left, [r | {"times": with_floors(r)} for r in steps], "width")
    _draw_sweep(right, together, "cells")
    left.set(xlabel=_AXES["width"], ylabel="training step (s)")
    right.set(xlabel="networks at once", ylabel="step of each (ms)")
    right.set(yscale="linear", ylim=(0, None))
    right.yaxis.set_major_formatter(lambda seconds, _: f"{seconds * 1e3:g}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def draw_sweeps(content: Record) -> Figure:
    """Draw the time of a training step and of inference against width, batch and length."""
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 3.6)
    grid = figure.subplots(len(_QUANTITIES), len(_AXES), sharey="row", squeeze=False)
    for row, (what, label) in zip(grid, _QUANTITIES.items(), strict=True):
        records = [r for r in content["measurements"] if r["what"] == what]
        for axes, axis in zip(row, _AXES, strict=True):
            _draw_sweep(axes, records, axis)
        row[0].set_ylabel(label)
    for axes, title in zip(grid[-1], _AXES.values(), strict=True):
        axes.set_xlabel(title)
    handles, labels = grid[-1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure


def _draw_sweep(axes: Axes, records: list[Record], axis: str) -> None:
    """Draw medians and ranges of one quantity along one axis, the other axes at their base size."""
    others = [a for a in _AXES if a != axis]
    base = [max(v, key=v.count, default=None) for v in ([r[a] for r in records] for a in others)]
    line = sorted((r for r in records if [r[a] for a in others] == base), key=lambda r: r[axis])
    for side, (label, colour, marker) in SIDES.items():
        drawn = [r for r in line if side in r["times"]]
        if not drawn:
            continue
        walls = [np.array(r["times"][side]["wall_s"]) for r in drawn]
        middle = np.array([np.median(w) for w in walls])
        low, high = np.array([w.min() for w in walls]), np.array([w.max() for w in walls])
        axes.errorbar(
            [r[axis] for r in drawn], middle, [middle - low, high - middle], label=label,
            color=colour, marker=marker, markersize=3.5, capsize=1.5,
        )  # fmt: skip
    values = [r[axis] for r in line]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.minorticks_off()
    style.light_grid(axes, "y")
