"""Distance of compressed magnitude spectra, with its gradient, in three passes per resolution.

Written out, the distance is a hundred small operators. Here one kernel cuts and windows the frames
of both signals, one compares their spectra, and one adds up the gradients of all frames. Scales
(the level, what makes the transforms orthonormal) are factors that the second kernel applies, so
that no pass over memory is spent on them. Sums are taken in an order that does not change.
"""

from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import jit

TILE = 2048  # values of frames that a program holds at once
BINS = 1024  # of both spectra that a program compares
SAMPLES = 1024  # that a program adds up gradients of


class Compression(NamedTuple):
    """Magnitudes are (power + offset) ** exponent, of signals divided by their level + eps."""

    exponent: float
    offset: float
    eps: float


@jit
def _hann(t, N_FFT: tl.constexpr):
    """Periodic Hann window at t in [0, N_FFT): the squared cosine of the distance from its middle.

    By its series, up to the 12th power: the library's cosine is made for angles of any size. Half
    a window further the window is 1 minus this.
    """
    distance = (t - N_FFT // 2).to(tl.float32)
    z = distance * distance * (9.869604401089358 / (N_FFT * N_FFT))  # of the angle, squared
    cosine = 1 - z * (1 / 56) * (1 - z * (1 / 90) * (1 - z * (1 / 132)))
    cosine = 1 - z * (1 / 2) * (1 - z * (1 / 12) * (1 - z * (1 / 30) * cosine))
    return cosine * cosine


@jit
def _frames(
    enhanced, clean, enhanced_frames, clean_frames, samples, count,
    N_FFT: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Writes windowed frames [B, count, N_FFT] of both signals, mirrored at their ends."""
    sample = tl.program_id(1).to(tl.int64)
    frame = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    t = tl.arange(0, N_FFT)[None, :]
    place = tl.abs((frame - 1) * (N_FFT // 2) + t)
    source = sample * samples + tl.minimum(place, 2 * (samples - 1) - place)
    target = (sample * count + frame) * N_FFT + t
    window = _hann(t, N_FFT)
    inside = frame < count
    value = window * tl.load(enhanced + source, mask=inside, other=0.0)
    tl.store(enhanced_frames + target, value, mask=inside)
    value = window * tl.load(clean + source, mask=inside, other=0.0)
    tl.store(clean_frames + target, value, mask=inside)


@jit
def _compressed(spec, pair, inside, scale, exponent, offset):
    """Scaled spectrum [bins, 2] in real and imaginary parts; its power, its magnitude."""
    value = scale * tl.load(spec + pair, mask=inside[:, None], other=0.0)
    power = tl.sum(value * value, 1) + offset
    return value, power, tl.exp2(exponent * tl.log2(power))


@jit
def _compare(
    enhanced_spec, clean_spec, norm, gradient, partial, bins, blocks, weight,
    per_norm, per_level, exponent, offset, eps, N_BINS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums of the differences, one for each block of bins, and what the inverse transform takes.

    Bins lie frame after frame, `bins` for each sample. `partial` has `blocks` places for each.
    """
    sample = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < bins
    pair = (sample * bins + i)[:, None] * 2 + tl.arange(0, 2)[None, :]
    scale = per_level / (tl.load(norm + sample) * per_norm + eps)
    spec, power, magnitude = _compressed(enhanced_spec, pair, inside, scale, exponent, offset)
    _, _, target = _compressed(clean_spec, pair, inside, scale, exponent, offset)
    difference = magnitude - target  # none outside, where both signals read zeros
    place = partial + sample * blocks + tl.program_id(0)
    tl.store(place, weight * tl.sum(tl.abs(difference), 0))
    sign = tl.where(difference > 0, 1.0, tl.where(difference < 0, -1.0, 0.0))
    k = i % N_BINS
    mirrored = tl.where((k == 0) | (k == N_BINS - 1), 2.0, 1.0)  # the inverse counts others twice
    slope = sign * exponent * magnitude / power * mirrored
    tl.store(gradient + pair, spec * (slope * (weight * scale))[:, None], mask=inside[:, None])


@jit
def _both_frames(frames, q, wanted, count, N_FFT: tl.constexpr):
    """Sum of the two windowed frames over each wanted place of the padded signal."""
    half: tl.constexpr = N_FFT // 2
    frame, t = q // half, q % half
    at = frame * N_FFT + t
    later = tl.load(frames + at, mask=wanted & (frame < count), other=0.0)
    earlier = wanted & (frame > 0) & (frame <= count)
    earlier = tl.load(frames + at - half, mask=earlier, other=0.0)
    window = _hann(t, N_FFT)
    return window * later + (1 - window) * earlier


@jit
def _overlap_add(frames, s, samples, N_FFT: tl.constexpr, BLOCK: tl.constexpr):
    """Sum at each sample s of its frames, and of those that saw it mirrored at an end."""
    half: tl.constexpr = N_FFT // 2
    count = samples // half + 1
    frames += tl.program_id(1).to(tl.int64) * count * N_FFT
    total = _both_frames(frames, s + half, s < samples, count, N_FFT)
    first, last = tl.program_id(0) * BLOCK, samples - 1
    if first <= half:
        total += _both_frames(frames, half - s, (s > 0) & (s <= half), count, N_FFT)
    if first + BLOCK > last - half:
        wanted = (s >= last - half) & (s < last)
        total += _both_frames(frames, 2 * last - s + half, wanted, count, N_FFT)
    return total


@jit
def _waveform_gradient(
    first, second, third, upstream, dwaveform, samples,
    FIRST: tl.constexpr, SECOND: tl.constexpr, THIRD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes the gradient [B, samples] of frames of three lengths, times that of each sample."""
    sample = tl.program_id(1).to(tl.int64)
    s = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = _overlap_add(first, s, samples, FIRST, BLOCK)
    total += _overlap_add(second, s, samples, SECOND, BLOCK)
    total += _overlap_add(third, s, samples, THIRD, BLOCK)
    total *= tl.load(upstream + sample)
    tl.store(dwaveform + sample * samples + s, total, mask=s < samples)


def _spectra(enhanced: Tensor, clean: Tensor, n_fft: int) -> Tensor:
    """Spectra [2, B * frames, n_fft/2 + 1] of enhanced and clean, neither scaled nor level."""
    batch, samples = enhanced.shape
    count = samples // (n_fft // 2) + 1
    frames = enhanced.new_empty((2, batch * count, n_fft))
    rows = TILE // n_fft
    _frames[-(-count // rows), batch](
        enhanced, clean, *frames, samples, count, N_FFT=n_fft, ROWS=rows
    )
    return torch.fft.rfft(frames, norm="backward")  # its own scaling would be one more pass


class _SpectralDistance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, enhanced: Tensor, clean: Tensor, noisy: Tensor,
        n_ffts: tuple[int, int, int], compression: Compression,
    ):  # fmt: skip
        batch, samples = enhanced.shape
        exponent, offset, eps = compression
        norm = torch.linalg.vector_norm(noisy, dim=1)
        bins = [(samples // (n // 2) + 1) * (n // 2 + 1) for n in n_ffts]  # of each sample
        blocks = [-(-each // BINS) for each in bins]
        partial = enhanced.new_empty((batch, sum(blocks)))
        gradients = []
        for i, n_fft in enumerate(n_ffts):
            spectra = torch.view_as_real(_spectra(enhanced, clean, n_fft))
            gradient = torch.empty_like(spectra[0])
            _compare[blocks[i], batch](
                *spectra, norm, gradient, partial[:, sum(blocks[:i]) :], bins[i], sum(blocks),
                1 / (len(n_ffts) * bins[i]), samples**-0.5, n_fft**-0.5, exponent, offset, eps,
                N_BINS=n_fft // 2 + 1, BLOCK=BINS,
            )  # fmt: skip
            gradients.append(torch.view_as_complex(gradient))
        ctx.save_for_backward(*gradients)
        ctx.n_ffts, ctx.shape = n_ffts, enhanced.shape
        return partial.sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor):
        frames = [
            torch.fft.irfft(gradient, n_fft, norm="forward")
            for gradient, n_fft in zip(ctx.saved_tensors, ctx.n_ffts, strict=True)
        ]
        batch, samples = ctx.shape
        dwaveform = upstream.new_empty(ctx.shape)
        first, second, third = ctx.n_ffts
        _waveform_gradient[-(-samples // SAMPLES), batch](
            *frames, upstream.contiguous(), dwaveform, samples,
            FIRST=first, SECOND=second, THIRD=third, BLOCK=SAMPLES,
        )  # fmt: skip
        return dwaveform, None, None, None, None


def compressed_stft_distance(
    enhanced: Tensor,
    clean: Tensor,
    noisy: Tensor,
    *,
    n_ffts: tuple[int, int, int],
    compression: Compression,
) -> Tensor:
    """Distance [B] as in `losses.compressed_stft_distance`; a gradient for `enhanced` only.

    Args:
        enhanced: float32 [B, samples], longer than half the longest frame.
        clean: Like `enhanced`.
        noisy: Like `enhanced`; its level is what both are divided by.
        n_ffts: Lengths of frames, powers of two up to 2048.
        compression: How magnitudes are compressed.
    """
    signals = [signal.contiguous() for signal in (enhanced, clean, noisy)]
    distance: Tensor = _SpectralDistance.apply(*signals, n_ffts, compression)  # type: ignore[assignment]
    return distance
