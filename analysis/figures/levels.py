"""Figure of the differences to the dense network against a setting that the study varies."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures import style
from analysis.figures.plots import Axes, Figure
from analysis.figures.style import NothingToDrawError
from analysis.findings.compare import Comparison, judge, noise_kinds
from analysis.tables.levels import SHOWN, Variant, against_dense, variant_name, variants

COLOURS = (
    style.BLUE, style.VERMILION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.GREY,
    style.BLACK,
)  # fmt: skip
SPREAD = 0.6  # of the distance between two levels, over which the series stand apart


def differences_by_level(bundle: Bundle) -> Figure:
    """Each network minus the dense one at every level of the first setting, with 95 % intervals."""
    if len(bundle.levels) < 2 or not bundle.has(words.DENSE):
        raise NothingToDrawError("the study varies no setting beside its cells")
    setting = next(iter(bundle.levels[0][0]))
    parts = _along(bundle, setting)
    series = list(dict.fromkeys(v for _, part in parts for v in variants(part)))
    figure = style.new_figure(style.DOUBLE_COLUMN_IN, 2.3 + 0.075 * len(series))
    grid = figure.subplots(1, len(SHOWN), squeeze=False)[0]
    for axes, metric in zip(grid, SHOWN, strict=True):
        _panel(axes, bundle, parts, series, metric)
        axes.set_xlabel(setting.replace(".", " "))
        axes.set_ylabel(f"Δ dense, {words.METRICS[metric].axis_label}")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _along(bundle: Bundle, setting: str) -> list[tuple[object, Bundle]]:
    """Return value and bundle of the levels that equal the shown one in all but this setting."""
    rest = [{k: v for k, v in level.items() if k != setting} for level, _ in bundle.levels]
    own = rest[-1]
    return [
        (level[setting], part)
        for (level, part), others in zip(bundle.levels, rest, strict=True)
        if others == own
    ]


def _panel(
    axes: Axes,
    bundle: Bundle,
    parts: list[tuple[object, Bundle]],
    series: list[Variant],
    metric: str,
) -> None:
    margin = bundle.rules.margins.get(metric)
    if margin is not None:
        axes.axhspan(-margin, margin, color=style.LIGHT_GREY, alpha=0.5, zorder=0, linewidth=0)
    axes.axhline(0, color=style.BLACK, linewidth=0.6)
    judged: list[dict[Variant, Comparison | None]] = []
    for _, part in parts:
        each = variants(part)
        kinds = noise_kinds(part, [cell for cell, _ in each])
        found = judge(part, against_dense(part, each, metric), metric, kinds=kinds)
        judged.append(dict(zip(each, found, strict=True)))
    cells = list(dict.fromkeys(cell for cell, _ in series))
    for number, variant in enumerate(series):
        points = [(i, level[variant]) for i, level in enumerate(judged) if level.get(variant)]
        if not points:
            continue
        shift = SPREAD * ((number + 0.5) / len(series) - 0.5)
        x = np.array([i for i, _ in points]) + shift
        y = np.array([c.interval.estimate for _, c in points if c], dtype=float)
        half = np.array([c.interval.half_width for _, c in points if c], dtype=float)
        other = variant[1] != "learned"
        colour = COLOURS[cells.index(variant[0]) % len(COLOURS)]
        axes.errorbar(
            x, y, half, color=colour, linestyle="--" if other else "-", marker="o", markersize=3,
            markerfacecolor="white" if other else colour, elinewidth=0.6, capsize=0,
            label=variant_name(variant),
        )  # fmt: skip
    axes.set_xticks(range(len(parts)), [str(level) for level, _ in parts])
    axes.margins(x=0.12)
