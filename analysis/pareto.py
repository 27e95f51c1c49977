"""Which cells give the most quality for their cost, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import RANDOM_STATE
from analysis.samples import align
from analysis.statistics import bootstrap_means, mean_interval

N_RESAMPLES = 10_000


@dataclass(frozen=True)
class Point:
    """A cell between cost and quality.

    Attributes:
        cell: Its code.
        macs: MACs per second of audio.
        params: Parameters.
        real_time_factor: Compute time per second of audio.
        quality: Mean PESQ-WB over the distorted utterances.
        half_width: Half of its 95 % interval.
        on_front: No other cell has at most its MACs and more quality.
        probability: Share of resamples in which it lies on the front.
    """

    cell: str
    macs: float
    params: float
    real_time_factor: float
    quality: float
    half_width: float
    on_front: bool
    probability: float


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
    rows = [bundle.cell_row(c) for c in cells]
    cost = np.array([float(r["macs"]) for r in rows])
    interval = mean_interval(scores, strata)
    rng = np.random.default_rng(RANDOM_STATE)
    drawn = bootstrap_means(scores, N_RESAMPLES, rng, strata)
    on_front, probability = front(cost, interval.estimate), front(cost, drawn).mean(axis=0)
    return [
        Point(
            cell=cell, macs=cost[i], params=float(rows[i]["params"]),
            real_time_factor=float(rows[i]["inference_rtf"]),
            quality=float(interval.estimate[i]), half_width=float(interval.half_width[i]),
            on_front=bool(on_front[i]), probability=float(probability[i]),
        )
        for i, cell in enumerate(cells)
    ]  # fmt: skip
