"""Reading audio files of any kind into 16 kHz mono, or saying why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoe.audio.containers import RefusedFileError
from smoe.audio.decoding import AudioFile, open_audio
from smoe.audio.levels import Levels
from smoe.audio.resampling import Resampler
from smoe.audio.sofa import Response, open_response
from smoe.audio.walking import walk
from smoe.config import SAMPLE_RATE

__all__ = ["RefusedFileError", "read", "walk"]

SHORTEST_S = {"speech": 0.25, "noisy": 0.25, "noise": 0.25, "rir": 0.02}
SILENT_BELOW = 2**-14  # two steps of 16 bit
MAX_CLIPPED = 0.1
MAX_PEAK = 100  # of floating-point files; more is damage, and squares of it overflow
MAX_DC = 0.02  # of the peak
GAP_S = 0.05  # digital silence as long as this is padding, not noise


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


def read(path: Path, kind: str, item: str = "") -> Decoded:
    """Read one file to its end, or one item of it.

    Args:
        path: Anything that libsndfile decodes, or a SOFA file.
        kind: "speech", "noisy", "noise" or "rir". Channels are averaged, but of an impulse
            response the first one is taken, since averaging would comb-filter it. Noise loses
            digital silence.
        item: Which response of a SOFA file, as in "M4:R0"; "" for other files.

    Raises:
        RefusedFileError: Not audio, cut short, silent, not finite or huge, too short or clipped.
    """
    with open_response(path, item) if item else open_audio(path) as file:
        passes = Passes(file, kind)
        audio = _whole(passes.blocks())
        if passes.has_offset():
            audio = _whole(passes.blocks())
        clipped, notes = passes.clipped, passes.notes()
    if kind == "speech" and clipped > MAX_CLIPPED:
        raise RefusedFileError(f"{clipped:.0%} of its samples are clipped")
    if kind == "noise":
        audio, cut = _without_gaps(audio)
        notes += ["freed of digital silence"] if cut else []
    if len(audio) < SHORTEST_S[kind] * SAMPLE_RATE:
        raise RefusedFileError(
            f"has {len(audio) / SAMPLE_RATE:.2f} s of audio, under {SHORTEST_S[kind]} s"
        )
    if max(audio.max(initial=0), -audio.min(initial=0)) < SILENT_BELOW:
        raise RefusedFileError("is silent")
    return Decoded(audio, clipped, tuple(notes))


def _whole(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """All blocks as one array, float32 [samples], without a second copy of them at any time."""
    content = bytearray()
    for block in blocks:
        content += block.data
    return np.frombuffer(content, np.float32)


class Passes:
    """Passes over one open file, each of which yields it as 16 kHz mono, block by block.

    The first pass finds whether the recording has a constant offset, of which further ones free
    it; that is seldom, so that one pass is most often enough.
    """

    def __init__(self, file: AudioFile | Response, kind: str) -> None:
        self._file, self._kind = file, kind
        self._levels, self._offset = Levels(), 0.0
        self._told = list(file.notes)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the audio, float32 [samples] at 16 kHz.

        Raises:
            RefusedFileError: Cut short, too long, or samples that are not finite or huge.
        """
        offset = self._levels.mean() if self._is_off() else 0.0
        levels, resampler = Levels(), Resampler(self._file.sample_rate)
        self._file.notes[:] = self._told
        for block in self._file.blocks():
            require_sane(block)
            levels.add_channels(block, self._file.full_scale)
            mixed = block[:, 0] if self._kind == "rir" else block.mean(1)
            levels.add_mixed(mixed)
            yield resampler.push(mixed - offset if offset else mixed).astype(np.float32)
        yield resampler.push(np.zeros(0), last=True).astype(np.float32)
        self._levels, self._offset = levels, offset

    def has_offset(self) -> bool:
        """Whether the pass before found a constant offset that it did not take away."""
        return self._is_off() and not self._offset

    def _is_off(self) -> bool:
        is_off = abs(self._levels.mean()) > MAX_DC * self._levels.peak
        return is_off and self._kind != "rir"

    @property
    def clipped(self) -> float:
        """Share of the file's samples in runs at full scale."""
        return self._levels.clipped()

    def notes(self) -> list[str]:
        """What was done to the recording in the last pass."""
        notes = list(self._file.notes)
        if self._file.channels > 1:
            how = "cut" if self._kind == "rir" else "mixed"
            notes.append(f"{how} down from {self._file.channels} channels")
        if self._offset:
            notes.append("freed of a constant offset")
        if self._file.sample_rate != SAMPLE_RATE:
            notes.append(f"resampled from {self._file.sample_rate} Hz")
        return notes


def require_sane(block: np.ndarray) -> None:
    """Refuse samples that are not finite, or so large that the file must be damaged.

    Raises:
        RefusedFileError: There are such samples.
    """
    if not np.isfinite(block).all():
        raise RefusedFileError("contains samples that are not finite numbers")
    if np.abs(block).max(initial=0) > MAX_PEAK:
        raise RefusedFileError(f"has samples above {MAX_PEAK} times full scale")


def _without_gaps(noise: np.ndarray) -> tuple[np.ndarray, bool]:
    """Leave out stretches of at least 50 ms below half a step of 16 bit."""
    sounding = np.abs(noise) >= 2**-16
    edges = np.flatnonzero(np.diff(sounding, prepend=True, append=True))
    keep = np.ones(len(noise), dtype=bool)
    for start, end in edges.reshape(-1, 2):
        if end - start >= GAP_S * SAMPLE_RATE:
            keep[start:end] = False
    return noise[keep], not keep.all()
