"""Finding audio files of any kind and reading them into 16 kHz mono, or saying why not."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".au", ".w64"}
SHORTEST_S = {"speech": 0.25, "noisy": 0.25, "noise": 0.25, "rir": 0.02}
SILENT_BELOW = 2**-14  # two steps of 16 bit
FULL_SCALE = 0.999
MAX_CLIPPED = 0.1
MAX_PEAK = 100  # of floating-point files; more is damage, and squares of it overflow
MAX_DC = 0.02  # of the peak
GAP_S = 0.05  # digital silence as long as this is padding, not noise


class RefusedFileError(Exception):
    """A file that cannot serve; the message is the reason."""


@dataclass(frozen=True)
class Decoded:
    """A file's audio.

    Attributes:
        audio: float32 [samples], 16 kHz mono.
        clipped: Share of samples at full scale in the file.
        notes: What was done to it.
    """

    audio: np.ndarray
    clipped: float
    notes: tuple[str, ...]


def walk(root: Path) -> Iterator[Path]:
    """All audio files below a folder, through links but never twice through one folder.

    Raises:
        UserError: A folder cannot be read.
    """
    seen = set()
    for folder, children, files in os.walk(root, followlinks=True, onerror=_unreadable):
        children[:] = sorted(c for c in children if not c.startswith("."))
        real = os.path.realpath(folder)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        for file in sorted(files):
            if Path(file).suffix.lower() in SUFFIXES and not file.startswith("."):
                yield Path(folder) / file


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"The folder {error.filename} cannot be read ({error.strerror}); allow it, or move it away."
    ) from error


def read(path: Path, kind: str) -> Decoded:
    """Read one file.

    Args:
        path: Anything that libsndfile decodes.
        kind: "speech", "noisy", "noise" or "rir". Channels are averaged, but of an impulse
            response the first one is taken, since averaging would comb-filter it. Noise loses
            digital silence.

    Raises:
        RefusedFileError: Not audio, cut short, silent, not finite or huge, too short or clipped.
    """
    channels, sample_rate = _decode(path)
    if not np.isfinite(channels).all():
        raise RefusedFileError("contains samples that are not finite numbers")
    if np.abs(channels).max(initial=0) > MAX_PEAK:
        raise RefusedFileError(f"has samples above {MAX_PEAK} times full scale")
    clipped = float(np.mean(np.abs(channels) >= FULL_SCALE)) if len(channels) else 0.0
    if kind == "speech" and clipped > MAX_CLIPPED:
        raise RefusedFileError(f"{clipped:.0%} of its samples are clipped")
    notes = []
    audio = channels[:, 0] if kind == "rir" else channels.mean(1)
    if channels.shape[1] > 1:
        notes.append(
            f"{'cut' if kind == 'rir' else 'mixed'} down from {channels.shape[1]} channels"
        )
    if kind != "rir" and len(audio) and abs(audio.mean()) > MAX_DC * np.abs(audio).max():
        audio = audio - audio.mean()
        notes.append("freed of a constant offset")
    if sample_rate != SAMPLE_RATE:
        audio = _resampled(audio, sample_rate)
        notes.append(f"resampled from {sample_rate} Hz")
    if kind == "noise":
        audio, cut = _without_gaps(audio)
        notes += ["freed of digital silence"] if cut else []
    if len(audio) < SHORTEST_S[kind] * SAMPLE_RATE:
        raise RefusedFileError(
            f"has {len(audio) / SAMPLE_RATE:.2f} s of audio, under {SHORTEST_S[kind]} s"
        )
    if np.abs(audio).max() < SILENT_BELOW:
        raise RefusedFileError("is silent")
    return Decoded(audio.astype(np.float32), clipped, tuple(notes))


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """All samples of a file, float64 [samples, channels], and its sample rate."""
    try:
        if not path.is_file():
            raise RefusedFileError("does not exist" if not path.exists() else "is not a file")
        if path.stat().st_size == 0:
            raise RefusedFileError("is empty (zero bytes)")
        path.open("rb").close()  # says why where it cannot be opened, which libsndfile does not
        with soundfile.SoundFile(path) as file:
            announced = file.frames
            channels = file.read(dtype="float64", always_2d=True)
            sample_rate = file.samplerate
    except OSError as error:
        raise RefusedFileError(f"cannot be opened ({error.strerror or error})") from error
    except (soundfile.SoundFileError, RuntimeError, ValueError, MemoryError) as error:
        raise RefusedFileError("is not audio that can be decoded, or is cut short") from error
    if len(channels) < announced:
        raise RefusedFileError(f"is cut short ({len(channels)} of {announced} samples)")
    if not 4000 <= sample_rate <= 768_000:
        raise RefusedFileError(f"claims a sample rate of {sample_rate} Hz")
    return channels, sample_rate


def _resampled(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    common = gcd(SAMPLE_RATE, sample_rate)
    return signal.resample_poly(audio, SAMPLE_RATE // common, sample_rate // common)


def _without_gaps(noise: np.ndarray) -> tuple[np.ndarray, bool]:
    """Leave out stretches of at least 50 ms below half a step of 16 bit."""
    sounding = np.abs(noise) >= 2**-16
    edges = np.flatnonzero(np.diff(sounding, prepend=True, append=True))
    keep = np.ones(len(noise), dtype=bool)
    for start, end in edges.reshape(-1, 2):
        if end - start >= GAP_S * SAMPLE_RATE:
            keep[start:end] = False
    return noise[keep], not keep.all()
