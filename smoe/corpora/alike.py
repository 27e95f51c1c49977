"""Whether two recordings hold the same sound where their fingerprints agree: by their waveforms.

Both are aligned to a fraction of a sample and compared in windows of 62 ms. A copy at another
level, rate, coding or cut has the same waveform in window after window; two voices or noises do
not, nor do tones of two frequencies, which agree for a while and drift apart.
"""

from typing import cast

import numpy as np
from scipy.fft import next_fast_len

from smoe.corpora.fingerprint import RATE

PART = RATE // 16  # samples of a window
SAME = 0.8  # correlation of a window's waveforms in a copy
RUN = 4  # windows in a row that are the same in a copy
MOST = 0.7  # share of the windows that are the same in a copy with gaps
SEARCH = 96  # samples around the delay that the fingerprint gives
FINER = 8  # of the alignment, in parts of a sample
AROUND = 2 * RATE  # samples to either side of the matching codes that are compared
TONAL_HZ = 15.0  # bandwidth below which a sound is a tone, or a few
TONAL_SHARE = 0.95  # of the windows of a tone that are the same in a copy
GATE = 1e-3  # power of a window, of the loudest one's, that still says something
LOW_HZ, HIGH_HZ = 250.0, 1900.0


def same_sound(one: np.ndarray, other: np.ndarray, delay: int, start: int) -> bool:
    """Return whether two recordings hold the same sound at a delay.

    Args:
        one: Recording at 4 kHz, float [samples].
        other: Another one.
        delay: Samples by which the common sound starts later in `one`, roughly.
        start: Where in `one` some of it stands.
    """
    first = max(0, delay, start - AROUND)
    end = min(len(one), len(other) + delay, start + AROUND)
    if end - first < RUN * PART:
        return False
    mine = _band(one[first:end])
    # A little more of the other one, in which the exact place is looked for.
    low, high = first - delay - SEARCH, end - delay + SEARCH
    theirs = other[max(0, low) : max(0, high)]
    theirs = _band(np.pad(theirs, (max(0, -low), max(0, high - len(other)))))
    alike = _alike(mine, _aligned(mine, theirs))
    if _is_tonal(mine):
        return len(alike) >= RUN and abs(alike.mean()) > TONAL_SHARE
    most = len(alike) >= RUN and abs(alike.mean()) > MOST
    return most or _longest_run(alike) >= RUN


def _band(audio: np.ndarray) -> np.ndarray:
    size = cast(int, next_fast_len(len(audio), real=True))
    spectrum = np.fft.rfft(audio.astype(np.float64), size)
    frequency_hz = np.fft.rfftfreq(size, 1 / RATE)
    spectrum[(frequency_hz < LOW_HZ) | (frequency_hz > HIGH_HZ)] = 0
    return np.fft.irfft(spectrum, size)[: len(audio)]


def _aligned(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Cut the longer one to where it resembles the shorter most, to a fraction of a sample."""
    size = cast(int, next_fast_len(len(mine) + len(theirs), real=True))
    spectrum = np.fft.rfft(theirs, size)
    cross = spectrum * np.conj(np.fft.rfft(mine, size))
    whole = int(np.abs(np.fft.irfft(cross, size)[: 2 * SEARCH + 1]).argmax())
    frequency = np.fft.rfftfreq(size)
    used = (frequency > LOW_HZ / RATE) & (frequency < HIGH_HZ / RATE)
    lags = whole + np.arange(-FINER, FINER + 1) / FINER
    step = np.exp(2j * np.pi * frequency[used] / FINER)
    turned = cross[used] * np.exp(2j * np.pi * frequency[used] * lags[0])
    resemblance = np.empty(len(lags))
    for i in range(len(lags)):
        resemblance[i] = abs(turned.real.sum())
        turned *= step
    lag = lags[int(resemblance.argmax())]
    shifted = np.fft.irfft(spectrum * np.exp(2j * np.pi * frequency * lag), size)
    return shifted[: len(mine)]


def _alike(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """For each window that sounds, 1 if it is the same, -1 if it is with all signs turned, or 0."""
    count = len(mine) // PART
    a, b = (wave[: count * PART].reshape(count, PART) for wave in (mine, theirs))
    power_a, power_b = (np.einsum("wp,wp->w", part, part) for part in (a, b))
    sounding = (power_a > GATE * power_a.max()) & (power_b > GATE * power_b.max())
    sounding &= (power_a > 0) & (power_b > 0)
    products = np.einsum("wp,wp->w", a, b)
    same = np.abs(products) > SAME * np.sqrt(power_a * power_b)
    return (np.sign(products) * same)[sounding]


def _longest_run(alike: np.ndarray) -> int:
    """The largest number of windows in a row that are the same, all with one sign."""
    run, longest, before = 0, 0, 0.0
    for sign in alike:
        run = (run + 1 if sign == before else 1) if sign else 0
        longest, before = max(longest, run), sign
    return longest


def _is_tonal(audio: np.ndarray) -> bool:
    """Whether a sound consists of a few steady tones: two such may agree for a while by chance."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    bins = power.sum() ** 2 / max(float((power**2).sum()), 1e-300)  # that share the power
    return bins * RATE / len(audio) < TONAL_HZ
