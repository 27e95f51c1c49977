"""What the router does: accuracy, calibration, usage, collapse, and the worth of its decisions."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.statistics.intervals import Interval
from analysis.statistics.samples import Sample, combine, difference

COLLAPSE_SHARE = 0.95
_CALIBRATION_BINS = 10


def router_cells(bundle: Bundle) -> list[str]:
    """Return the cells with routing decisions, in the order of the tables."""
    runs = bundle.runs.loc[np.unique(bundle.routing["run"]), "cell"]
    return sorted(runs.unique(), key=words.cell_order)


def decisions(bundle: Bundle, cell: str) -> pd.DataFrame:
    """Return a cell's decisions, one row per run, layer and utterance, with condition and seed."""
    rows = bundle.routing[np.isin(bundle.routing["run"].to_numpy(), bundle.run_rows[cell])]
    position = rows["position"].to_numpy()
    conditions = bundle.utterances["condition"].to_numpy()[position]
    return rows.assign(condition=conditions, seed=bundle.run_seeds[rows["run"]])


def per_utterance(bundle: Bundle, rows: pd.DataFrame, values: pd.Series | np.ndarray) -> Sample:
    """Return a quantity of decisions as a sample [S, U], averaged over layers; NaN where none."""
    seeds = np.unique(rows["seed"])
    sums = np.zeros((len(seeds), len(bundle.utterances)))
    counts = np.zeros_like(sums)
    index = (np.searchsorted(seeds, rows["seed"]), rows["position"].to_numpy())
    known = ~np.isnan(np.asarray(values, dtype=float))
    np.add.at(sums, (index[0][known], index[1][known]), np.asarray(values, dtype=float)[known])
    np.add.at(counts, (index[0][known], index[1][known]), 1)
    with np.errstate(invalid="ignore"):
        scores = np.where(counts > 0, sums / counts, np.nan)
    level = bundle.rules.coverage
    return Sample(scores, tuple(int(s) for s in seeds), bundle.test_set, level=level)


@dataclass(frozen=True)
class RouterSummary:
    """A cell's router in numbers.

    Attributes:
        accuracy: Share of distorted utterances given their true class, with interval.
        calibration_error: Expected calibration error (Guo et al. 2017): gap between confidence and
            accuracy, averaged over ten bins of confidence.
        usage_noise: Mean share of the noise expert's weight per condition.
        entropy: Mean entropy of the two experts' shares, in bits: 0 hard, 1 even.
        specialisation: Noise expert's share in `noise` minus that in `reverb`, with interval.
        collapsed: One expert takes more than 95 % of the weight in every condition.
    """

    accuracy: Interval | None
    calibration_error: float
    usage_noise: dict[str, float]
    entropy: float
    specialisation: Interval | None
    collapsed: bool


def noise_share(rows: pd.DataFrame) -> np.ndarray:
    """Return the noise expert's share of the sum of both weights, 0 to 1; NaN if the sum is 0.

    The paper's weights need not sum to 1.
    """
    noise, reverb = rows["weight_noise"].to_numpy(), rows["weight_reverb"].to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return noise / (noise + reverb)


def summarise_router(bundle: Bundle, cell: str) -> RouterSummary:
    """Compute accuracy, calibration, usage, entropy, specialisation and collapse of a router."""
    rows = decisions(bundle, cell)
    known = rows["true_class"].notna()
    correct = _correct(rows)
    share = noise_share(rows)
    usage = {
        c: float(np.nanmean(share[mask]))
        for c in words.CONDITIONS
        if (mask := (rows["condition"] == c).to_numpy()).any()
    }
    spread = np.clip(np.stack([share, 1 - share]), 1e-12, 1)
    used = list(usage.values())
    return RouterSummary(
        accuracy=per_utterance(bundle, rows, correct).mean(),
        calibration_error=_calibration_error(
            rows.loc[known, "confidence"].to_numpy(), correct[known].to_numpy()
        ),
        usage_noise=usage,
        entropy=float(np.nanmean(-(spread * np.log2(spread)).sum(axis=0))),
        specialisation=_specialisation(per_utterance(bundle, rows, share)),
        collapsed=min(used) > COLLAPSE_SHARE or max(used) < 1 - COLLAPSE_SHARE,
    )


def correct_decisions(bundle: Bundle, cell: str) -> Sample:
    """Return the share of layers that named the true class, [S, U]; NaN where there is none."""
    rows = decisions(bundle, cell)
    return per_utterance(bundle, rows, _correct(rows))


