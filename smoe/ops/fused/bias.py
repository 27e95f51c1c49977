"""What follows an expert's convolutions: a bias with the CReLU, a bias with the gate."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
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
)


@jit
def _add_bias_backward(
    y, dy, dx, partial, pixels, lanes, dy_stride, each,
    CRELU: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = lanes_here(BLOCK)
    total = tl.zeros([TILE, BLOCK], tl.float32)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        g = load(dy, p, lane, dy_stride, inside)
        if CRELU:
            g = tl.where(load(y, p, lane, lanes, inside) > 0, g, 0.0)
            store(dx, g, p, lane, lanes, inside)
        total += g
    tl.store(partial + tl.program_id(0) * lanes + lane, tl.sum(total, 0))


@jit
def _add_gated(
    x, refined, bias, gate, y, pixels, lanes, stride, refined_stride, each, per_sample,
    TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = lanes_here(BLOCK)
    b = tl.load(bias + lane).to(tl.float32)[None, :]
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        g = tl.load(gate + p // per_sample, mask=inside, other=0.0)[:, None]
        value = load(x, p, lane, stride, inside)
        value += g * (load(refined, p, lane, refined_stride, inside) + b)
        store(y, value, p, lane, lanes, inside)


@jit
def _add_gated_backward(
    dy, gate, drefined, partial, pixels, lanes, dy_stride, each, per_sample,
    TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = lanes_here(BLOCK)
    total = tl.zeros([TILE, BLOCK], tl.float32)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        weight = tl.load(gate + p // per_sample, mask=inside, other=0.0)[:, None]
        g = weight * load(dy, p, lane, dy_stride, inside)
        store(drefined, g, p, lane, lanes, inside)
        total += g
    tl.store(partial + tl.program_id(0) * lanes + lane, tl.sum(total, 0))


def biased(x: Tensor, bias: Tensor, *, crelu: bool) -> Tensor:
    """A map plus a bias, through the CReLU if asked; no autograd."""
    pixels, y = pixels_of(x), map_like(x)
    grid = grid_of(pixels)
    affine_crelu[grid.shape](
        pixels, y, bias, bias, grid.pixels, grid.lanes, pixels.stride(0), grid.each,
        SCALED=False, CRELU=crelu, TILE=grid.tile, BLOCK=grid.block,
    )  # fmt: skip
    return y


def bias_gradients(y: Tensor | None, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients before bias and CReLU, channels last in memory, and of the bias.

    Args:
        y: What came out of the CReLU; None if there is none.
        dy: The gradient of that.
    """
    gradient = pixels_of(dy)
    grid = grid_of(gradient)
    crelu = y is not None
    # Without a CReLU it is the gradient itself, with its channels side by side if it was copied.
    dx = map_like(dy) if crelu else gradient.unflatten(0, (-1, *dy.shape[2:])).permute(0, 3, 1, 2)
    partial = dy.new_empty((grid.count, grid.lanes), dtype=torch.float32)
    _add_bias_backward[grid.shape](
        y if crelu else gradient, gradient, dx, partial, grid.pixels, grid.lanes,
        gradient.stride(0), grid.each, CRELU=crelu, TILE=grid.tile, BLOCK=grid.block,
    )  # fmt: skip
    return dx, partial.sum(dim=0)


class _AddBias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, crelu: bool):
        y = biased(x, bias, crelu=crelu)
        ctx.save_for_backward(y if crelu else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        (y,) = ctx.saved_tensors
        return *bias_gradients(y, dy), None


class _AddGated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, refined: Tensor, bias: Tensor, gate: Tensor):
        pixels, others, y = pixels_of(x), pixels_of(refined), map_like(x)
        grid = grid_of(pixels)
        _add_gated[grid.shape](
            pixels, others, bias, gate, y, grid.pixels, grid.lanes,
            pixels.stride(0), others.stride(0), grid.each, grid.pixels // len(x),
            TILE=grid.tile, BLOCK=grid.block,
        )  # fmt: skip
        learns = ctx.needs_input_grad[3]
        ctx.save_for_backward(gate, bias, refined if learns else refined.new_empty(0))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        gate, bias, refined = ctx.saved_tensors
        gradient, drefined = pixels_of(dy), map_like(dy)
        grid = grid_of(gradient)
        partial = gate.new_empty((grid.count, grid.lanes))
        _add_gated_backward[grid.shape](
            gradient, gate, drefined, partial, grid.pixels, grid.lanes, gradient.stride(0),
            grid.each, grid.pixels // len(dy), TILE=grid.tile, BLOCK=grid.block,
        )  # fmt: skip
        dgate = None
        if ctx.needs_input_grad[3]:
            dgate = (refined * dy).sum(dim=(1, 2, 3), dtype=torch.float32)
            dgate = dgate + dy.sum(dim=(2, 3), dtype=torch.float32) @ bias
        return dy, drefined, partial.sum(dim=0), dgate


def add_bias(x: Tensor, bias: Tensor, *, crelu: bool) -> Tensor:
    """Adds a bias and applies the CReLU if asked.

    Args:
        x: [B, L, F, T], channels last in memory.
        bias: float32 [L].
        crelu: Whether negative values become zero.
    """
    y: Tensor = _AddBias.apply(x, bias, crelu)  # type: ignore[assignment]
    return y


def add_gated(x: Tensor, refined: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
    """Gives x + gate * (refined + bias): what an expert adds to the map that it refines.

    Args:
        x: [B, L, F, T], channels last in memory.
        refined: Like `x`.
        bias: float32 [L].
        gate: float32 [B], contiguous.
    """
    y: Tensor = _AddGated.apply(x, refined, bias, gate)  # type: ignore[assignment]
    return y
