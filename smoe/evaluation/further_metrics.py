"""Further measures, computed on request; some need packages of the extra `metrics`.

Each measure gives one or several of the columns in `schema.measures.FURTHER`; 16 kHz float arrays
[samples] in [-1, 1], reference and estimate of one length.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation import composite as hu_loizou
from smoe.metrics import MetricError, pesq_wb, require_signal

Wave = NDArray[np.floating]
Values = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """A measure that is asked for by name.

    Attributes:
        columns: What it gives.
        compute: Reference and estimate, as keywords, to a value for each column.
        packages: What has to be installed for it, as it is imported.
    """

    columns: tuple[str, ...]
    compute: Callable[..., Values]
    packages: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether its packages are there."""
        return all(importlib.util.find_spec(name) is not None for name in self.packages)


def composite(*, reference: Wave, estimate: Wave) -> Values:
    """Give CSIG, CBAK and COVL, see `smoe.evaluation.composite`."""
    quality = pesq_wb(reference=reference, estimate=estimate)
    found = hu_loizou.composite(reference=reference, estimate=estimate, pesq_wb=quality)
    return dict(zip(("csig", "cbak", "covl"), found, strict=True))


def fwsegsnr(*, reference: Wave, estimate: Wave) -> Values:
    """Give the frequency-weighted segmental SNR in dB, see `smoe.evaluation.composite`."""
    return {"fwsegsnr_db": hu_loizou.fwsegsnr_db(reference=reference, estimate=estimate)}


def lsd(*, reference: Wave, estimate: Wave) -> Values:
    """Give the log-spectral distance as the URGENT challenges define it; lower is better.

    Root mean square over bins of the difference of the logarithms (to base e) of power, averaged
    over frames of 32 ms at every 16 ms, after the estimate is scaled to the reference.
    """
    small = 1e-8
    gain = np.sum(reference * estimate) / (np.sum(estimate**2) + small)
    clean, other = (np.abs(_stft(wave)) for wave in (reference, estimate * gain))
    distance = np.log(clean**2 / (other + small) ** 2 + small) ** 2
    return {"lsd": float(np.sqrt(distance.mean(axis=1)).mean())}


def srmr(*, reference: Wave, estimate: Wave) -> Values:
    """Give the speech-to-reverberation modulation energy ratio (Falk et al. 2010), estimate alone.

    As `torchmetrics` has it, after SRMRpy: 23 gammatone filters, 8 modulation bands of 4 to 128 Hz.
    """
    import torch
    from torchmetrics.functional import audio  # pyright: ignore[reportMissingImports]

    del reference
    wave = torch.from_numpy(np.asarray(estimate, np.float64))
    found = audio.speech_reverberation_modulation_energy_ratio(wave, SAMPLE_RATE)
    return {"srmr": float(found)}


def dnsmos(*, reference: Wave, estimate: Wave) -> Values:
    """Give DNSMOS P.835 (Reddy et al. 2022) of the estimate alone: signal, background, overall.

    Microsoft's network in the package `speechmos`; repeats what is shorter than 9.01 s. An estimate
    beyond [-1, 1], which the network does not take, is scaled down.
    """
    from speechmos import dnsmos as network  # pyright: ignore[reportMissingImports]

    del reference
    peak = max(1.0, float(np.abs(estimate).max()))
    found = network.run(np.asarray(estimate / peak, np.float32), SAMPLE_RATE)
    return {f"dnsmos_{name}": float(found[f"{name}_mos"]) for name in ("sig", "bak", "ovrl")}


def visqol(*, reference: Wave, estimate: Wave) -> Values:
    """Give ViSQOL v3 in its speech mode, MOS-LQO (Chinen et al. 2020), by `visqol-python`.

    The mapping to MOS is the lattice network of Google's program, which needs `ai-edge-litert`.
    """
    found = _visqol().measure_from_arrays(
        np.asarray(reference, np.float64), np.asarray(estimate, np.float64), SAMPLE_RATE
    )
    return {"visqol": float(found.moslqo)}


MEASURES = {
    "composite": Measure(("csig", "cbak", "covl"), composite),
    "lsd": Measure(("lsd",), lsd),
    "fwsegsnr": Measure(("fwsegsnr_db",), fwsegsnr),
    "srmr": Measure(("srmr",), srmr, ("torchmetrics", "gammatone")),
    "dnsmos": Measure(("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"), dnsmos, ("speechmos",)),
    "visqol": Measure(("visqol",), visqol, ("visqol", "ai_edge_litert")),
}


def chosen(text: str) -> tuple[str, ...]:
    """Return the measures that a text names, separated by commas; "all" are those installed.

    Raises:
        UserError: there is no such measure, or its package is absent.
    """
    if text in ("", "none"):
        return ()
    if text == "all":
        return tuple(name for name, measure in MEASURES.items() if measure.is_installed)
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in MEASURES:
            raise UserError(f'There is no measure "{name}"; there are {", ".join(MEASURES)}.')
        if not MEASURES[name].is_installed:
            needs = " and ".join(MEASURES[name].packages)
            raise UserError(
                f"{name} needs {needs}; install the extra: pip install smoe-ablations[metrics]."
            )
    return names


def score_further(
    names: tuple[str, ...], *, reference: Wave, estimate: Wave
) -> dict[str, float | str | None]:
    """Compute measures by name; what fails is None, with the reasons joined in `error`."""
    values: dict[str, float | str | None] = {}
    reasons: list[str] = []
    for name in names:
        measure = MEASURES[name]
        try:
            require_signal(reference, estimate)
            values |= measure.compute(reference=reference, estimate=estimate)
        except MetricError as error:
            values |= dict.fromkeys(measure.columns)
            reasons.append(f"{name}: {error}")
    return {**values, "error": "; ".join(reasons)}


def _stft(wave: Wave) -> NDArray[np.complex128]:
    """Frames of 512 samples at every 256, Hann, centred with zeros around, [F, 257]."""
    padded = np.pad(np.asarray(wave, np.float64), 256)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::256]
    return np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)))


@lru_cache(maxsize=1)
def _visqol() -> Any:
    from visqol import VisqolApi  # pyright: ignore[reportMissingImports]

    api = VisqolApi()
    api.create(mode="speech", use_lattice_model=True)
    return api
