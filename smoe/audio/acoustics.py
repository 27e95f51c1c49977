"""Measures of room impulse responses: onset, reverberation time, direct-to-reverberant ratio."""

import numpy as np

from smoe.config import SAMPLE_RATE

DIRECT_PATH_S = 0.0025


def onset_sample(rir: np.ndarray) -> int:
    """First sample whose magnitude exceeds 10 % of the peak: the arrival of the direct path.

    Args:
        rir: Impulse response, [samples].
    """
    magnitude = np.abs(rir)
    return int(np.argmax(magnitude > 0.1 * magnitude.max()))


def rt60_s(rir: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Reverberation time in s, as T20 of Schroeder's backward integration (ISO 3382-1).

    A line is fitted to the decay from -5 to -25 dB and extrapolated to -60 dB; deeper down, the
    noise floor or the cut-off tail of a recorded response would bend it.

    Args:
        rir: Impulse response, [samples].
        sample_rate: In Hz.

    Returns:
        Seconds, or NaN where the response ends before it has decayed by 25 dB.
    """
    energy = np.cumsum(np.asarray(rir, dtype=np.float64)[::-1] ** 2)[::-1]
    if energy[0] <= 0:
        return float("nan")
    decay_db = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
    fitted = np.flatnonzero((decay_db <= -5) & (decay_db >= -25))
    # A response cut off before it has decayed drops through the last decibels within its last bit.
    decayed = fitted[-1] < 0.98 * len(rir) if len(fitted) >= 16 else False
    if not decayed:
        return float("nan")
    slope = np.polyfit(fitted / sample_rate, decay_db[fitted], 1)[0]
    return float(-60 / slope)


def drr_db(rir: np.ndarray, onset: int = 0, sample_rate: int = SAMPLE_RATE) -> float:
    """Direct-to-reverberant ratio in dB: the first 2.5 ms from the onset against all that follows.

    Args:
        rir: Impulse response, [samples].
        onset: Sample at which the direct path arrives.
        sample_rate: In Hz.

    Returns:
        NaN where nothing follows the direct path.
    """
    end = onset + round(DIRECT_PATH_S * sample_rate)
    direct = np.sum(np.square(rir[onset:end], dtype=np.float64))
    reverberant = np.sum(np.square(rir[end:], dtype=np.float64))
    if direct <= 0 or reverberant <= 0:
        return float("nan")
    return float(10 * np.log10(direct / reverberant))