def _correct(rows: pd.DataFrame) -> pd.Series:
    known = rows["true_class"].notna()
    return (rows["predicted_class"] == rows["true_class"]).astype(float).where(known)


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    if not len(confidence):
        return np.nan
    bins = np.clip((confidence * _CALIBRATION_BINS).astype(int), 0, _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, confidence - correct, _CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _specialisation(share: Sample) -> Interval | None:
    """Return the mean on noise minus the mean on reverb utterances; None without either.

    It is computed as one linear mean over both groups.
    """
    noise, reverb = (
        (share.test_set.strata == words.CONDITIONS.index(c)) & share.complete()
        for c in ("noise", "reverb")
    )
    if not noise.any() or not reverb.any():
        return None
    n = noise.sum() + reverb.sum()
    scale = noise * n / noise.sum() - reverb * n / reverb.sum()
    return replace(share, scores=share.scores * scale).restrict(noise | reverb).mean()


def majority_share(bundle: Bundle) -> float:
    """Return the accuracy of always answering the most frequent class of distorted utterances."""
    counts = bundle.utterances["condition"].value_counts()
    distorted = [int(counts.get(c, 0)) for c in words.DISTORTED]
    return max(distorted) / sum(distorted) if sum(distorted) else np.nan


def confusion(bundle: Bundle, cell: str) -> np.ndarray:
    """Return the share of decisions, [true, predicted]; NaN rows for classes not heard.

    Rows sum to 1, or to less where the router has experts beyond noise and reverb and named them.
    """
    rows = decisions(bundle, cell)
    rows = rows[rows["true_class"].notna()]
    true, predicted = rows["true_class"].astype(int), rows["predicted_class"].astype(int)
    counts = np.zeros((words.N_CLASSES, max(words.N_CLASSES, 1 + predicted.max())))
    np.add.at(counts, (true, predicted), 1)
    with np.errstate(invalid="ignore"):
        return (counts / counts.sum(axis=1, keepdims=True))[:, : words.N_CLASSES]


def counterfactual_samples(bundle: Bundle, cell: str, metric: str) -> dict[str, Sample]:
    """Return scores by routing, learned and forced, on the utterances that all of them have.

    Empty if the study scored no counterfactual for the cell.
    """
    samples = {k: bundle.sample(cell, metric, k) for k in words.COUNTERFACTUALS}
    samples = {k: s for k, s in samples.items() if not np.isnan(s.scores).all()}
    if set(samples) <= {"learned"}:
        return {}
    common = np.all([s.complete() for s in samples.values()], axis=0)
    return {k: s.restrict(common) for k, s in samples.items()} if common.any() else {}


def oracle_gain_retained(samples: dict[str, Sample]) -> Interval | None:
    """Return (learned - uniform) / (oracle - uniform), the share of the oracle's gain realised.

    Interval after Fieller (1954): all shares r for which the mean of ``(learned - uniform) -
    r (oracle - uniform)`` may be zero; half its width stands on both sides of the estimate. None
    unless the oracle's gain is above zero beyond doubt (else the interval has no end) and the share
    is known to better than 1: a share of nothing has no meaning.
    """
    if not {"learned", "oracle", "uniform"} <= set(samples):
        return None
    learned, oracle, uniform = (samples[k] for k in ("learned", "oracle", "uniform"))
    realised, possible = difference(learned, uniform), difference(oracle, uniform)
    gain = possible.mean()
    if gain is None or not gain.low > 0:
        return None
    part = realised.mean()
    if part is None:
        return None
    share = float(part.estimate / gain.estimate)

    def excluded(r: float) -> bool:
        remainder = combine([realised, possible], np.array([1.0, -r])).mean()
        return remainder is None or bool(abs(remainder.estimate) > remainder.half_width)

    ends = [_boundary(excluded, share, sign) for sign in (-1.0, 1.0)]
    if None in ends:
        return None
    half = max(abs(end - share) for end in ends if end is not None)
    return Interval(np.asarray(share), np.asarray(share - half), np.asarray(share + half))


def _boundary(excluded: Callable[[float], bool], share: float, sign: float) -> float | None:
    """Find by bisection where shares are excluded along `sign`; None if not within 1 of `share`."""
    near, far = 0.0, 1.0
    if not excluded(share + sign * far):
        return None
    for _ in range(20):
        middle = (near + far) / 2
        near, far = (near, middle) if excluded(share + sign * middle) else (middle, far)
    return share + sign * far
