"""Figures of the router: usage by condition, dose-response, confusion."""

import numpy as np
import pandas as pd

from analysis.bundle import conditions
from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.plots import Axes, Figure
from analysis.figures.style import NothingToDrawError
from analysis.findings import routing
from analysis.statistics.samples import Sample

_MOST_ROWS = 20
_EXPERT_COLOURS = {"weight_noise": style.VERMILION, "weight_reverb": style.BLUE}
_EXPERT_MARKERS = {"weight_noise": "o", "weight_reverb": "s"}


def _shown_cells(bundle: Bundle) -> list[str]:
    """Return the router cells that a figure shows, at most `_MOST_ROWS`.

    If there are more, it keeps controls, all settings of EMBDL, and single positions at the
    reference axes.
    """
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
    """Noise expert's share of the weights and their sum, by cell and condition, 95 % intervals.

    The paper's mapping lets the weights sum to up to 2; the normalized one to 1.
    """
    cells = _shown_cells(bundle)
    if not cells:
        raise NothingToDrawError("no run of the study has a router")
    figure = style.new_figure(5.2, 0.9 + 0.2 * len(cells))
    shares, sums = figure.subplots(1, 2, sharey=True)
    heard = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    for row, cell in enumerate(cells):
        rows = routing.decisions(bundle, cell)
        total = rows["weight_noise"].to_numpy() + rows["weight_reverb"].to_numpy()
        for axes, values in ((shares, routing.noise_share(rows)), (sums, total)):
            _by_condition(axes, bundle, routing.per_utterance(bundle, rows, values), row, heard)
    shares.set_yticks(range(len(cells)), cells, family="DejaVu Sans Mono", fontsize=5.6)
    shares.set(ylim=(len(cells) - 0.5, -0.5), xlim=(-0.02, 1.02))
    shares.set_xlabel("noise expert's share of the weights")
    sums.set(xlim=(-0.04, 2.04))
    sums.set_xlabel("sum of both weights")
    for axes, middle in ((shares, 0.5), (sums, 1.0)):
        axes.axvline(middle, color=style.GREY, linewidth=0.7, linestyle=":", zorder=1)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    handles, labels = shares.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", ncols=len(heard), handletextpad=0.1,
        columnspacing=1,
    )  # fmt: skip
    return figure


def _by_condition(axes: Axes, bundle: Bundle, sample: Sample, row: int, heard: list[str]) -> None:
    """Draw a mean with its interval for each condition, in the row of a cell."""
    offsets = np.linspace(-0.24, 0.24, len(heard))
    for offset, condition in zip(offsets, heard, strict=True):
        mean = sample.restrict(bundle.in_conditions((condition,))).mean()
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
    """Return the mean RT60 of each utterance's bin; five bins hold equally many utterances."""
    ranks = rt60_s.rank(method="first")
    bins = np.ceil(ranks / ranks.max() * 5)
    return rt60_s.groupby(bins).transform("mean")


def _dose_lines(
    axes: Axes, bundle: Bundle, rows: pd.DataFrame, doses: pd.Series, column: str
) -> None:
    """Draw one expert's mean weight at each dose; solid for one distortion, dashed for both."""
    sample = routing.per_utterance(bundle, rows, rows[column])
    name = column.removeprefix("weight_")
    heard = bundle.utterances["condition"]
    for condition, line in ((None, "-"), ("both", "--")):
        chosen = heard == "both" if condition else ~heard.isin(["both", "clean"])
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
    """Predicted against true class, and accuracy by SNR with 95 % intervals.

    For the full S-MoE and its neighbours along the axes. Reverberant speech without noise has no
    SNR and stands at the right end.
    """
    cells = routing.router_cells(bundle)
    candidates = [
        words.FULL_CELL, "EMBDL.multi.supervised.per_layer", "EMBDL.multi.implicit.global",
        "shuffled-labels",
    ]  # fmt: skip
    shown = [c for c in candidates if c in cells] or cells[:4]
    shown = [c for c in shown if np.isfinite(routing.confusion(bundle, c)).any()]
    if not shown:
        raise NothingToDrawError("no routing decision has a true class to compare with")
    figure = style.new_figure(0.6 + 1.65 * len(shown), 3.9)
    grid = figure.subplots(2, len(shown), sharey="row", squeeze=False, height_ratios=(1.25, 1))
    for axes, cell in zip(grid[0], shown, strict=True):
        _confusion_tiles(axes, routing.confusion(bundle, cell))
        axes.set_title(words.cell_name(cell).replace("S-MoE ", "").replace(", ", "\n", 1))
    grid[0, 0].set_ylabel("true class")
    for axes, cell in zip(grid[1], shown, strict=True):
        _accuracy_lines(axes, bundle, cell)
    grid[1, 0].set_ylabel("accuracy")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(handles))
    return figure


def _confusion_tiles(axes: Axes, shares: np.ndarray) -> None:
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
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _accuracy_lines(axes: Axes, bundle: Bundle, cell: str) -> None:
    """Draw router accuracy by true class, at each SNR and without noise, with the chance level."""
    correct = routing.correct_decisions(bundle, cell)
    parts = conditions.by_snr(bundle)
    without = ~np.any([*parts.values(), np.zeros(len(bundle.utterances), bool)], axis=0)
    levels = [*parts.values(), without]
    for shift, condition in zip((-0.12, 0, 0.12), words.DISTORTED, strict=True):
        points = []
        for x, level in enumerate(levels):
            mean = correct.restrict(level & bundle.in_conditions((condition,))).mean()
            if mean is not None:
                bounds = np.nan_to_num([mean.low, mean.high], nan=float(mean.estimate))
                points.append((x + shift, float(mean.estimate), *np.clip(bounds, 0, 1)))
        if points:
            x, y, low, high = np.array(points).T
            axes.errorbar(
                x, y, yerr=(y - low, high - y), markersize=3.2, elinewidth=0.8, label=condition,
                color=style.CONDITION_COLOURS[condition], marker=style.CONDITION_MARKERS[condition],
            )  # fmt: skip
    axes.axhline(
        1 / words.N_CLASSES, color=style.GREY, linewidth=0.8, linestyle=":", label="chance"
    )
    names = [name.removeprefix("SNR ").removesuffix(" dB") for name in parts]
    turned = 90 if max(map(len, names), default=0) > 3 else 0
    axes.set_xticks(range(len(levels)), [*names, "no\nnoise"], rotation=turned)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlabel("SNR (dB)")
    style.light_grid(axes, "y")
