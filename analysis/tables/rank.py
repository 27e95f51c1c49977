"""Table 14: whether measures put the cells in the same order."""

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.rendering.forms import MISSING, Column, Row, Table, Value

FEWEST_CELLS = 4
DRAWS = 1000
Array = NDArray[np.float64]


def rank_table(bundle: Bundle) -> Table:
    """Make table 14: Spearman's rank correlation of each pair of measures over cells."""
    metrics = [*words.METRICS, *bundle.further]
    fixed = [words.UNPROCESSED] if bundle.has(words.UNPROCESSED) else []
    cells = [*fixed, *bundle.cells(), *bundle.outside_systems()]
    scores = {m: _by_cell(bundle, cells, m) for m in metrics}
    found = {
        (first, second): _entry(scores[first], scores[second])
        for first, second in combinations(metrics, 2)
    }
    rows = []
    for first in metrics:
        values: list[Value] = [words.measure(first).label]
        for second in metrics:
            values.append(found.get((first, second)) or found.get((second, first)) or MISSING)
        rows.append(Row(values))
    columns = [Column("Measure", "measure", numeric=False)]
    columns += [Column(words.measure(m).label, m, numeric=False) for m in metrics]
    caption = (
        "Spearman's rank correlation over the cells that both measures have (their number behind "
        "the bar), of means over seeds and distorted utterances; a measure of which lower is "
        "better counts with its sign turned. In brackets the 95 % interval over other utterances: "
        f"percentiles of {DRAWS} draws of utterances, the same for all cells."
    )
    notes = [
        "Networks of one study are alike, and the input and outside systems stand apart: a "
        "correlation may come from few cells. Intervals say nothing of other cells.",
        captions.seeds_and_extent(bundle),
    ]
    return Table("table14_ranks", "Table 14: agreement of measures", caption, columns, rows, notes)


def rank_correlation(
    first: Array, second: Array, rng: np.random.Generator
) -> tuple[float, float, float] | None:
    """Return Spearman's correlation over cells with its interval over utterances.

    Args:
        first: Scores [cells, utterances] of one measure; nothing is missing.
        second: Scores of the other one.
        rng: Draws utterances.

    Returns:
        Estimate, and 2.5 and 97.5 % of the draws; None where cells do not differ.
    """
    n = first.shape[1]
    draws = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS) / n  # [draws, U]
    weights = np.concatenate([np.full((1, n), 1 / n), draws])
    means = [pd.DataFrame(weights @ scores.T) for scores in (first, second)]
    ranks = [mean.rank(axis=1).to_numpy() for mean in means]  # scipy.stats would ask for torch
    apart = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    size = np.sqrt((apart[0] ** 2).sum(axis=1) * (apart[1] ** 2).sum(axis=1))
    if not size[0]:
        return None
    values = (apart[0] * apart[1]).sum(axis=1) / np.where(size > 0, size, np.nan)
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return float(values[0]), float(low), float(high)


def _by_cell(bundle: Bundle, cells: list[str], metric: str) -> Array:
    """Return mean scores over seeds, [cells, utterances], higher is better; NaN where missing."""
    mask = bundle.in_conditions(words.DISTORTED)
    sign = words.measure(metric).sign
    return np.stack([sign * bundle.sample(c, metric).scores[:, mask].mean(axis=0) for c in cells])


def _entry(first: Array, second: Array) -> str | None:
    """Return the correlation as text; None if too few cells or utterances have both measures."""
    known = np.isfinite(first) & np.isfinite(second)
    cells = known.any(axis=1)
    shared = known[cells].all(axis=0) if cells.any() else np.zeros(0, bool)
    if cells.sum() < FEWEST_CELLS or shared.sum() < 2:
        return None
    pair = [scores[cells][:, shared] for scores in (first, second)]
    found = rank_correlation(pair[0], pair[1], np.random.default_rng(0))
    if found is None:
        return None
    value, low, high = (f"{v:+.2f}".replace("-", "−") for v in found)
    return f"{value} [{low}, {high}] | {cells.sum()}"
