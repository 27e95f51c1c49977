"""Training objectives on waveforms [B, samples]."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.config import LossConfig
from smoe.network.complex_layers import on_gpu

STFT_RESOLUTIONS = (256, 512, 1024)
COMPRESSION = 0.3
POWER_OFFSET = 1e-7  # bounds the slope at silence
EPS = 1e-8


def wsdr(*, enhanced: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """Weighted SDR loss per sample, in [-1, 1], -1 at perfection (Choi et al. 2019, eq. 6).

    The negative cosine between clean and enhanced speech and that between true and estimated
    distortion, weighted by their true energies.
    """
    if _by_kernels(enhanced, clean, noisy):
        from smoe.ops import fused

        return fused.weighted_sdr(enhanced, clean, noisy, eps=EPS)
    distortion, residual = noisy - clean, noisy - enhanced
    clean_energy = clean.square().sum(dim=-1)
    alpha = clean_energy / (clean_energy + distortion.square().sum(dim=-1) + EPS)
    return -alpha * _cosine(clean, enhanced) - (1 - alpha) * _cosine(distortion, residual)


def si_sdr(*, enhanced: Tensor, clean: Tensor) -> Tensor:
    """Scale-invariant SDR in dB per sample (Le Roux et al. 2019, eq. 3), both made zero-mean."""
    enhanced = enhanced - enhanced.mean(dim=-1, keepdim=True)
    clean = clean - clean.mean(dim=-1, keepdim=True)
    scale = (enhanced * clean).sum(-1, keepdim=True) / (clean.square().sum(-1, keepdim=True) + EPS)
    target = scale * clean
    ratio = (target.square().sum(-1) + EPS) / ((enhanced - target).square().sum(-1) + EPS)
    return 10 * torch.log10(ratio)


def compressed_stft_distance(*, enhanced: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes to the power 0.3, over three resolutions, per sample.

    Compression makes quiet parts count, as loudness does (Braun and Tashev 2021, section 3.2).
    Both signals are scaled by the noisy input's level, so that the recording level means nothing.
    """
    if _by_kernels(enhanced, clean, noisy):
        from smoe.ops import fused

        how = fused.Compression(COMPRESSION / 2, POWER_OFFSET, EPS)
        return fused.compressed_stft_distance(
            enhanced, clean, noisy, n_ffts=STFT_RESOLUTIONS, compression=how
        )
    level = noisy.square().mean(dim=-1, keepdim=True).sqrt() + EPS
    with torch.no_grad():
        targets = [_compressed_magnitude(clean / level, n_fft) for n_fft in STFT_RESOLUTIONS]
    distances = [
        (_compressed_magnitude(enhanced / level, n_fft) - target).abs().mean(dim=(1, 2))
        for n_fft, target in zip(STFT_RESOLUTIONS, targets, strict=True)
    ]
    return torch.stack(distances).mean(dim=0)


def _by_kernels(enhanced: Tensor, clean: Tensor, noisy: Tensor) -> bool:
    """Whether kernels of `ops.fused` compute a loss: float32, gradient for `enhanced` only."""
    single = {x.dtype for x in (enhanced, clean, noisy)} == {torch.float32}
    given = not (clean.requires_grad or noisy.requires_grad)
    long = enhanced.shape[1] > max(STFT_RESOLUTIONS) // 2  # what mirroring takes
    return on_gpu(enhanced) and single and given and long


def _compressed_magnitude(waveform: Tensor, n_fft: int) -> Tensor:
    """Half-overlapping Hann frames, centred, to compressed magnitudes [B, frames, n_fft/2 + 1]."""
    window = torch.hann_window(n_fft, dtype=waveform.dtype, device=waveform.device)
    half = n_fft // 2
    before, after = waveform[:, 1 : half + 1].flip(1), waveform[:, -half - 1 : -1].flip(1)
    centred = torch.cat([before, waveform, after], dim=1)  # `F.pad`'s gradient varies on a GPU
    magnitude: Tensor = _CompressedSpectrum.apply(centred.unfold(1, n_fft, half) * window)  # type: ignore[assignment]
    return magnitude


class _CompressedSpectrum(torch.autograd.Function):
    """(|X|^2 + offset)^(0.3 / 2) of the orthonormal spectrum X of real frames [..., n_fft].

    The gradient is written out: derived step by step it is three times the work of the value.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:
        spec = torch.fft.rfft(frames, norm="ortho")
        power = spec.real.square() + spec.imag.square() + POWER_OFFSET
        magnitude = power.pow(COMPRESSION / 2)
        ctx.save_for_backward(spec, COMPRESSION * magnitude / power)
        return magnitude

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        spec, slope = ctx.saved_tensors
        upstream = spec * (slope * gradient)
        upstream[..., 1:-1] *= 0.5  # irfft counts these bins for their mirror images, too
        return torch.fft.irfft(upstream, norm="ortho")


def enhancement_loss(
    config: LossConfig, *, enhanced: Tensor, clean: Tensor, noisy: Tensor
) -> Tensor:
    """The selected objective, averaged over the batch; lower is better."""
    if config.kind == "si_sdr":
        return -si_sdr(enhanced=enhanced, clean=clean).mean()
    loss = wsdr(enhanced=enhanced, clean=clean, noisy=noisy)
    if config.kind == "wsdr_stft":
        distance = compressed_stft_distance(enhanced=enhanced, clean=clean, noisy=noisy)
        loss = loss + config.stft_weight * distance
    return loss.mean()


def routing_loss(logits: list[Tensor], classes: Tensor) -> Tensor:
    """Return the cross-entropy of the routers' logits [B, classes], mean over routers and samples.

    Samples of class -1 do not count.
    """
    sums = [F.cross_entropy(x, classes, ignore_index=-1, reduction="sum") for x in logits]
    return torch.stack(sums).mean() / (classes >= 0).sum().clamp(min=1)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    energies = first.square().sum(dim=-1) * second.square().sum(dim=-1)
    norms = (energies + EPS**2).sqrt()  # inside the root: its slope at silence stays finite
    return (first * second).sum(dim=-1) / norms
