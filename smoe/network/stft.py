"""Short-time Fourier transform and its inverse, centred, with a periodic Hann window.

The inverse is overlap-add by hand: `torch.istft` checks its window on the host at every call, which
makes a GPU wait and cannot be captured in a CUDA graph. A test holds it against `torch.istft`.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class STFT(nn.Module):
    """Waveform [B, samples] to complex spectrogram [B, 1, n_fft/2 + 1, frames] and back.

    `frames` is 1 + samples // hop_length (Allen and Rabiner 1977 for the inverse).
    """

    window: Tensor

    def __init__(self, n_fft: int = 512, win_length: int = 512, hop_length: int = 256):
        super().__init__()
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Complex spectrogram of a real waveform."""
        spec = torch.stft(
            waveform,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.window.to(waveform.dtype),
            return_complex=True,
        )
        return spec.unsqueeze(1)

    def inverse(self, spec: Tensor, samples: int) -> Tensor:
        """The waveform [B, samples] whose windowed frames are closest to those of `spec`."""
        window = self.window.to(spec.real.dtype)
        pad = (self.n_fft - self.win_length) // 2
        window = F.pad(window, (pad, self.n_fft - self.win_length - pad))
        frames = torch.fft.irfft(spec.squeeze(1), self.n_fft, dim=1) * window[:, None]
        weight = (window**2)[None, :, None].expand(1, -1, frames.shape[-1])
        start = self.n_fft // 2
        signal = self._overlap_add(frames)[:, start : start + samples]
        envelope = self._overlap_add(weight)[:, start : start + samples]
        return signal / envelope

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Frames [B, n_fft, frames] to their sum [B, samples], each a hop after the one before."""
        shifts = -(-self.n_fft // self.hop_length)
        frames = frames.transpose(1, 2)  # as in memory
        padded = F.pad(frames, (0, shifts * self.hop_length - self.n_fft))
        parts = padded.unflatten(2, (shifts, self.hop_length)).unbind(dim=2)  # [B, frames, hop]
        hops = [F.pad(part, (0, 0, i, shifts - 1 - i)) for i, part in enumerate(parts)]
        return reduce(torch.add, hops).flatten(1)
