"""Composite measures CSIG, CBAK and COVL and what they are made of (Hu and Loizou 2008).

Frames of 30 ms at every 7.5 ms, as in Loizou's programs. Regressions of the article, on MOS-LQO of
wideband PESQ at 16 kHz, as the field reports them; values are held to 1 to 5.
"""

import numpy as np
from numpy.typing import NDArray

from smoe.config import SAMPLE_RATE

Wave = NDArray[np.floating]
FRAME, HOP = 480, 120
FFT = 1024
LPC_ORDER = 16
KEPT = 0.95  # share of frames that count: the worst are left out
_SMALL = np.finfo(np.float64).eps
# Critical bands: centres and widths in Hz.
_CENTRES_HZ = np.array([
    50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378, 798.717, 904.128,
    1020.38, 1148.30, 1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97,
    2978.04, 3276.17, 3597.63,
])  # fmt: skip
_WIDTHS_HZ = np.array([
    70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914,
    140.423, 153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126,
    321.465, 346.136,
])  # fmt: skip


def composite(*, reference: Wave, estimate: Wave, pesq_wb: float) -> tuple[float, float, float]:
    """Return CSIG (signal), CBAK (background) and COVL (overall), each 1 to 5.

    Args:
        reference: Clean speech at 16 kHz.
        estimate: Enhanced speech, same length.
        pesq_wb: Wideband PESQ of the pair.
    """
    slope = weighted_slope(reference=reference, estimate=estimate)
    ratio = log_likelihood_ratio(reference=reference, estimate=estimate)
    snr_db = segmental_snr_db(reference=reference, estimate=estimate)
    signal = 3.093 - 1.029 * ratio + 0.603 * pesq_wb - 0.009 * slope
    background = 1.634 + 0.478 * pesq_wb - 0.007 * slope + 0.063 * snr_db
    overall = 1.594 + 0.805 * pesq_wb - 0.512 * ratio - 0.007 * slope
    low, mid, high = (float(np.clip(v, 1, 5)) for v in (signal, background, overall))
    return low, mid, high


def segmental_snr_db(*, reference: Wave, estimate: Wave) -> float:
    """Mean SNR of the frames in dB, each held to -10 to 35 dB."""
    clean, other = _frames(reference)[:-1], _frames(estimate)[:-1]
    energy, error = (clean**2).sum(axis=1), ((clean - other) ** 2).sum(axis=1)
    return float(np.clip(10 * np.log10(energy / (error + _SMALL) + _SMALL), -10, 35).mean())


def log_likelihood_ratio(*, reference: Wave, estimate: Wave) -> float:
    """Mean log ratio of the prediction errors of both signals' filters on the clean speech."""
    clean, lags = _predictor(_frames(np.asarray(reference, np.float64) + _SMALL)[:-1])
    other, _ = _predictor(_frames(np.asarray(estimate, np.float64) + _SMALL)[:-1])
    matrix = lags[:, np.abs(np.subtract.outer(np.arange(LPC_ORDER + 1), np.arange(LPC_ORDER + 1)))]
    errors = [np.einsum("fi,fij,fj->f", a, matrix, a) for a in (other, clean)]
    ratio = errors[0] / errors[1]
    return _best(np.log(np.where(ratio > 0, ratio, 1000.0)))


def weighted_slope(*, reference: Wave, estimate: Wave) -> float:
    """Weighted distance of the spectral slopes in 25 critical bands (Klatt 1982)."""
    levels = [
        np.maximum(10 * np.log10(_spectra(wave) ** 2 @ critical_bands().T), -100.0)
        for wave in (reference, estimate)
    ]
    weight = (_slope_weight(levels[0]) + _slope_weight(levels[1])) / 2
    gap = np.diff(levels[0], axis=1) - np.diff(levels[1], axis=1)
    return _best((weight * gap**2).sum(axis=1) / weight.sum(axis=1))


