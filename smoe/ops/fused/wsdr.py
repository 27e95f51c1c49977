"""The weighted SDR in one pass over the signals, its gradient in another."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import jit

BLOCK = 4096  # samples that a program reads at once
WARPS = 16  # a program has a whole signal to read


@jit
def _cosine(product, first_energy, second_energy, eps):
    """Cosine of two signals, and the factors of first and of second in its slope by the second."""
    norm = tl.sqrt(first_energy * second_energy + eps * eps)
    cosine = product / norm
    return cosine, 1 / norm, -cosine * (first_energy / norm) / norm


@jit
def _wsdr(enhanced, clean, noisy, loss, slopes, samples, eps, BLOCK: tl.constexpr):
    """One sample's loss, and its slope as factors [4] of clean, enhanced, distortion, residual."""
    sample = tl.program_id(0).to(tl.int64)
    speech = tl.zeros([BLOCK], tl.float32)
    estimate = tl.zeros([BLOCK], tl.float32)
    common = tl.zeros([BLOCK], tl.float32)
    noise = tl.zeros([BLOCK], tl.float32)
    remainder = tl.zeros([BLOCK], tl.float32)
    removed = tl.zeros([BLOCK], tl.float32)
    for offset in range(0, samples, BLOCK):
        s = offset + tl.arange(0, BLOCK)
        at, inside = sample * samples + s, s < samples
        y = tl.load(clean + at, mask=inside, other=0.0)
        found = tl.load(enhanced + at, mask=inside, other=0.0)
        x = tl.load(noisy + at, mask=inside, other=0.0)
        distortion, residual = x - y, x - found
        speech += y * y
        estimate += found * found
        common += y * found
        noise += distortion * distortion
        remainder += residual * residual
        removed += distortion * residual
    clean_energy, noise_energy = tl.sum(speech, 0), tl.sum(noise, 0)
    alpha = clean_energy / (clean_energy + noise_energy + eps)
    cosine, of_clean, of_enhanced = _cosine(
        tl.sum(common, 0), clean_energy, tl.sum(estimate, 0), eps
    )
    other, of_distortion, of_residual = _cosine(
        tl.sum(removed, 0), noise_energy, tl.sum(remainder, 0), eps
    )
    tl.store(loss + sample, -alpha * cosine - (1 - alpha) * other)
    tl.store(slopes + 4 * sample, -alpha * of_clean)
    tl.store(slopes + 4 * sample + 1, -alpha * of_enhanced)
    tl.store(slopes + 4 * sample + 2, (1 - alpha) * of_distortion)  # the residual falls as
    tl.store(slopes + 4 * sample + 3, (1 - alpha) * of_residual)  # the enhanced signal rises


@jit
def _wsdr_backward(
    enhanced, clean, noisy, slopes, upstream, denhanced, samples, BLOCK: tl.constexpr
):
    sample = tl.program_id(1).to(tl.int64)
    s = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    at, inside = sample * samples + s, s < samples
    y = tl.load(clean + at, mask=inside, other=0.0)
    found = tl.load(enhanced + at, mask=inside, other=0.0)
    x = tl.load(noisy + at, mask=inside, other=0.0)
    slope = tl.load(slopes + 4 * sample) * y + tl.load(slopes + 4 * sample + 1) * found
    slope += tl.load(slopes + 4 * sample + 2) * (x - y)
    slope += tl.load(slopes + 4 * sample + 3) * (x - found)
    tl.store(denhanced + at, tl.load(upstream + sample) * slope, mask=inside)


class _WeightedSDR(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, enhanced: Tensor, clean: Tensor, noisy: Tensor, eps: float):
        batch, samples = enhanced.shape
        loss, slopes = enhanced.new_empty(batch), enhanced.new_empty((batch, 4))
        _wsdr[(batch,)](
            enhanced, clean, noisy, loss, slopes, samples, eps, BLOCK=BLOCK, num_warps=WARPS
        )
        ctx.save_for_backward(enhanced, clean, noisy, slopes)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor):
        enhanced, clean, noisy, slopes = ctx.saved_tensors
        batch, samples = enhanced.shape
        denhanced = torch.empty_like(enhanced)
        _wsdr_backward[-(-samples // 1024), batch](
            enhanced, clean, noisy, slopes, upstream.contiguous(), denhanced, samples, BLOCK=1024
        )
        return denhanced, None, None, None


def weighted_sdr(enhanced: Tensor, clean: Tensor, noisy: Tensor, *, eps: float) -> Tensor:
    """Loss [B] as in `smoe.training.losses.wsdr`; a gradient for `enhanced` only.

    Args:
        enhanced: float32 [B, samples].
        clean: Like `enhanced`.
        noisy: Like `enhanced`.
        eps: What keeps quotients finite at silence.
    """
    signals = [signal.contiguous() for signal in (enhanced, clean, noisy)]
    loss: Tensor = _WeightedSDR.apply(*signals, eps)  # type: ignore[assignment]
    return loss
