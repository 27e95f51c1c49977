"""Figures of quality: placements, effects, cost, and utterance by utterance."""

from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from analysis import figures as style
from analysis import pareto, table_factorial
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import differences_to
from analysis.figures import NothingToDrawError

_METRIC = words.METRICS[words.PRIMARY]


def placement_heatmap(bundle: Bundle) -> Figure:
    """Gain in PESQ-WB over the dense network by placement, condition and settings.

    Left dots: where the experts are. Tiles: the reference setting by condition, then the overall
    gain of every other setting. White: not in this study.
    """
    trained = [c for c in bundle.cells() if "." in c]
    if not bundle.has(words.DENSE) or not trained:
        raise NothingToDrawError("the study has no dense network or no S-MoE to compare")
    placements = [p for p in words.placements()[1:] if any(c.startswith(p + ".") for c in trained)]
    columns = _heatmap_columns(bundle, trained)
    gains = np.full((len(placements), len(columns)), np.nan)
    for j, (_, axes_levels, conditions) in enumerate(columns):
        cells = [words.cell_code(p, axes_levels) for p in placements]
        pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), words.PRIMARY, conditions)
        for i, pair in enumerate(pairs):
            mean = pair.mean() if pair is not None else None
            gains[i, j] = np.nan if mean is None else float(mean.estimate)
    figure, (dots, tiles, bar) = _heatmap_axes(len(placements), len(columns))
    _placement_dots(dots, placements)
    _gain_tiles(figure, tiles, bar, gains, [name for name, *_ in columns])
    return figure


def _heatmap_axes(n_rows: int, n_columns: int) -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    """Axes for the dots, the tiles and the colour bar, placed in inches: rows of equal height."""
    row, column, dots, top, bottom, left = 0.17, 0.42, 0.7, 0.85, 0.5, 0.05
    body, tiles = row * n_rows, column * n_columns
    width, height = left + dots + 0.1 + tiles + 0.05, top + body + bottom
    figure = Figure(figsize=(width, height))

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    first = left + dots + 0.1
    return figure, (
        place(left, bottom, dots, body),
        place(first, bottom, tiles, body),
        place(first, bottom - 0.13, min(tiles, 1.9), 0.06),
    )


def _heatmap_columns(bundle: Bundle, trained: list[str]) -> list[tuple]:
    """Name, axis levels and conditions of each column that has any cell."""
    present = {tuple(c.split(".")[1:]) for c in trained}
    columns: list[tuple] = []
    if words.REFERENCE_AXES in present:
        sets = {"overall": words.DISTORTED, **{c: (c,) for c in words.DISTORTED}}
        columns = [
            (name, words.REFERENCE_AXES, conditions)
            for name, conditions in sets.items()
            if bundle.in_conditions(conditions).any()
        ]
    order = list(product(*words.AXIS_LEVELS.values()))
    for levels in sorted(present - {words.REFERENCE_AXES}, key=order.index):
        name = "\n".join(levels).replace("per_layer", "per layer")
        columns.append((name, levels, words.DISTORTED))
    return columns


