"""Quality of the unprocessed test set by condition, SNR and reverberation time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from smoe.config import RT60_BANDS_S, TestSetConfig
from smoe.corpora.pool import Corpus
from smoe.evaluation.evaluate import evaluate_unprocessed
from smoe.metrics import METRICS
from smoe.mixtures.test_set import CONDITIONS, test_set


@dataclass(frozen=True)
class Quality:
    """Mean scores of one part of the test set.

    Attributes:
        condition: "noise", "reverb", "both" or "clean".
        snr_db: NaN without noise.
        rt60_s: Band of the reverberation time in s, from and to; None without reverberation.
        count: Utterances.
        scores: Mean of each of `metrics.METRICS`, NaN where it is not defined for any utterance.
    """

    condition: str
    snr_db: float
    rt60_s: tuple[float, float] | None
    count: int
    scores: dict[str, float]


def unprocessed_quality(corpus: Corpus, config: TestSetConfig, jobs: int) -> list[Quality]:
    """Score the noisy input itself.

    Args:
        corpus: Prepared.
        config: Of the test set.
        jobs: Worker processes.
    """
    rows = evaluate_unprocessed(test_set(corpus, config), score_jobs=jobs).utterances
    parts: dict[tuple, list[dict]] = {}
    for row in rows:
        band = next((b for b in RT60_BANDS_S if b[0] <= row["rt60_s"] < b[1]), None)
        snr_db = None if np.isnan(row["snr_db"]) else row["snr_db"]
        parts.setdefault((row["condition"], snr_db, band), []).append(row)
    conditions = list(CONDITIONS)
    order = sorted(parts, key=lambda k: (conditions.index(k[0]), k[1] or 0.0, k[2] or (0.0, 0.0)))
    return [
        Quality(
            condition,
            float("nan") if snr_db is None else snr_db,
            band,
            len(parts[condition, snr_db, band]),
            {name: _mean(parts[condition, snr_db, band], name) for name in METRICS},
        )
        for condition, snr_db, band in order
    ]


def _mean(rows: list[dict], metric: str) -> float:
    values = [row[metric] for row in rows if row[metric] is not None]
    return float(np.mean(values)) if values else float("nan")


def quality_rows(parts: list[Quality]) -> Iterator[tuple[str, ...]]:
    """The table as text: a row of headings, then one per part."""
    yield ("condition", "SNR dB", "T60 s", "N", "PESQ-WB", "STOI", "ESTOI", "SI-SDR dB")
    for part in parts:
        formats = zip(part.scores.values(), ("{:.2f}", "{:.3f}", "{:.3f}", "{:.1f}"), strict=True)
        yield (
            part.condition,
            "" if np.isnan(part.snr_db) else f"{part.snr_db:g}",
            "" if part.rt60_s is None else _band(*part.rt60_s),
            str(part.count),
            *("" if np.isnan(value) else text.format(value) for value, text in formats),
        )


def _band(low_s: float, high_s: float) -> str:
    return f"{low_s:.1f} to {high_s:.1f}" if np.isfinite(high_s) else f"over {low_s:.1f}"
