"""Figure of outside systems beside the study's own networks, by condition."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.levels import COLOURS
from analysis.figures.plots import Axes, Figure
from analysis.figures.style import NothingToDrawError
from analysis.tables.main import samples_of

SPREAD = 0.7  # of the distance between two conditions, over which the systems stand apart
MARKS = "osD^vP*X"


def outside_systems(bundle: Bundle) -> Figure:
    """Draw the mean of each system in each condition, with 95 % intervals.

    Hollow: outside systems, which have no seeds, so that their intervals cover utterances alone.
    """
    if not bundle.outside_systems():
        raise NothingToDrawError("no outside system was scored")
    fixed = (words.UNPROCESSED, words.DENSE, words.FULL_CELL)
    cells = [*filter(bundle.has, fixed), *bundle.outside_systems()]
    rows = -(-len(words.METRICS) // 2)
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 1.9 * rows + 0.1 * len(cells))
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, metric in zip(grid, words.METRICS, strict=False):
        _panel(axes, bundle, cells, metric)
    for axes in grid[len(words.METRICS) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _panel(axes: Axes, bundle: Bundle, cells: list[str], metric: str) -> None:
    heard = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    for number, cell in enumerate(cells):
        samples = [samples_of(bundle, [cell], metric, (c,))[0] for c in heard]
        means = [sample.mean() if sample is not None else None for sample in samples]
        y = np.array([np.nan if m is None else float(m.estimate) for m in means])
        half = np.array([np.nan if m is None else float(m.half_width) for m in means])
        colour, hollow = COLOURS[number % len(COLOURS)], cell in bundle.outside_systems()
        axes.errorbar(
            np.arange(len(heard)) + SPREAD * ((number + 0.5) / len(cells) - 0.5), y,
            np.nan_to_num(half), fmt=MARKS[number % len(MARKS)], color=colour, markersize=3.6,
            mfc="white" if hollow else colour, elinewidth=0.8, capsize=0,
            label=words.short_name(cell),
        )  # fmt: skip
    axes.set_xticks(range(len(heard)), heard)
    axes.set_ylabel(words.METRICS[metric].axis_label)
    axes.margins(x=0.06)
    style.light_grid(axes, "y")
