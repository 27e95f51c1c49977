"""Figure of the gain by placement."""

from itertools import product

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.plots import Axes, Figure, TwoSlopeNorm
from analysis.figures.style import NothingToDrawError
from analysis.findings.compare import differences_to, judge, noise_kinds

_METRIC = words.METRICS[words.PRIMARY]
_LEAST_RANGE = 3  # of the colours, in margins: none within the margin is deep


def placement_heatmap(bundle: Bundle) -> Figure:
    """Gain in PESQ-WB over the dense network by placement, condition and settings.

    Left dots: where the experts are. Tiles: the reference setting by condition and on clean speech,
    then the overall gain of every other setting. Star: decided after Holm over its column. White:
    not in this study. Lines in the colour bar: equivalence margin of the study. Clean speech does
    not stretch the colours, so its tiles may be at their end.
    """
    trained = [c for c in bundle.cells() if "." in c]
    if not bundle.has(words.DENSE) or not trained:
        raise NothingToDrawError("the study has no dense network or no S-MoE to compare")
    placements = [p for p in words.placements()[1:] if any(c.startswith(p + ".") for c in trained)]
    columns = _heatmap_columns(bundle, trained)
    gains = np.full((len(placements), len(columns)), np.nan)
    decided = np.zeros(gains.shape, dtype=bool)
    for j, (_, axes_levels, conditions) in enumerate(columns):
        cells = [words.cell_code(p, axes_levels) for p in placements]
        pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), words.PRIMARY, conditions)
        judged = judge(bundle, pairs, words.PRIMARY, kinds=noise_kinds(bundle, cells))
        for i, comparison in enumerate(judged):
            if comparison is not None:
                gains[i, j] = float(comparison.interval.estimate)
                decided[i, j] = comparison.decided
    figure, (dots, tiles, bar) = _heatmap_axes(len(placements), len(columns))
    _placement_dots(dots, placements)
    stretching = [j for j, (*_, conditions) in enumerate(columns) if conditions != ("clean",)]
    margin = bundle.rules.margins.get(words.PRIMARY)
    largest = max(float(np.nanmax(np.abs(gains[:, stretching]))), _LEAST_RANGE * (margin or 0))
    _gain_tiles(tiles, gains, decided, largest or 1.0, [name for name, *_ in columns])
    beyond = bool(np.nanmax(np.abs(gains)) > largest)
    _colour_bar(figure, bar, tiles, largest or 1.0, margin, beyond)
    return figure


def _heatmap_axes(n_rows: int, n_columns: int) -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    """Make a figure with axes for dots, tiles and colour bar; rows have a fixed height."""
    row, column, dots, top, bottom, left = 0.17, 0.42, 0.7, 0.85, 0.72, 0.05
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
    """Return name, axis levels and conditions of each column that has any cell."""
    present = {tuple(c.split(".")[1:]) for c in trained}
    columns: list[tuple] = []
    if words.REFERENCE_AXES in present:
        sets = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}
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
    axes: Axes, gains: np.ndarray, decided: np.ndarray, largest: float, names: list[str]
) -> None:
    norm = TwoSlopeNorm(0, -largest, largest)
    axes.imshow(gains, cmap="RdBu", norm=norm, aspect="auto")
    for (i, j), gain in np.ndenumerate(gains):
        if np.isfinite(gain):
            colour = "white" if abs(gain) > 0.65 * largest else "black"
            text = f"{gain:+.3f}".replace("-", "−") + "*" * bool(decided[i, j])
            axes.text(j, i, text, ha="center", va="center", fontsize=5.6, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(gains) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="both", length=0, labelleft=False)
    axes.spines[:].set_visible(False)


def _colour_bar(
    figure: Figure, axes: Axes, tiles: Axes, largest: float, margin: float | None, beyond: bool
) -> None:
    bar = figure.colorbar(
        tiles.images[0], cax=axes, orientation="horizontal", extend="both" if beyond else "neither"
    )
    half = float(f"{largest / 2:.0e}")  # well inside, so that no label leaves the figure
    bar.set_ticks([-half, 0, half])
    bar.outline.set_visible(False)  # pyright: ignore
    label = f"{_METRIC.label} above dense ({_METRIC.unit})\n* decided (Holm over the column)"
    if margin is not None:
        for edge in (-margin, margin):
            axes.axvline(edge, color=style.BLACK, linewidth=0.7)
        label += f"\nlines: margin ±{margin:g}"
    bar.set_label(label, loc="left")
