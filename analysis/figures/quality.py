"""Figures of quality: effects, cost, and utterance by utterance."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.plots import Axes, Figure
from analysis.figures.style import NothingToDrawError
from analysis.findings import pareto
from analysis.findings.compare import Comparison, differences_to, judge, noise_kinds
from analysis.tables import factorial

_METRIC = words.METRICS[words.PRIMARY]
_BAND = "#E8F1F7"


def effects(bundle: Bundle) -> Figure:
    """Shapley values, main effects and interactions of placements and of axes.

    Bars: 95 % intervals. Small dots: the effect in each seed. Filled: decided after Holm over its
    group; open: undecided. Band: equivalence margin of the study. The design of all eight factors
    at once stands in table 6 alone.
    """
    designs = [d for d in factorial.complete_designs(bundle) if len(d.factors) < 8]
    if not designs:
        reasons = factorial.incomplete_reasons(bundle)
        raise NothingToDrawError("no factorial design is complete: " + "; ".join(reasons))
    groups = [
        (kind if i else f"{design.title}\n{kind}", rows)
        for design in designs
        for i, (kind, rows) in enumerate(factorial.effect_intervals(bundle, design).items())
    ]
    heights = [len(rows) + 1.2 for _, rows in groups]
    height = 0.8 + 0.16 * sum(heights) + 0.28 * len(groups)
    figure = style.new_figure(style.SINGLE_COLUMN_IN, height)
    grid = figure.subplots(len(groups), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    margin = bundle.rules.margins.get(words.PRIMARY)
    for axes, (title, rows) in zip(grid, groups, strict=True):
        for y, (_, effect) in enumerate(rows):
            _effect_marks(axes, y, effect)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.axvline(0, color=style.BLACK, linewidth=0.6)
        if margin is not None:
            axes.axvspan(-margin, margin, color=_BAND, zorder=0, linewidth=0)
        axes.set_title(title)
        axes.tick_params(axis="y", length=0)
        style.light_grid(axes, "x")
    grid[-1].set_xlabel(f"Δ {_METRIC.axis_label}")
    _effect_legend(figure, grid[0], margin)
    return figure


def _effect_marks(axes: Axes, y: int, effect: Comparison) -> None:
    """Draw an effect with its interval, and under it the same effect in each seed."""
    colour = style.BLUE if effect.decided else style.GREY
    half = float(effect.interval.half_width)
    axes.errorbar(
        float(effect.interval.estimate), y - 0.1, xerr=half if np.isfinite(half) else None,
        fmt="o", markersize=3.4, elinewidth=1, color=colour,
        mfc=colour if effect.decided else "white", zorder=4,
    )  # fmt: skip
    seeds = effect.by_seed
    axes.plot(seeds, [y + 0.26] * len(seeds), ".", color=style.BLACK, markersize=2.6, zorder=3)


def _effect_legend(figure: Figure, axes: Axes, margin: float | None) -> None:
    filled = axes.plot([], [], "o-", color=style.BLUE, markersize=3.4)[0]
    hollow = axes.plot([], [], "o-", color=style.GREY, markersize=3.4, mfc="white")[0]
    seed = axes.plot([], [], ".", color=style.BLACK, markersize=2.6)[0]
    handles, labels = [filled, hollow, seed], ["decided", "undecided", "one seed"]
    if margin is not None:
        handles.append(axes.fill_between([], [], color=_BAND, linewidth=0))  # pyright: ignore
        labels.append(f"margin ±{margin:g}")
    figure.legend(handles, labels, loc="outside upper left", ncols=4, columnspacing=1)


def quality_against_macs(bundle: Bundle) -> Figure:
    """PESQ-WB against MACs with the Pareto front.

    Filled: on the front; open: another cell costs no more and scores higher. Bars: 95 % interval
    of the paired difference to the dense network, around the cell's mean; the dense network, to
    which all are compared, has none.
    """
    points = pareto.points(bundle)
    if len(points) < 2:
        raise NothingToDrawError("fewer than two cells have a cost and a score")
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 3.1)
    axes = figure.subplots()
    halves = _halves_to_dense(bundle, [point.cell for point in points])
    for point, half in zip(points, halves, strict=True):
        colour, marker = _kind_style(bundle, point.cell)
        axes.errorbar(
            point.macs / 1e9, point.quality, yerr=half, fmt="none", ecolor=(colour, 0.35),
            elinewidth=0.8, zorder=2,
        )  # fmt: skip
        axes.plot(
            point.macs / 1e9, point.quality, marker, markersize=4.2, markeredgecolor=colour,
            markerfacecolor=colour if point.on_front else "white", markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
    front = sorted((p for p in points if p.on_front), key=lambda p: p.macs)
    axes.step(
        [p.macs / 1e9 for p in front], [p.quality for p in front], where="post",
        color=style.VERMILION, linewidth=1, zorder=1,
    )  # fmt: skip
    for point in front:
        axes.annotate(
            _front_label(point.cell), (point.macs / 1e9, point.quality), fontsize=5.8,
            textcoords="offset points", xytext=(-4, 4), ha="right",  # no cell can be there
        )  # fmt: skip
    costs = [p.macs for p in points]
    if max(costs) > 4 * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.33, y=0.08)  # for the label of the cheapest cell
    axes.set(xlabel="GMACs per second of audio", ylabel=_METRIC.axis_label)
    style.light_grid(axes, "y")
    _quality_legend(figure, axes, {_kind_style(bundle, p.cell) for p in points})
    return figure


def _front_label(cell: str) -> str:
    """Return a short label of a cell: its placement, and settings other than the reference."""
    if "." not in cell:
        return words.short_name(cell)
    placement, *axes = cell.split(".")
    other = [a for a, usual in zip(axes, words.REFERENCE_AXES, strict=True) if a != usual]
    return f"{placement} ({', '.join(other)})".replace("per_layer", "per layer").replace(" ()", "")


def _halves_to_dense(bundle: Bundle, cells: list[str]) -> list[float | None]:
    """Return half widths of the paired differences to dense; None where there is none."""
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), words.PRIMARY)
    judged = judge(bundle, pairs, words.PRIMARY, kinds=noise_kinds(bundle, cells))
    halves = [None if c is None else float(c.interval.half_width) for c in judged]
    return [half if half is not None and np.isfinite(half) else None for half in halves]


def _quality_legend(figure: Figure, axes: Axes, shown: set[tuple[str, str]]) -> None:
    """Explain marks, filled and open, bars and the front; kinds that the study lacks are left out.

    Each entry is drawn as it stands in the figure.
    """
    for (colour, marker), label in _KINDS.items():
        if (colour, marker) in shown:
            axes.plot([], [], marker, color=colour, markersize=3.6, label=label)
    axes.plot([], [], "o", color=style.GREY, markersize=3.6, label="filled: on the front")
    axes.plot([], [], "o", color=style.GREY, markersize=3.6, mfc="white", label="open: not on it")
    axes.plot([], [], color=style.VERMILION, linewidth=1, label="Pareto front")
    axes.errorbar(
        [], [], yerr=[], fmt="none", ecolor=style.GREY, elinewidth=0.8,
        label="95 % of Δ dense",
    )  # fmt: skip
    figure.legend(loc="outside upper left", ncols=2)


_KINDS = {
    (style.BLACK, "s"): "plain U-Net",
    (style.BLUE, "o"): "S-MoE",
    (style.PURPLE, "^"): "S-MoE with late decoder",
    (style.ORANGE, "D"): "routing control",
}


def _kind_style(bundle: Bundle, cell: str) -> tuple[str, str]:
    """Return colour and marker of a control, a plain network, or an S-MoE by late decoder."""
    if cell in words.ROUTING_CONTROLS:
        return style.ORANGE, "D"
    if "." not in cell:
        return style.BLACK, "s"
    return (style.PURPLE, "^") if bundle.cell_row(cell)["late_decoder"] else (style.BLUE, "o")


def paired_differences(bundle: Bundle) -> Figure:
    """Full S-MoE minus dense for every test utterance, sorted, by condition."""
    smoe = [c for c in bundle.cells() if "." in c]
    if not bundle.has(words.DENSE) or not smoe:
        raise NothingToDrawError("the study has no dense network or no S-MoE to compare")
    cell = words.FULL_CELL if bundle.has(words.FULL_CELL) else smoe[-1]
    shown = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 2.1)
    grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, condition in zip(grid, shown, strict=True):
        pair = differences_to(bundle, [cell], [words.DENSE], words.PRIMARY, (condition,))[0]
        assert pair is not None
        values = np.sort(pair.values()[0].mean(axis=0))
        colours = np.where(values > 0, style.BLUE, style.VERMILION)
        axes.bar(np.arange(len(values)), values, width=1, color=colours, linewidth=0)
        axes.axhline(0, color=style.BLACK, linewidth=0.6)
        axes.axhline(values.mean(), color=style.BLACK, linewidth=0.9, linestyle="--")
        axes.set_title(f"{condition}: {np.mean(values > 0) * 100:.0f} % improve")
        axes.set_xlabel("utterance, sorted")
        axes.set_xticks([])
        style.light_grid(axes, "y")
    grid[0].set_ylabel(f"Δ {_METRIC.axis_label}")
    figure.suptitle(
        f"{words.cell_name(cell)} minus dense (dashed: mean)", x=0.01, ha="left", fontsize=7.5
    )
    return figure
