"""The transform pair against torch's, and back to where it started."""

import pytest
import torch

from smoe.network.stft import STFT
from tests.smoe.networks import relative_error

FRAMES = [(512, 512, 256), (512, 400, 100), (64, 64, 16), (256, 255, 128)]


def waveform(samples: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, samples, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("samples", [48_000, 16_001, 8_191])
@pytest.mark.parametrize("frame", FRAMES)
def test_round_trip(frame: tuple[int, int, int], samples: int) -> None:
    """Inverse of transform is the waveform, sample for sample, its ends included."""
    stft, x = STFT(*frame), waveform(samples)
    reached = 1 + (samples // frame[2]) * frame[2]  # the last frame is centred here
    kept = min(samples, reached + frame[1] // 2 - 1)
    back = stft.inverse(stft(x), samples)
    torch.testing.assert_close(back[:, :kept], x[:, :kept], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("frame", FRAMES)
def test_inverse_is_that_of_torch(frame: tuple[int, int, int]) -> None:
    """For spectrograms that belong to no waveform, too, where overlapping frames disagree."""
    n_fft, win_length, hop_length = frame
    stft = STFT(*frame)
    spec = stft(waveform(9_000))
    generator = torch.Generator().manual_seed(1)
    spec = spec * torch.randn(spec.shape, dtype=spec.dtype, generator=generator)
    expected = torch.istft(
        spec[:, 0], n_fft, hop_length, win_length, stft.window.double(), length=9_000
    )
    assert relative_error(stft.inverse(spec, 9_000), expected) < 1e-12


def test_three_seconds_give_the_shape_of_the_source() -> None:
    """[batch, 1, 257, 188], and 1 + samples // hop frames in general."""
    assert STFT()(torch.zeros(2, 48_000)).shape == (2, 1, 257, 188)
    assert STFT()(torch.zeros(1, 16_000)).shape == (1, 1, 257, 63)
