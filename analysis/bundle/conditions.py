"""Parts of the test set that are looked at apart: by condition, SNR, RT60 and type of noise.

Each function returns the name of a part and the mask of its utterances, [U]; an empty part lacks.
"""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle

Parts = dict[str, np.ndarray]
_MOST_LEVELS = 10  # SNRs that are listed one by one
_STEP_DB = 5


def by_condition(bundle: Bundle) -> Parts:
    """Return the conditions of the test set."""
    return _heard({c: bundle.in_conditions((c,)) for c in words.CONDITIONS})


def by_snr(bundle: Bundle) -> Parts:
    """Return the listed SNRs of the noisy utterances, or bands of 5 dB if there are many."""
    snr_db = bundle.utterances["snr_db"].to_numpy(dtype=float).round(1)
    levels = np.unique(snr_db[np.isfinite(snr_db)])
    if len(levels) <= _MOST_LEVELS:
        return {f"SNR {_signed(level)} dB": snr_db == level for level in levels}
    lows = np.floor(snr_db / _STEP_DB) * _STEP_DB
    return {
        f"SNR {_signed(low)} to {_signed(low + _STEP_DB)} dB": lows == low
        for low in np.unique(lows[np.isfinite(lows)])
    }


def by_rt60(bundle: Bundle) -> Parts:
    """Return the bands of RT60 of the reverberant utterances."""
    rt60_s = bundle.utterances["rt60_s"].to_numpy(dtype=float)
    return _heard(
        {name: (rt60_s >= low) & (rt60_s < high) for name, (low, high) in rt60_bands().items()}
    )


def rt60_bands() -> dict[str, tuple[float, float]]:
    """Return the name of each band of RT60 to its bounds in s, from and below."""
    return {
        f"RT60 {low:g} to {high:g} s" if np.isfinite(high) else f"RT60 from {low:g} s": (low, high)
        for low, high in words.RT60_BANDS_S
    }


def by_noise_type(bundle: Bundle) -> Parts:
    """Return the types of noise of the noisy utterances; none if the bundle does not store them."""
    if "noise_type" not in bundle.utterances:
        return {}
    types = bundle.utterances["noise_type"]
    named = sorted(str(t) for t in types[types.notna()].unique() if str(t))
    return {name.replace("_", " "): (types == name).fillna(False).to_numpy(bool) for name in named}


def _heard(parts: Parts) -> Parts:
    return {name: mask for name, mask in parts.items() if mask.any()}


def _signed(level_db: float) -> str:
    return f"{level_db:g}".replace("-", "−")
