"""Figures of the router: usage by condition, dose-response, confusion."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import figures as style
from analysis import routing
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.figures import NothingToDrawError

_MOST_ROWS = 20
_EXPERT_COLOURS = {"weight_noise": style.VERMILION, "weight_reverb": style.BLUE}
_EXPERT_MARKERS = {"weight_noise": "o", "weight_reverb": "s"}


def _shown_cells(bundle: Bundle) -> list[str]:
    """Router cells that a figure can hold: all, or those at the reference axes and at EMBDL."""
    cells = routing.router_cells(bundle)
    if len(cells) <= _MOST_ROWS:
        return cells
    reference = ".".join(words.REFERENCE_AXES)
    chosen = [
        c for c in cells
        if "." not in c or c.startswith("EMBDL.")
        or (c.endswith(reference) and c.split(".")[0].count("-") == 4)
    ]  # fmt: skip
    return (chosen or cells)[:_MOST_ROWS]


def _example_cell(bundle: Bundle) -> str:
    cells = routing.router_cells(bundle)
    if not cells:
        raise NothingToDrawError("no run of the study has a router")
    return words.FULL_CELL if words.FULL_CELL in cells else cells[-1]


def expert_usage(bundle: Bundle) -> Figure:
    """Noise expert's share of the weights, per cell and condition, with 95 % intervals."""
    cells = _shown_cells(bundle)
    if not cells:
        raise NothingToDrawError("no run of the study has a router")
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 0.9 + 0.2 * len(cells))
    axes = figure.subplots()
    heard = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    offsets = np.linspace(-0.24, 0.24, len(heard))
    for row, cell in enumerate(cells):
        rows = routing.decisions(bundle, cell)
        share = routing.per_utterance(bundle, rows, routing.noise_share(rows))
        for offset, condition in zip(offsets, heard, strict=True):
            mean = share.restrict(bundle.in_conditions((condition,))).mean()
            if mean is None:
                continue
            half = np.nan_to_num(float(mean.half_width))
            axes.errorbar(
                float(mean.estimate), row + offset, xerr=half, markersize=3.2, elinewidth=0.9,
                color=style.CONDITION_COLOURS[condition], fmt=style.CONDITION_MARKERS[condition],
                markeredgewidth=0, label=condition if row == 0 else None,
            )  # fmt: skip
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", zorder=0, linewidth=0)
    axes.axvline(0.5, color=style.GREY, linewidth=0.7, linestyle=":", zorder=1)
    axes.set_yticks(range(len(cells)), cells, family="DejaVu Sans Mono", fontsize=5.6)
    axes.set(ylim=(len(cells) - 0.5, -0.5), xlim=(-0.02, 1.02))
    axes.set_xlabel("noise expert's share of the weights")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(heard), handletextpad=0.1, columnspacing=1)
    return figure


def weights_dose(bundle: Bundle) -> Figure:
    """Expert weights against SNR and RT60 (dose-response), with 95 % intervals."""
    cell = _example_cell(bundle)
    rows = routing.decisions(bundle, cell)
    snr = bundle.utterances["snr_db"].round(1)
    rt60 = _rt60_bins(bundle.utterances["rt60_s"])
    panels = [
        (doses, label)
        for doses, label in ((snr, "SNR (dB)"), (rt60, "RT60 (s), mean of bin"))
        if doses.notna().any()
    ]
    if not panels:
        raise NothingToDrawError("no test utterance has an SNR or an RT60")
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 2.2)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (doses, label) in zip(grid, panels, strict=True):
        for column in _EXPERT_COLOURS:
            _dose_lines(axes, bundle, rows, doses, column)
        axes.set_xlabel(label)
        style.light_grid(axes, "y")
    grid[0].set_ylabel("expert weight")
    grid[0].set_ylim(0, 1.05)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", handlelength=2.6)
    figure.suptitle(words.cell_name(cell), x=0.01, ha="left", fontsize=7.5)
    return figure


def _rt60_bins(rt60_s: pd.Series) -> pd.Series:
    """Mean RT60 of each utterance's bin; five bins with equally many utterances."""
    ranks = rt60_s.rank(method="first")
    bins = np.ceil(ranks / ranks.max() * 5)
    return rt60_s.groupby(bins).transform("mean")


def _dose_lines(
    axes: Axes, bundle: Bundle, rows: pd.DataFrame, doses: pd.Series, column: str
) -> None:
    """Mean weight of one expert at each dose; solid for one distortion, dashed for both."""
    sample = routing.per_utterance(bundle, rows, rows[column])
    name = column.removeprefix("weight_")
    conditions = bundle.utterances["condition"]
    for condition, line in ((None, "-"), ("both", "--")):
        chosen = conditions == "both" if condition else ~conditions.isin(["both", "clean"])
        points = []
        for dose in np.unique(doses[chosen].dropna()):
            mean = sample.restrict(((doses == dose) & chosen).to_numpy()).mean()
            if mean is not None:
                half = np.nan_to_num(float(mean.half_width))
                points.append((dose, float(mean.estimate), half))
        if points:
            x, y, half = np.array(points).T
            label = f"{name} expert, {'both' if condition else 'one distortion'}"
            axes.errorbar(
                x, y, yerr=half, color=_EXPERT_COLOURS[column], linestyle=line, elinewidth=0.8,
                marker=_EXPERT_MARKERS[column], markersize=3, label=label,
                markerfacecolor="white" if condition else _EXPERT_COLOURS[column],
            )  # fmt: skip


def router_confusion(bundle: Bundle) -> Figure:
    """Predicted against true class, for the full S-MoE and its neighbours along the axes."""
    cells = routing.router_cells(bundle)
    candidates = [
        words.FULL_CELL, "EMBDL.multi.supervised.per_layer", "EMBDL.multi.implicit.global",
        "shuffled-labels",
    ]  # fmt: skip
    shown = [c for c in candidates if c in cells] or cells[:4]
    shown = [c for c in shown if np.isfinite(routing.confusion(bundle, c)).any()]
    if not shown:
        raise NothingToDrawError("no routing decision has a true class to compare with")
    figure = style.new_figure(0.6 + 1.65 * len(shown), 2.3)
    figure.set_layout_engine("compressed")
    grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, cell in zip(grid, shown, strict=True):
        shares = routing.confusion(bundle, cell)
        axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        for true, predicted in np.ndindex(shares.shape):
            share = shares[true, predicted]
            axes.text(
                predicted, true, f"{share * 100:.0f} %" if np.isfinite(share) else "–",
                ha="center", va="center", fontsize=6.5, color="white" if share > 0.55 else "black",
            )  # fmt: skip
        axes.set_xticks(range(words.N_CLASSES), words.CLASSES)
        axes.set_yticks(range(words.N_CLASSES), words.CLASSES)
        axes.set_xlabel("predicted class")
        axes.set_title(words.cell_name(cell).replace("S-MoE ", "").replace(", ", "\n", 1))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    grid[0].set_ylabel("true class")
    return figure