def fwsegsnr_db(*, reference: Wave, estimate: Wave) -> float:
    """Frequency-weighted segmental SNR in dB, -10 to 35 (Hu and Loizou 2008, eq. 8 and 9).

    Spectra sum to one in each frame; weights are the clean band magnitudes to the power of 0.2.
    """
    spectra = [_spectra(wave) for wave in (reference, estimate)]
    bands = [(s / s.sum(axis=1, keepdims=True)) @ critical_bands().T for s in spectra]
    error = np.maximum((bands[0] - bands[1]) ** 2, _SMALL)
    weight = bands[0] ** 0.2
    snr_db = (weight * 10 * np.log10(bands[0] ** 2 / error)).sum(axis=1) / weight.sum(axis=1)
    return float(np.clip(snr_db, -10, 35).mean())


def critical_bands() -> NDArray[np.float64]:
    """Gaussian filters of the critical bands over the bins of a spectrum, [25, 512]."""
    to_bins = FFT / SAMPLE_RATE
    distance = np.arange(FFT // 2) - np.floor(_CENTRES_HZ * to_bins)[:, None]
    gain = np.log(_WIDTHS_HZ[0] / _WIDTHS_HZ)[:, None]
    filters = np.exp(-11 * (distance / (_WIDTHS_HZ * to_bins)[:, None]) ** 2 + gain)
    return filters * (filters > np.exp(-30 / (2 * 2.303)))


def _window() -> NDArray[np.float64]:
    return 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, FRAME + 1) / (FRAME + 1)))


def _frames(wave: Wave) -> NDArray[np.float64]:
    """Windowed frames, [F, 480]."""
    views = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float64), FRAME)
    return views[::HOP] * _window()


def _spectra(wave: Wave) -> NDArray[np.float64]:
    """Magnitudes of all frames but the last, without the highest bin, [F, 512]."""
    whole = int(len(wave) / HOP - FRAME / HOP) * HOP + FRAME - HOP
    frames = _frames(np.asarray(wave, np.float64)[:whole] + _SMALL)
    return np.abs(np.fft.rfft(frames, FFT))[:, :-1]


def _predictor(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prediction error filters [F, 17] and autocorrelations [F, 17], by Levinson's recursion."""
    lags = np.stack(
        [(frames[:, k:] * frames[:, : FRAME - k]).sum(1) for k in range(LPC_ORDER + 1)], 1
    )
    filters = np.zeros_like(lags)
    filters[:, 0] = 1
    error = lags[:, 0].copy()
    for i in range(1, LPC_ORDER + 1):
        reflection = -(filters[:, :i] * lags[:, i:0:-1]).sum(axis=1) / error
        filters[:, 1 : i + 1] += reflection[:, None] * filters[:, i - 1 :: -1][:, :i]
        error *= 1 - reflection**2
    return filters, lags


def _slope_weight(levels_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """Klatt's weight of each slope: near the highest and near a local peak counts more, [F, 24]."""
    to_peak = _local_peaks(np.diff(levels_db, axis=1), levels_db) - levels_db[:, :-1]
    to_highest = levels_db.max(axis=1, keepdims=True) - levels_db[:, :-1]
    return 20 / (20 + to_highest) / (1 + to_peak)


def _local_peaks(slope: NDArray[np.float64], levels_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of the peak that each slope leads to, going up or coming from, [F, 24]."""
    n = slope.shape[1]
    rising = slope > 0
    end = np.full(slope.shape, n)  # first band from here on that does not rise
    begin = np.full(slope.shape, -1)  # last band up to here that rises
    for band in range(n):
        begin[:, band] = np.where(rising[:, band], band, begin[:, band - 1] if band else -1)
        back = n - 1 - band
        end[:, back] = np.where(rising[:, back], end[:, back + 1] if band else n, back)
    place = np.where(rising, end - 1, begin + 1)
    return np.take_along_axis(levels_db, place, axis=1)


def _best(distances: NDArray[np.float64]) -> float:
    return float(np.sort(distances)[: round(len(distances) * KEPT)].mean())