def _placement_dots(axes: Axes, placements: list[str]) -> None:
    for row, placement in enumerate(placements):
        on = [i for i, letter in enumerate(placement) if letter != "-"]
        axes.plot(range(5), [row] * 5, "o", color=style.LIGHT_GREY, markersize=3, zorder=1)
        axes.plot(on, [row] * len(on), "o-", color=style.BLACK, markersize=3.6, linewidth=0.8)
    axes.set_xticks(range(5), words.POSITION_NAMES, rotation=90)
    axes.set(xlim=(-0.6, 4.6), ylim=(len(placements) - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _gain_tiles(
    figure: Figure, axes: Axes, bar_axes: Axes, gains: np.ndarray, names: list[str]
) -> None:
    largest = float(np.nanmax(np.abs(gains))) or 1.0
    norm = TwoSlopeNorm(0, -largest, largest)
    image = axes.imshow(gains, cmap="RdBu", norm=norm, aspect="auto")
    for (i, j), gain in np.ndenumerate(gains):
        if np.isfinite(gain):
            colour = "white" if abs(gain) > 0.65 * largest else "black"
            text = f"{gain:+.3f}".replace("-", "−")
            axes.text(j, i, text, ha="center", va="center", fontsize=5.6, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(gains) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="both", length=0, labelleft=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, cax=bar_axes, orientation="horizontal")
    bar.set_label(f"{_METRIC.label} above dense ({_METRIC.unit})")
    half = float(f"{largest / 2:.0e}")  # well inside, so that no label leaves the figure
    bar.set_ticks([-half, 0, half])
    bar.outline.set_visible(False)  # pyright: ignore


def effects(bundle: Bundle) -> Figure:
    """Shapley values, main effects and interactions of placements and of axes.

    The design of all eight factors at once stands in table 6 alone.
    """
    designs = [d for d in table_factorial.complete_designs(bundle) if len(d.factors) < 8]
    if not designs:
        reasons = table_factorial.incomplete_reasons(bundle)
        raise NothingToDrawError("no factorial design is complete: " + "; ".join(reasons))
    groups = [
        (kind if i else f"{design.title}\n{kind}", rows)
        for design in designs
        for i, (kind, rows) in enumerate(table_factorial.effect_intervals(bundle, design).items())
    ]
    heights = [len(rows) + 1.2 for _, rows in groups]
    height = 0.4 + 0.14 * sum(heights) + 0.28 * len(groups)
    figure = style.new_figure(style.SINGLE_COLUMN_IN, height)
    grid = figure.subplots(len(groups), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (title, rows) in zip(grid, groups, strict=True):
        for y, (_, effect) in enumerate(rows):
            estimate, half = float(effect.interval.estimate), float(effect.interval.half_width)
            sure = effect.decided
            axes.errorbar(
                estimate, y, xerr=half, fmt="o", markersize=3.4, elinewidth=1,
                color=style.BLUE if sure else style.GREY, mfc=style.BLUE if sure else "white",
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.axvline(0, color=style.BLACK, linewidth=0.6)
        axes.set_title(title)
        axes.tick_params(axis="y", length=0)
        style.light_grid(axes, "x")
    grid[-1].set_xlabel(f"Δ {_METRIC.axis_label}")
    return figure


def quality_against_macs(bundle: Bundle) -> Figure:
    """PESQ-WB against MACs with the Pareto front; cells on it are filled."""
    points = pareto.points(bundle)
    if len(points) < 2:
        raise NothingToDrawError("fewer than two cells have a cost and a score")
    figure = style.new_figure(style.SINGLE_COLUMN_IN, 2.8)
    axes = figure.subplots()
    for point in points:
        colour, marker = _kind_style(point.cell)
        axes.plot(
            point.macs / 1e9, point.quality, marker, markersize=4.2,
            markeredgecolor=colour, markerfacecolor=(colour, float(point.on_front)),
            markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
    front = sorted((p for p in points if p.on_front), key=lambda p: p.macs)
    axes.step(
        [p.macs / 1e9 for p in front], [p.quality for p in front], where="post",
        color=style.VERMILION, linewidth=1, zorder=1,
    )  # fmt: skip
    for point in front:
        name = words.short_name(point.cell).removeprefix("S-MoE ")
        axes.annotate(
            name, (point.macs / 1e9, point.quality), fontsize=5.8,
            textcoords="offset points", xytext=(-4, 4), ha="right",  # no cell can be there
        )  # fmt: skip
    for marker, colour, label in (
        ("s", style.BLACK, "plain U-Net"), ("o", style.BLUE, "S-MoE"),
        ("D", style.ORANGE, "routing control"),
    ):  # fmt: skip
        axes.plot([], [], marker, color=colour, markersize=3.6, label=label)
    axes.plot([], [], color=style.VERMILION, linewidth=1, label="Pareto front")
    costs = [p.macs for p in points]
    if max(costs) > 4 * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.33, y=0.08)  # for the label of the cheapest cell
    axes.set(xlabel="GMACs per second of audio", ylabel=_METRIC.axis_label)
    style.light_grid(axes, "y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _kind_style(cell: str) -> tuple[str, str]:
    """Colour and marker of plain networks, S-MoE and routing controls."""
    if cell in words.ROUTING_CONTROLS:
        return style.ORANGE, "D"
    return (style.BLUE, "o") if "." in cell else (style.BLACK, "s")


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
