"""Batch normalisation of each lane with the CReLU behind it: two reads and a write forward."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import (
    affine_crelu,
    grid_of,
    jit,
    lanes_here,
    load,
    map_like,
    pixels_here,
    pixels_of,
    store,
    store_sums,
    sums,
)


@jit
def _moments(x, partial, pixels, lanes, stride, each, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """Sums of values and of squares, both after subtracting the first pixel against rounding."""
    lane = lanes_here(BLOCK)
    origin = tl.load(x + lane).to(tl.float32)[None, :]
    total = tl.zeros([TILE, BLOCK], tl.float32)
    squares = tl.zeros([TILE, BLOCK], tl.float32)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        value = tl.where(inside[:, None], load(x, p, lane, stride, inside) - origin, 0.0)
        total += value
        squares += value * value
    store_sums(partial, total, squares, lane, lanes)


@jit
def _channel_of(lane, lanes, channels):
    """Place of each lane among the parameters, and whether it has one."""
    half = lanes // 2
    return lane // half * channels + lane % half, lane % half < channels


@jit
def _normalisation(
    x, partial, count, pixels, lanes, channels, momentum, eps,
    weight, bias, running_mean, running_var, factors, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Factors [4, lanes] (mean, 1 / deviation, scale, shift) from the moments; running values."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    first, second = sums(partial, count, lane, lanes, ROWS)
    offset = first / pixels
    mean = tl.load(x + lane).to(tl.float32) + offset
    variance = tl.maximum(second / pixels - offset * offset, 0.0)
    inverse = 1 / tl.sqrt(variance + eps)
    channel, real = _channel_of(lane, lanes, channels)
    scale = tl.load(weight + channel, mask=real, other=0.0) * inverse
    shift = tl.load(bias + channel, mask=real, other=0.0) - mean * scale
    tl.store(factors + lane, mean)
    tl.store(factors + lanes + lane, inverse)
    tl.store(factors + 2 * lanes + lane, scale)
    tl.store(factors + 3 * lanes + lane, shift)
    old = tl.load(running_mean + channel, mask=real)
    tl.store(running_mean + channel, old + momentum * (mean - old), mask=real)
    old = tl.load(running_var + channel, mask=real)
    unbiased = variance * pixels / tl.maximum(pixels - 1, 1)
    tl.store(running_var + channel, old + momentum * (unbiased - old), mask=real)


@jit
def _behind_crelu(x, dy, factors, p, lane, lanes, stride, dy_stride, inside):
    """Values before the normalisation, and gradients where the CReLU let them pass."""
    scale = tl.load(factors + 2 * lanes + lane)[None, :]
    shift = tl.load(factors + 3 * lanes + lane)[None, :]
    value = load(x, p, lane, stride, inside)
    g = load(dy, p, lane, dy_stride, inside)
    return value, tl.where(value * scale + shift > 0, g, 0.0)


@jit
def _normalisation_gradients(
    x, dy, partial, factors, pixels, lanes, stride, dy_stride, each,
    TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums of the gradient behind the CReLU, alone and times the normalised value."""
    lane = lanes_here(BLOCK)
    mean = tl.load(factors + lane)[None, :]
    inverse = tl.load(factors + lanes + lane)[None, :]
    first = tl.zeros([TILE, BLOCK], tl.float32)
    second = tl.zeros([TILE, BLOCK], tl.float32)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        value, g = _behind_crelu(x, dy, factors, p, lane, lanes, stride, dy_stride, inside)
        first += g
        second += g * (value - mean) * inverse
    store_sums(partial, first, second, lane, lanes)


@jit
def _normalisation_slopes(
    partial, count, pixels, lanes, channels, factors, slopes, dweight, dbias,
    BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Slopes [2, lanes] such that dx = scale * g + slopes[0] * x + slopes[1]."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    first, second = sums(partial, count, lane, lanes, ROWS)
    channel, real = _channel_of(lane, lanes, channels)
    tl.store(dbias + channel, first, mask=real)
    tl.store(dweight + channel, second, mask=real)
    mean = tl.load(factors + lane)
    scale = tl.load(factors + 2 * lanes + lane)
    slope = -scale * tl.load(factors + lanes + lane) * second / pixels
    tl.store(slopes + lane, slope)
    tl.store(slopes + lanes + lane, -scale * first / pixels - slope * mean)


@jit
def _normalisation_backward(
    x, dy, dx, factors, slopes, pixels, lanes, stride, dy_stride, each,
    TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = lanes_here(BLOCK)
    scale = tl.load(factors + 2 * lanes + lane)[None, :]
    slope = tl.load(slopes + lane)[None, :]
    constant = tl.load(slopes + lanes + lane)[None, :]
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        value, g = _behind_crelu(x, dy, factors, p, lane, lanes, stride, dy_stride, inside)
        store(dx, scale * g + slope * value + constant, p, lane, lanes, inside)


class _NormCReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, running: Any, settings: Any):
        pixels = pixels_of(x)
        grid, (momentum, eps) = grid_of(pixels), settings
        lanes, stride, channels = grid.lanes, pixels.stride(0), len(weight) // 2
        partial = x.new_empty((grid.count, 2, lanes), dtype=torch.float32)
        factors = x.new_empty((4, lanes), dtype=torch.float32)
        y = map_like(x)
        tiles = {"TILE": grid.tile, "BLOCK": grid.block}
        size = (grid.pixels, lanes, stride, grid.each)
        _moments[grid.shape](pixels, partial, *size, **tiles)
        _normalisation[(lanes // grid.block,)](
            pixels, partial, grid.count, grid.pixels, lanes, channels, momentum, eps,
            weight, bias, *running, factors, BLOCK=grid.block, ROWS=128,
        )  # fmt: skip
        affine_crelu[grid.shape](
            pixels, y, factors[2], factors[3], *size, SCALED=True, CRELU=True, **tiles
        )
        ctx.save_for_backward(x, factors)
        ctx.channels = channels
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        x, factors = ctx.saved_tensors
        pixels, gradient = pixels_of(x), pixels_of(dy)
        grid, lanes = grid_of(pixels), factors.shape[1]
        partial = factors.new_empty((grid.count, 2, lanes))
        slopes = factors.new_empty((2, lanes))
        dweight, dbias = factors.new_empty((2, 2 * ctx.channels))
        dx = map_like(x)
        tiles = {"TILE": grid.tile, "BLOCK": grid.block}
        size = (grid.pixels, lanes, pixels.stride(0), gradient.stride(0), grid.each)
        _normalisation_gradients[grid.shape](pixels, gradient, partial, factors, *size, **tiles)
        _normalisation_slopes[(lanes // grid.block,)](
            partial, grid.count, grid.pixels, lanes, ctx.channels, factors, slopes, dweight, dbias,
            BLOCK=grid.block, ROWS=128,
        )  # fmt: skip
        _normalisation_backward[grid.shape](pixels, gradient, dx, factors, slopes, *size, **tiles)
        return dx, dweight, dbias, None, None


def norm_crelu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """ReLU of the batch normalisation in training mode; the running statistics are updated.

    Args:
        x: [B, L, F, T] with channels last in memory; half of L may exceed that of the parameters,
            and the lanes that do so give zeros.
        norm: Parameters and running statistics of real and imaginary parts, [2C] each.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    running = (norm.running_mean, norm.running_var)
    y: Tensor = _NormCReLU.apply(x, norm.weight, norm.bias, running, (norm.momentum, norm.eps))  # type: ignore[assignment]
    return y
