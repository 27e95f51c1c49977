"""Training objectives on waveforms [B, samples]."""

import torch
import torch.nn.functional as F
from torch import Tensor

from smoe.config import LossConfig

STFT_RESOLUTIONS = (256, 512, 1024)
COMPRESSION = 0.3
EPS = 1e-8


def wsdr(*, enhanced: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """Weighted SDR loss per sample, in [-1, 1], -1 at perfection (Choi et al. 2019, eq. 6).

    The negative cosine between clean and enhanced speech and that between true and estimated
    distortion, weighted by their true energies.
    """
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
    level = noisy.square().mean(dim=-1, keepdim=True).sqrt() + EPS
    with torch.no_grad():
        targets = [_compressed_magnitude(clean / level, n_fft) for n_fft in STFT_RESOLUTIONS]
    distances = [
        (_compressed_magnitude(enhanced / level, n_fft) - target).abs().mean(dim=(1, 2))
        for n_fft, target in zip(STFT_RESOLUTIONS, targets, strict=True)
    ]
    return torch.stack(distances).mean(dim=0)


def _compressed_magnitude(waveform: Tensor, n_fft: int) -> Tensor:
    window = torch.hann_window(n_fft, dtype=waveform.dtype, device=waveform.device)
    spec = torch.stft(
        waveform, n_fft, n_fft // 2, window=window, normalized=True, return_complex=True
    )
    power = torch.view_as_real(spec).square().sum(dim=-1)
    return (power + 1e-7).pow(COMPRESSION / 2)  # the offset bounds the slope at silence


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


def routing_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Cross-entropy of the routers' class logits [B, classes], averaged over routers and batch."""
    return torch.stack([F.cross_entropy(one, labels) for one in logits]).mean()


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    norms = first.square().sum(dim=-1).sqrt() * second.square().sum(dim=-1).sqrt()
    return (first * second).sum(dim=-1) / (norms + EPS)
