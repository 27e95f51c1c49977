"""Paired mixtures of speech, noise and reverberation: pure functions, batched on any device.

Shapes: B mixtures, N samples of a crop, K samples of an impulse response. A mixture's numbers
depend on its own ingredients only, never on its neighbours in the batch (rounding apart).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len

from smoe.audio.acoustics import DIRECT_PATH_S
from smoe.config import SAMPLE_RATE, MixConfig
from smoe.corpora.pool import Corpus
from smoe.errors import UserError
from smoe.mixtures.tracks import noise_track, padded_rirs, speech_track

NOISE, REVERB, BOTH, CLEAN = 0, 1, 2, -1
FRAME = 320  # 20 ms, the frame of the activity measure
ACTIVE_RANGE_DB = 35.0
PEAK = 0.99
CANDIDATES = 8  # positions drawn for each crop, of which the first with enough signal is taken


def active_frames(speech: torch.Tensor) -> torch.Tensor:
    """Frames in which somebody speaks: 20 ms frames within 35 dB of the loudest one.

    Args:
        speech: [B, N]; samples after the last whole frame are ignored.

    Returns:
        Boolean [B, N // 320]; all false where the crop is digital silence.
    """
    power = _frame_power(speech)
    loudest = power.amax(dim=1, keepdim=True)
    return (power >= loudest * 10 ** (-ACTIVE_RANGE_DB / 10)) & (loudest > 0)


def active_power(audio: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
    """Mean power over the active frames.

    Args:
        audio: [B, N].
        active: Boolean [B, N // 320], from `active_frames`.

    Returns:
        [B]; 0 where no frame is active.
    """
    return (_frame_power(audio) * active).sum(1) / active.sum(1).clamp(min=1)


def _frame_power(audio: torch.Tensor) -> torch.Tensor:
    frames = audio.shape[1] // FRAME
    return audio[:, : frames * FRAME].reshape(-1, frames, FRAME).square().mean(2)


def snr_db(*, speech: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Signal-to-noise ratio over active speech, in dB.

    The speech's mean power over its own active frames against the noise's mean power over the
    whole crop: pauses in the speech and gaps between noise events do not move it.

    Args:
        speech: As it stands in the mixture (reverberant, where it is), [B, N].
        noise: [B, N].

    Returns:
        [B].
    """
    return 10 * torch.log10(
        active_power(speech, active_frames(speech)) / noise.square().mean(1).clamp(min=1e-20)
    )


def noise_at_snr(
    *, speech: torch.Tensor, noise: torch.Tensor, target_db: torch.Tensor
) -> torch.Tensor:
    """The noise, scaled so that `snr_db` is exactly as asked.

    Args:
        speech: [B, N].
        noise: [B, N]; must not be digital silence.
        target_db: [B].

    Returns:
        [B, N].
    """
    gain_db = snr_db(speech=speech, noise=noise) - target_db
    return noise * (10 ** (gain_db / 20))[:, None]


def convolve(speech: torch.Tensor, rir: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Reverberant speech and its direct path, aligned with each other.

    Args:
        speech: [B, N].
        rir: Impulse responses from the onset of the direct path, [B, K].

    Returns:
        The speech convolved with the whole response, and with its first 2.5 ms alone; [B, N] both,
        without the tail that outlasts the crop.
    """
    samples = speech.shape[1]
    rir = rir[:, :samples]
    direct = rir[:, : round(DIRECT_PATH_S * SAMPLE_RATE)]
    size = next_fast_len(samples + rir.shape[1] - 1, real=True)
    spectrum = torch.fft.rfft(speech, size)
    reverberant = torch.fft.irfft(spectrum * torch.fft.rfft(rir, size), size)
    dry = torch.fft.irfft(spectrum * torch.fft.rfft(direct, size), size)
    return reverberant[:, :samples], dry[:, :samples]


def set_level(
    *, noisy: torch.Tensor, clean: torch.Tensor, level_dbfs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale a pair together to a level, lower where it would clip.

    Args:
        noisy: [B, N].
        clean: Target, [B, N].
        level_dbfs: Power of the noisy signal over the frames in which the target is active, in dB
            of full scale, [B].

    Returns:
        Both, scaled by one factor per mixture; no sample of either above 0.99.
    """
    power = active_power(noisy, active_frames(clean)).clamp(min=1e-20)
    gain = 10 ** (level_dbfs / 20) / power.sqrt()
    peak = torch.maximum(noisy.abs().amax(1), clean.abs().amax(1)).clamp(min=1e-10)
    gain = torch.minimum(gain, PEAK / peak)[:, None]
    return noisy * gain, clean * gain


def mix(
    *,
    speech: torch.Tensor,
    noise: torch.Tensor,
    rir: torch.Tensor,
    label: torch.Tensor,
    snr_db: torch.Tensor,
    level_dbfs: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy and clean from their ingredients.

    Args:
        speech: Clean crops, [B, N].
        noise: [B, N]; used where the label says so.
        rir: From the onset, [B, K]; used where the label says so.
        label: 0 noise, 1 reverb, 2 both, -1 neither; int64 [B] on the CPU, as it steers the work.
        snr_db: Reverberant (or dry) speech over noise, [B].
        level_dbfs: Of the mixture, [B]; see `set_level`.

    Returns:
        Input and target, [B, N] each. The target is the crop itself, or in reverberation the crop
        through the direct path alone.
    """
    reverberates = ((label == REVERB) | (label == BOTH)).nonzero()[:, 0].to(speech.device)
    has_noise = ((label == NOISE) | (label == BOTH)).nonzero()[:, 0].to(speech.device)
    noisy, clean = speech.clone(), speech.clone()
    if len(reverberates):
        noisy[reverberates], clean[reverberates] = convolve(speech[reverberates], rir[reverberates])
    if len(has_noise):
        noisy[has_noise] += noise_at_snr(
            speech=noisy[has_noise], noise=noise[has_noise], target_db=snr_db[has_noise]
        )
    return set_level(noisy=noisy, clean=clean, level_dbfs=level_dbfs)


@dataclass(frozen=True)
class Mixture:
    """A batch of training or test pairs.

    Attributes:
        noisy: Input, float32 [B, N].
        clean: Target, float32 [B, N], aligned with the input.
        label: int64 [B]; 0 noise, 1 reverb, 2 both, -1 undistorted.
        snr_db: float32 [B]; NaN without noise.
        rt60_s: float32 [B]; NaN without reverberation.
    """

    noisy: torch.Tensor
    clean: torch.Tensor
    label: torch.Tensor
    snr_db: torch.Tensor
    rt60_s: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """Which ingredients make up each mixture; NumPy arrays [B] on the CPU.

    Attributes:
        speech_start: First sample of the crop in the speech track.
        noise_start: First sample of the crop in the noise track.
        rir: Index of the impulse response.
        label: As in `Mixture`.
        snr_db: As in `Mixture`, but a number everywhere.
        level_dbfs: Level of the mixture.
    """

    speech_start: np.ndarray
    noise_start: np.ndarray
    rir: np.ndarray
    label: np.ndarray
    snr_db: np.ndarray
    level_dbfs: np.ndarray


class MixtureSource:
    """Draws batches of mixtures from one split of a corpus.

    All recordings of the split are held on `device`. A batch is a function of (seed, step) alone:
    one table of random numbers, drawn on the CPU, decides everything, so that training resumes
    exactly, every cell sees the same batches, and a larger batch begins with the smaller one.

    Raises:
        UserError: The split lacks speech, noise or impulse responses.
    """

    def __init__(
        self, corpus: Corpus, split: str, config: MixConfig, device: str | torch.device = "cpu"
    ):
        for kind in ("speech", "noise", "rir"):
            if (kind, split) not in corpus.pools:
                raise UserError(f"The corpus {corpus.name} has no {kind} in its {split} split.")
        self.config = config
        self.device = torch.device(device)
        self.crop = round(config.crop_s * SAMPLE_RATE)
        self.speech = speech_track(corpus.pools["speech", split], self.crop, device)
        self.noise = noise_track(corpus.pools["noise", split], self.crop, device)
        self.rooms = corpus.pools["rir", split]
        self.rirs = padded_rirs(self.rooms, self.crop).to(device)

    def batch(self, *, seed: int, step: int, batch_size: int) -> Mixture:
        """One batch of training mixtures.

        Args:
            seed: Of the run.
            step: Of the training.
            batch_size: Number of mixtures.
        """
        return self.mix(self.recipe(seed=seed, step=step, batch_size=batch_size))

    def recipe(self, *, seed: int, step: int, batch_size: int) -> Recipe:
        """Draw the ingredients of a batch; see `batch`."""
        # Row by row, so that a mixture does not depend on how many follow it.
        table = np.random.default_rng((seed, step)).random((batch_size, 6 + 2 * CANDIDATES))
        speaker, noise, rir, label, snr, level = table[:, :6].T
        c = self.config
        return Recipe(
            speech_start=self.pick_speech(_index(speaker, len(self.speech.starts)), table[:, 6:14]),
            noise_start=self.pick_noise(_index(noise, len(self.noise.starts)), table[:, 14:]),
            rir=_index(rir, len(self.rirs)),
            label=_labels(label, c.clean_share),
            snr_db=c.snr_db_min + snr * (c.snr_db_max - c.snr_db_min),
            level_dbfs=c.level_dbfs_min + level * (c.level_dbfs_max - c.level_dbfs_min),
        )

    def pick_speech(self, speaker: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Start of a crop with speech in at least 40 % of its frames; see `Track.pick`."""
        return self.speech.pick(speaker, position, self.crop, share=0.4)

    def pick_noise(self, recording: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Start of a crop in which at least a tenth is noise, not gap; see `Track.pick`."""
        return self.noise.pick(recording, position, self.crop, share=0.1)

    def mix(self, recipe: Recipe) -> Mixture:
        """Fetch the ingredients and mix them, on the device."""
        label = torch.from_numpy(recipe.label)
        snr = torch.from_numpy(recipe.snr_db).float()
        level = torch.from_numpy(recipe.level_dbfs).float()
        noisy, clean = mix(
            speech=self.speech.crops(recipe.speech_start, self.crop),
            noise=self.noise.crops(recipe.noise_start, self.crop),
            rir=self.rirs[torch.from_numpy(recipe.rir).to(self.device)],
            label=label,
            snr_db=snr.to(self.device),
            level_dbfs=level.to(self.device),
        )
        rt60 = torch.from_numpy(self.rooms.rt60_s[recipe.rir].astype(np.float32))
        nan = torch.tensor(float("nan"))
        columns = (
            label,
            torch.where((label == NOISE) | (label == BOTH), snr, nan),
            torch.where((label == REVERB) | (label == BOTH), rt60, nan),
        )
        return Mixture(noisy, clean, *(column.to(self.device) for column in columns))


def _labels(uniform: np.ndarray, clean_share: float) -> np.ndarray:
    """Turn numbers from [0, 1) into labels: the top `clean_share` is clean, the rest in thirds."""
    distorted = 1.0 - clean_share
    labels = np.minimum(_index(uniform / distorted, 3), BOTH)
    return np.where(uniform < distorted, labels, CLEAN)


def _index(uniform: np.ndarray, count: int) -> np.ndarray:
    """Numbers from [0, 1) to indices from 0 to count - 1."""
    return np.floor(uniform * count).astype(np.int64)
