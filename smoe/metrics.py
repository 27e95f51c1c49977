"""Speech quality and intelligibility of one utterance; 16 kHz float arrays [samples] in [-1, 1].

A metric that cannot be computed raises MetricError with the reason; nothing stands in for it.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pesq as pesq_package
import pystoi
from numpy.typing import NDArray

from smoe.config import SAMPLE_RATE

Wave = NDArray[np.floating]
# The reference program of P.862 keeps at most 50 utterances and writes past its tables from the
# 51st on, which kills the process or changes the score. An utterance takes at least 0.2 s of speech
# and more than 0.2 s of silence after it, so that up to this length there cannot be 51.
LONGEST_PESQ_S = 20.0


class MetricError(Exception):
    """The metric is not defined for this pair of signals."""


def pesq_wb(*, reference: Wave, estimate: Wave) -> float:
    """Wideband PESQ as MOS-LQO, 1.04 to 4.64 (ITU-T P.862.2).

    Args:
        reference: Clean speech.
        estimate: Enhanced speech, same length.

    Raises:
        MetricError: no speech found, a signal under 0.25 s or over 20 s, or a silent estimate.
    """
    require_signal(reference, estimate)
    if len(reference) > LONGEST_PESQ_S * SAMPLE_RATE:
        seconds = len(reference) / SAMPLE_RATE
        raise MetricError(f"PESQ: {seconds:.1f} s are too long, it takes {LONGEST_PESQ_S:g} s")
    try:
        return float(pesq_package.pesq(SAMPLE_RATE, reference, estimate, "wb"))
    except (pesq_package.PesqError, ZeroDivisionError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise MetricError(f"PESQ: {reason}") from error


def stoi(*, reference: Wave, estimate: Wave) -> float:
    """Short-time objective intelligibility, about 0 to 1 (Taal et al. 2011).

    Args:
        reference: Clean speech.
        estimate: Enhanced speech, same length.

    Raises:
        MetricError: fewer than 30 frames (0.4 s) of active speech, or a silent estimate.
    """
    return _stoi(reference, estimate, extended=False)


def estoi(*, reference: Wave, estimate: Wave) -> float:
    """Extended STOI, about 0 to 1 (Jensen and Taal 2016); arguments and errors as `stoi`."""
    return _stoi(reference, estimate, extended=True)


def si_sdr_db(*, reference: Wave, estimate: Wave) -> float:
    """Scale-invariant SDR in dB (Le Roux et al. 2019, eq. 3), both signals made zero-mean.

    Summed without a product of vectors, whose last digits depend on the number of threads.

    Args:
        reference: Clean speech.
        estimate: Enhanced speech, same length.

    Raises:
        MetricError: a silent signal, or an estimate for which the ratio is infinite.
    """
    require_signal(reference, estimate)
    clean = np.asarray(reference, np.float64) - np.mean(reference, dtype=np.float64)
    enhanced = np.asarray(estimate, np.float64) - np.mean(estimate, dtype=np.float64)
    target = np.sum(enhanced * clean) / np.sum(clean**2) * clean
    energy, error_energy = np.sum(target**2), np.sum((enhanced - target) ** 2)
    if error_energy <= 1e-14 * energy:
        raise MetricError("SI-SDR: the estimate equals the reference")
    if not energy:
        raise MetricError("SI-SDR: the estimate has nothing of the reference")
    return float(10 * np.log10(energy / error_energy))


METRICS: dict[str, Callable[..., float]] = {
    "pesq_wb": pesq_wb,
    "stoi": stoi,
    "estoi": estoi,
    "si_sdr_db": si_sdr_db,
}
RANGES: dict[str, tuple[float, float]] = {  # lowest and highest value, for `run_all.py check`
    "pesq_wb": (1.0, 4.65),
    "stoi": (-1.0, 1.0),
    "estoi": (-1.0, 1.0),
    "si_sdr_db": (-np.inf, np.inf),
}


def score(*, reference: Wave, estimate: Wave) -> dict[str, float | str | None]:
    """All of `METRICS`; what fails is None, with the reasons joined in `error`."""
    values: dict[str, float | str | None] = {}
    reasons: list[str] = []
    for name, metric in METRICS.items():
        try:
            values[name] = metric(reference=reference, estimate=estimate)
        except MetricError as error:
            values[name] = None
            reasons.append(str(error))
    return {**values, "error": "; ".join(reasons)}


def require_signal(reference: Wave, estimate: Wave) -> None:
    """Refuse signals that are silent or not finite.

    Raises:
        MetricError: one is.
        ValueError: they are not of one length, [samples].
    """
    if reference.shape != estimate.shape or reference.ndim != 1:
        raise ValueError(f"one length is needed, not {reference.shape} and {estimate.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        raise MetricError("a signal is not finite")
    if not np.any(reference):
        raise MetricError("the reference is silent")
    if not np.any(estimate):
        raise MetricError("the estimate is silent")


def _stoi(reference: Wave, estimate: Wave, *, extended: bool) -> float:
    require_signal(reference, estimate)
    state = np.random.get_state()
    np.random.seed(0)  # pystoi dithers ESTOI from the global generator
    try:
        with warnings.catch_warnings():
            # pystoi answers 1e-5 with a warning where too little speech is left: a sentinel.
            warnings.simplefilter("error", RuntimeWarning)
            return float(pystoi.stoi(reference, estimate, SAMPLE_RATE, extended=extended))
    except RuntimeWarning as warning:
        raise MetricError("STOI: too little active speech") from warning
    finally:
        np.random.set_state(state)
