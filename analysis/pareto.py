"""Which cells give the most quality for their cost, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import RANDOM_STATE
from analysis.samples import align
from analysis.statistics import bootstrap_means

N_RESAMPLES = 10_000


def costs(bundle: Bundle) -> list[str]:
    """The kinds of cost that the runs tell, as columns of the runs."""
    return ["macs", "params", *(["inference_rtf"] if bundle.has_times else [])]


@dataclass(frozen=True)
class Point:
    """A cell between cost and quality.

    Attributes:
        cell: Its code.
        macs: MACs per second of audio.
        quality: Mean PESQ-WB over the distorted utterances.
        on_front: No other cell has at most its MACs and more quality.
        probability: Cost (column of the runs) to the share of resamples in which the cell lies on
            that cost's front.
    """

    cell: str
    macs: float
    quality: float
    on_front: bool
    probability: dict[str, float]


def front(cost: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Whether each cell is on the Pareto front: none costs no more and scores higher.

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
    """Every cell that has a cost and all seeds of the study, with its place on the front.

    Probability: crossed bootstrap, seeds and utterances drawn in common for all cells.
    """
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
    scores, strata = scores[:, :, complete], bundle.strata[complete]
    cost = {name: _cost(bundle, cells, name) for name in costs(bundle)}
    quality = scores.mean(axis=(1, 2))
    drawn = bootstrap_means(scores, N_RESAMPLES, np.random.default_rng(RANDOM_STATE), strata)
    on_front = front(cost["macs"], quality)
    share = {name: front(values, drawn).mean(axis=0) for name, values in cost.items()}
    return [
        Point(
            cell=cell, macs=float(cost["macs"][i]), quality=float(quality[i]),
            on_front=bool(on_front[i]), probability={k: float(v[i]) for k, v in share.items()},
        )
        for i, cell in enumerate(cells)
    ]  # fmt: skip


def _cost(bundle: Bundle, cells: list[str], name: str) -> np.ndarray:
    """Median over a cell's runs: parameters and MACs do not vary, times do."""
    values = bundle.runs[name].to_numpy(dtype=float)
    return np.array([np.median(values[bundle.run_rows[c]]) for c in cells])
