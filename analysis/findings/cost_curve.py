"""What a dense network of the same cost would score.

Model: between two neighbouring widths a and b the score of a dense network is linear in the
logarithm of its cost,

    score(cost) = (1 - t) score[a] + t score[b],    t = log(cost / cost[a]) / log(cost[b] / cost[a])

so a cell minus the curve is one contrast of three cells, paired by seed and utterance, with the
variance that follows. Nothing is extrapolated: beyond the narrowest and the widest dense network
there is no comparison.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.statistics.samples import Sample, combine

COSTS = {"macs": "MACs", "params": "parameters"}


@dataclass(frozen=True)
class CurvePoint:
    """The dense curve at a cell's cost: weights of one or two dense cells that sum to 1."""

    weights: dict[str, float]

    @property
    def name(self) -> str:
        """`dense` or `72.0 % dense, 28.0 % dense-macs`."""
        if len(self.weights) == 1:
            return next(iter(self.weights))
        return ", ".join(f"{w * 100:.1f} % {cell}" for cell, w in self.weights.items())


@lru_cache(maxsize=8)
def curve_cells(bundle: Bundle, cost: str) -> dict[str, float]:
    """Return the dense cells that have runs, from the cheapest to the dearest, with their cost.

    Every cell without experts is one; of two with equal cost the first counts.
    """
    found: dict[float, str] = {}
    for cell in bundle.cells():
        row = bundle.cell_row(cell)
        value = float(row[cost]) if row[cost] is not None else np.nan
        if row["placement"] == words.NO_PLACEMENT and np.isfinite(value):
            found.setdefault(value, cell)
    return {found[value]: value for value in sorted(found)}


def point_at(bundle: Bundle, cell: str, cost: str) -> CurvePoint | str:
    """Return the dense curve at the cost of a cell, or the reason why there is none.

    Args:
        bundle: The study.
        cell: A cell with runs.
        cost: `macs` or `params`.
    """
    curve = curve_cells(bundle, cost)
    if cell in curve:
        return "a point of the curve"
    if len(curve) < 2:
        return "no curve: fewer than two dense networks"
    names, costs = list(curve), np.array(list(curve.values()))
    wanted = float(bundle.cell_row(cell)[cost])
    if wanted < costs[0] or wanted > costs[-1]:
        return "outside the curve"
    above = int(np.searchsorted(costs, wanted))
    if costs[above] == wanted:
        return CurvePoint({names[above]: 1.0})
    t = float(np.log(wanted / costs[above - 1]) / np.log(costs[above] / costs[above - 1]))
    return CurvePoint({names[above - 1]: 1 - t, names[above]: t})


def difference_to_curve(
    bundle: Bundle, cell: str, point: CurvePoint, metric: str,
    conditions: tuple[str, ...] = words.DISTORTED,
) -> Sample:  # fmt: skip
    """Subtract the dense curve at its cost from a cell, paired by seed and utterance."""
    samples = [bundle.sample(c, metric) for c in (cell, *point.weights)]
    weights = np.array([1.0, *(-w for w in point.weights.values())])
    return combine(samples, weights).restrict(bundle.in_conditions(conditions))


def curve_differences(
    bundle: Bundle, cells: list[str], cost: str, metric: str
) -> list[Sample | str | None]:
    """Subtract the curve from each cell; the reason where there is none, None without runs."""
    result: list[Sample | str | None] = []
    for cell in cells:
        if not bundle.has(cell) or not np.isfinite(float(bundle.cell_row(cell)[cost] or np.nan)):
            result.append(None)
            continue
        point = point_at(bundle, cell, cost)
        if isinstance(point, CurvePoint):
            result.append(difference_to_curve(bundle, cell, point, metric))
        else:
            result.append(point)
    return result


def range_sentence(bundle: Bundle, cost: str) -> str:
    """Say which dense networks make the curve, from where to where."""
    curve = curve_cells(bundle, cost)
    if len(curve) < 2:
        return f"There is no dense curve over {COSTS[cost]}: fewer than two dense networks."
    unit, label = (1e9, "GMACs per s") if cost == "macs" else (1e6, "million parameters")
    low, *_, high = curve.values()
    return (
        f"Dense curve over {COSTS[cost]}: {', '.join(curve)} "
        f"({low / unit:.3f} to {high / unit:.3f} {label})."
    )
