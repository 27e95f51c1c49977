"""Tracks: the pools of one split laid out so that any crop is a plain slice, on the device."""

from dataclasses import dataclass

import numpy as np
import torch

from smoe.audio.acoustics import DIRECT_PATH_S
from smoe.config import SAMPLE_RATE
from smoe.corpora.pool import Pool

FRAME = 320  # 20 ms
FADE = 320  # 20 ms cross-fade where a short noise is looped
SPEECH_RANGE_DB = 35.0  # below the loud frames, that still count as signal
NOISE_RANGE_DB = 20.0


@dataclass(frozen=True)
class Track:
    """Spans of audio laid end to end, each at least a crop long, with a map of where signal is.

    Attributes:
        audio: float32 [samples] on the device.
        starts: First sample of each span, int64 [spans].
        lengths: int64 [spans].
        groups: Speaker or type of noise of each span.
        loudness: Cumulated signal frames, int64 [frames + 1], for `pick`.
    """

    audio: torch.Tensor
    starts: np.ndarray
    lengths: np.ndarray
    groups: list[str]
    loudness: np.ndarray

    def pick(self, span: np.ndarray, position: np.ndarray, crop: int, share: float) -> np.ndarray:
        """First sample of a crop that holds signal.

        Args:
            span: Index of the span, [B].
            position: Candidates from 0 (start) to 1 (end), [B, candidates].
            crop: Length in samples.
            share: Of the crop's frames that must hold signal; where no candidate has so many, the
                one with most is taken.

        Returns:
            int64 [B].
        """
        room = (self.lengths[span] - crop + 1)[:, None]
        start = self.starts[span][:, None] + np.floor(position * room).astype(np.int64)
        frames = self.loudness[(start + crop) // FRAME] - self.loudness[start // FRAME]
        enough = np.minimum(frames, int(share * crop / FRAME))
        return np.take_along_axis(start, np.argmax(enough, axis=1)[:, None], 1)[:, 0]

    def crops(self, start: np.ndarray, crop: int) -> torch.Tensor:
        """Cut crops, float32 [B, crop], on the device."""
        return self.audio.unfold(0, crop, 1)[torch.from_numpy(start).to(self.audio.device)]


def speech_track(pool: Pool, crop: int, device: str | torch.device) -> Track:
    """One span per speaker: all utterances in a row, zero-padded to a crop where too short."""
    speakers = list(dict.fromkeys(pool.groups))
    groups = np.array(pool.groups)
    parts = []
    for speaker in speakers:
        members = np.flatnonzero(groups == speaker)
        audio = np.concatenate([pool.item(i) for i in members])
        parts.append(np.pad(audio, (0, max(0, crop - len(audio)))))
    return _track(parts, speakers, SPEECH_RANGE_DB, device)


def noise_track(pool: Pool, crop: int, device: str | torch.device) -> Track:
    """One span per recording: looped where shorter than a crop."""
    parts = [looped(pool.item(i), crop) for i in range(len(pool.names))]
    return _track(parts, list(pool.groups), NOISE_RANGE_DB, device)


def looped(noise: np.ndarray, samples: int) -> np.ndarray:
    """Repeat a noise with a short cross-fade of equal power until any crop of `samples` fits.

    Args:
        noise: [any], at least 80 ms.
        samples: Length of the crop.

    Returns:
        The noise itself where it is long enough, otherwise a loop one period longer than the crop.
    """
    if len(noise) >= samples:
        return np.asarray(noise)
    angle = (np.arange(FADE) + 0.5) / FADE * np.pi / 2
    period = np.array(noise[: len(noise) - FADE])
    period[:FADE] = noise[:FADE] * np.sin(angle) + noise[-FADE:] * np.cos(angle)
    return np.resize(period, samples + len(period))


def _track(
    parts: list[np.ndarray], groups: list[str], range_db: float, device: str | torch.device
) -> Track:
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    signal = [_signal_frames(part, range_db) for part in parts]
    audio = np.concatenate([np.asarray(p, dtype=np.float32) for p in parts])
    starts = np.cumsum(lengths) - lengths
    frames = np.zeros(len(audio) // FRAME + 1, dtype=np.int64)
    for start, is_signal in zip(starts, signal, strict=True):
        first = start // FRAME
        frames[first : first + len(is_signal)] = is_signal
    loudness = np.concatenate([[0], np.cumsum(frames)])
    return Track(torch.from_numpy(audio).to(device), starts, lengths, groups, loudness)


def _signal_frames(part: np.ndarray, range_db: float) -> np.ndarray:
    """Frames within `range_db` of the loud ones (95th percentile of all), boolean [frames]."""
    power = (
        np.square(part[: len(part) // FRAME * FRAME], dtype=np.float64).reshape(-1, FRAME).mean(1)
    )
    return power > max(np.percentile(power, 95) * 10 ** (-range_db / 10), 1e-14)


def padded_rirs(pool: Pool, crop: int) -> torch.Tensor:
    """Impulse responses side by side, each scaled to a direct path of unit energy.

    Args:
        pool: Responses that start at the onset of the direct path.
        crop: Length in samples beyond which a response cannot matter.

    Returns:
        float32 [responses, longest], zero-padded.
    """
    direct = round(DIRECT_PATH_S * SAMPLE_RATE)
    rirs = np.zeros((len(pool.names), min(int(pool.lengths.max()), crop)), dtype=np.float32)
    for i, row in enumerate(rirs):
        rir = pool.item(i)[: len(row)]
        row[: len(rir)] = rir / np.sqrt(np.sum(np.square(rir[:direct], dtype=np.float64)))
    return torch.from_numpy(rirs)
