"""Which cells give the most quality for their cost.

How sure a place on the front is, the comparison with the dense curve says (`cost_curve`).
"""

from dataclasses import dataclass

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.statistics.samples import align


@dataclass(frozen=True)
class Point:
    """A cell between cost and quality.

    Attributes:
        cell: Its code.
        macs: MACs per second of audio.
        quality: Mean PESQ-WB over the distorted utterances.
        on_front: No other cell has at most its MACs and more quality.
    """

    cell: str
    macs: float
    quality: float
    on_front: bool


def front(cost: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Return whether each cell is on the Pareto front: none costs no more and scores higher.

    Of cells equal in cost only the best stays; equal in both, all stay.

    Args:
        cost: [C].
        quality: [..., C].
    """
    order = np.argsort(cost, kind="stable")
    best_so_far = np.maximum.accumulate(quality[..., order], axis=-1)
    last_of_cost = np.searchsorted(cost[order], cost, side="right") - 1
    return quality >= best_so_far[..., last_of_cost]


def points(bundle: Bundle) -> list[Point]:
    """Return every cell that has a cost and all seeds of the study, with its place on the front."""
    mask = bundle.in_conditions(words.DISTORTED)
    cells = [
        c
        for c in bundle.cells()
        if np.isfinite(float(bundle.cell_row(c)["macs"])) and not bundle.missing_seeds(c)
    ]
    if not cells:
        return []
    scores, _ = align([bundle.sample(c, words.PRIMARY).restrict(mask) for c in cells])
    complete = ~np.isnan(scores).any(axis=(0, 1))
    if not complete.any():
        return []
    quality = scores[:, :, complete].mean(axis=(1, 2))
    macs = np.array([float(bundle.cell_row(c)["macs"]) for c in cells])
    on_front = front(macs, quality)
    return [
        Point(cell, float(macs[i]), float(quality[i]), bool(on_front[i]))
        for i, cell in enumerate(cells)
    ]
