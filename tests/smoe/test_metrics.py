"""Metrics against closed forms and their packages; what cannot be computed says why."""

import math
import warnings

import numpy as np
import pytest
import torch

from smoe.evaluation.evaluate import _score_all
from smoe.metrics import METRICS, MetricError, estoi, pesq_wb, score, si_sdr_db, stoi

RATE = 16_000


def speech(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch under a syllable rhythm: enough for PESQ to find utterances."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    return (0.05 * voice * np.maximum(np.sin(2 * np.pi * 2 * t), 0)
            + 1e-4 * rng.standard_normal(len(t)))  # fmt: skip


def noise(like: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(len(like))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_si_sdr_of_orthogonal_noise_is_the_snr(snr_db: float) -> None:
    """Noise orthogonal to zero-mean speech at a given SNR; any gain on the estimate is free."""
    s, n = speech() - speech().mean(), noise(speech())
    n -= n.mean()
    n -= (n @ s) / (s @ s) * s
    n *= np.sqrt((s @ s) / (n @ n)) * 10 ** (-snr_db / 20)
    assert si_sdr_db(reference=s, estimate=s + n) == pytest.approx(snr_db, abs=1e-9)
    assert si_sdr_db(reference=s, estimate=0.1 * (s + n) + 3) == pytest.approx(snr_db, abs=1e-8)


def test_perfect_speech_has_the_best_scores() -> None:
    """PESQ-WB 4.64, STOI and ESTOI 1."""
    s = speech()
    assert pesq_wb(reference=s, estimate=s) == pytest.approx(4.644, abs=1e-3)
    assert stoi(reference=s, estimate=s) == pytest.approx(1, abs=1e-4)
    assert estoi(reference=s, estimate=s) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("metric", list(METRICS.values()), ids=list(METRICS))
def test_more_noise_scores_worse(metric) -> None:
    """Reference and estimate are not swapped, and each metric falls with the SNR."""
    s = speech()
    values = [metric(reference=s, estimate=s + level * noise(s)) for level in (0.001, 0.01, 0.1)]
    assert values[0] > values[1] > values[2]


def test_estoi_is_repeatable_and_leaves_the_global_generator() -> None:
    """ESTOI is dithered from NumPy's global generator: the same answer twice, and no trace left."""
    s = speech()
    np.random.seed(7)
    first = estoi(reference=s, estimate=s + 0.01 * noise(s))
    after = np.random.random()
    second = estoi(reference=s, estimate=s + 0.01 * noise(s))
    np.random.seed(7)
    assert (first, after) == (second, np.random.random())


@pytest.mark.parametrize(
    ("reference", "estimate", "missing"),
    [
        (np.zeros(RATE), speech(1.0), set(METRICS)),
        (speech(1.0), np.zeros(RATE), set(METRICS)),
        (speech(1.0), np.full(RATE, np.nan), set(METRICS)),
        (speech(0.2), speech(0.2) + 0.01 * noise(speech(0.2)), {"pesq_wb", "stoi", "estoi"}),
        (speech(), speech(), {"si_sdr_db"}),
    ],
    ids=["silent reference", "silent estimate", "NaN", "0.2 s", "equal signals"],
)
def test_a_metric_that_fails_is_empty_with_a_reason(
    reference: np.ndarray, estimate: np.ndarray, missing: set[str]
) -> None:
    """None, never 0 or another stand-in; the others are still there, and nothing is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = score(reference=reference, estimate=estimate)
    assert {name for name in METRICS if values[name] is None} == missing
    assert all(math.isfinite(values[name]) for name in set(METRICS) - missing)  # type: ignore[arg-type]
    assert isinstance(values["error"], str) and values["error"]


def test_no_error_where_all_went_well() -> None:
    """The reason is empty."""
    assert score(reference=speech(), estimate=speech() + 0.01 * noise(speech()))["error"] == ""


def test_signals_of_two_lengths_are_a_mistake() -> None:
    """A programming error, not a missing value."""
    with pytest.raises(ValueError, match="one length"):
        si_sdr_db(reference=speech(1.0), estimate=speech(2.0))
    with pytest.raises(MetricError):
        si_sdr_db(reference=speech(), estimate=np.zeros_like(speech()))


def test_scoring_takes_denormal_numbers_for_zero_and_leaves_no_trace() -> None:
    """The scores are those of the metrics alone, also where filters run out in silence."""
    clean = speech()
    clean[len(clean) // 2 :] = 0
    estimates = np.stack([clean + 0.01 * noise(clean), 0.5 * clean]).astype(np.float32)
    clean = clean.astype(np.float32)
    alone = [score(reference=clean, estimate=estimate) for estimate in estimates]
    assert _score_all(np.stack([clean, clean]), estimates, [len(clean)] * 2) == alone
    assert torch.tensor(1e-40) * 0.5 != 0
