"""A recording that is to be enhanced, read block by block with its channels kept apart."""

from collections.abc import Iterator

import numpy as np

from smoe.audio.decoding import AudioFile
from smoe.audio.levels import Levels
from smoe.audio.reading import MAX_DC, SHORTEST_S, SILENT_BELOW, RefusedFileError, require_sane
from smoe.audio.resampling import Resampler
from smoe.config import SAMPLE_RATE

CLIPPED_NOTED = 1e-4  # share of clipped samples from which the source is said to be


class NoisyFile:
    """An open recording, read once to look at it and then to enhance it; never whole in memory.

    Attributes:
        frames: Samples of each channel, at the file's own rate.
        notes: What is remarkable about it, or is done to it.

    Raises:
        RefusedFileError: Cut short, silent, under 0.25 s, or samples that are not finite or huge.
    """

    def __init__(self, file: AudioFile) -> None:
        self._file = file
        told = list(file.notes)
        levels, self.frames = Levels(), 0
        low, high = (np.full(file.channels, sign * np.inf) for sign in (1, -1))
        total = np.zeros(file.channels)
        for block in file.blocks():
            require_sane(block)
            levels.add_channels(block, file.full_scale)
            low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
            total += block.sum(0)
            self.frames += len(block)
        self.notes = list(file.notes)
        file.notes[:] = told
        self._require_length()
        mean, peak = total / self.frames, np.maximum(high, -low)
        self._offset = np.where(np.abs(mean) > MAX_DC * peak, mean, 0.0)
        if np.maximum(high - self._offset, self._offset - low).max() < SILENT_BELOW:
            raise RefusedFileError("is silent")
        self._note(levels.clipped())

    def _require_length(self) -> None:
        seconds, shortest_s = self.frames / self._file.sample_rate, SHORTEST_S["noisy"]
        if seconds < shortest_s:
            raise RefusedFileError(f"has {seconds:.2f} s of audio, under {shortest_s} s")

    def _note(self, clipped: float) -> None:
        rate = self._file.sample_rate
        if self._offset.any():
            self.notes.append("freed of a constant offset")
        if rate != SAMPLE_RATE:
            lost = ", so nothing above 8 kHz is left" if rate > SAMPLE_RATE else ""
            self.notes.append(f"enhanced at 16 kHz and brought back to {rate} Hz{lost}")
        if self._file.channels > 1:
            self.notes.append(f"{self._file.channels} channels, each enhanced on its own")
        if clipped > CLIPPED_NOTED:
            self.notes.append(f"{clipped:.1%} of its samples were clipped already")

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the audio, float32 [channels, samples] at 16 kHz."""
        resample = MultiResampler(self._file.sample_rate, SAMPLE_RATE, self._file.channels)
        for block in self._file.blocks():
            yield resample.push(block.T - self._offset[:, None])
        yield resample.push(np.zeros((self._file.channels, 0)), last=True)


class MultiResampler:
    """Resamples [channels, samples] block by block, each channel by itself."""

    def __init__(self, sample_rate: int, target_rate: int, channels: int) -> None:
        self._each = [Resampler(sample_rate, target_rate) for _ in range(channels)]

    def push(self, audio: np.ndarray, *, last: bool = False) -> np.ndarray:
        """Return what the audio so far has completed, float32 [channels, samples]."""
        pairs = zip(self._each, audio, strict=True)
        return np.stack([each.push(row, last=last) for each, row in pairs]).astype(np.float32)
