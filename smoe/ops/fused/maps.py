"""Maps that are put together, used more than once, or turned into a complex mask."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import (
    grid_of,
    jit,
    lanes_here,
    load,
    map_like,
    pixels_here,
    pixels_of,
    store,
)
from smoe.ops.fused.tilings import power_of_two

_MASK_PIXELS = 1024  # that a program turns into a mask


@jit
def _copy(
    x, y, pixels, lanes, stride, y_stride, each, TILE: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    lane = lanes_here(BLOCK)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        store(y, load(x, p, lane, stride, inside), p, lane, y_stride, inside)


@jit
def _sum(
    a, b, c, y, pixels, lanes, a_stride, b_stride, c_stride, each,
    THREE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = lanes_here(BLOCK)
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        total = load(a, p, lane, a_stride, inside) + load(b, p, lane, b_stride, inside)
        if THREE:
            total += load(c, p, lane, c_stride, inside)
        store(y, total, p, lane, lanes, inside)


@jit
def _to_mask(x, bias, mask, pixels, lanes, stride, PIXELS: tl.constexpr):
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = p < pixels
    at = p.to(tl.int64)
    for part in tl.static_range(2):  # pyright: ignore[reportGeneralTypeIssues]
        value = tl.load(x + at * stride + part * (lanes // 2), mask=inside, other=0.0)
        value = value.to(tl.float32) + tl.load(bias + part)
        tl.store(mask + 2 * at + part, value, mask=inside)


@jit
def _to_mask_backward(
    dmask, dx, partial, pixels, lanes, PIXELS: tl.constexpr, LANES: tl.constexpr
):  # fmt: skip
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    lane = tl.arange(0, LANES)[None, :]
    inside = p < pixels
    at = p.to(tl.int64)
    real = tl.load(dmask + 2 * at, mask=inside, other=0.0)
    imag = tl.load(dmask + 2 * at + 1, mask=inside, other=0.0)
    value = tl.where(lane == 0, real[:, None], tl.where(lane == lanes // 2, imag[:, None], 0.0))
    target = dx + at[:, None] * lanes + lane
    tl.store(target, value.to(dx.dtype.element_ty), mask=inside[:, None] & (lane < lanes))
    tl.store(partial + 2 * tl.program_id(0), tl.sum(real, 0))
    tl.store(partial + 2 * tl.program_id(0) + 1, tl.sum(imag, 0))


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *maps: Tensor) -> Tensor:
        ctx.lanes = [x.shape[1] for x in maps]
        batch, _, rows, columns = maps[0].shape
        joined = maps[0].new_empty(batch, rows, columns, sum(ctx.lanes)).permute(0, 3, 1, 2)
        for x, part in zip(maps, joined.split(ctx.lanes, dim=1), strict=True):
            pixels, grid = pixels_of(x), grid_of(pixels_of(x))
            _copy[grid.shape](
                pixels, part, grid.pixels, grid.lanes, pixels.stride(0), joined.shape[1],
                grid.each, TILE=grid.tile, BLOCK=grid.block,
            )  # fmt: skip
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore
        return grad.split(ctx.lanes, dim=1)


class _Fork(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, ...]:
        return tuple(x.view_as(x) for _ in range(count))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        total, *rest = grads
        while rest:
            total, rest = _sum_of(total, *rest[:2]), rest[2:]
        return total, None


def _sum_of(*terms: Tensor) -> Tensor:
    """Of two or three maps, in float32."""
    maps = [pixels_of(term) for term in terms]
    grid, total = grid_of(maps[0]), map_like(terms[0])
    a, b, c = (*maps, maps[0])[:3]
    _sum[grid.shape](
        a, b, c, total, grid.pixels, grid.lanes, a.stride(0), b.stride(0), c.stride(0), grid.each,
        THREE=len(terms) == 3, TILE=grid.tile, BLOCK=grid.block,
    )  # fmt: skip
    return total


class _ToMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor) -> Tensor:
        pixels = pixels_of(x)
        count, lanes = pixels.shape
        mask = x.new_empty((len(x), 1, *x.shape[2:], 2), dtype=torch.float32)
        _to_mask[(-(-count // _MASK_PIXELS),)](
            pixels, bias, mask, count, lanes, pixels.stride(0), PIXELS=_MASK_PIXELS
        )
        ctx.like = x.new_empty((len(x), lanes, *x.shape[2:]), device="meta")
        return torch.view_as_complex(mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dmask: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        gradient = torch.view_as_real(dmask.resolve_conj().contiguous())
        dx = torch.empty_like(ctx.like, device=dmask.device, memory_format=torch.channels_last)
        count, lanes = gradient.numel() // 2, dx.shape[1]
        programs = -(-count // _MASK_PIXELS)
        partial = gradient.new_empty((programs, 2))
        _to_mask_backward[(programs,)](
            gradient, dx, partial, count, lanes,
            PIXELS=_MASK_PIXELS, LANES=power_of_two(lanes),
        )  # fmt: skip
        return dx, partial.sum(dim=0)


def join(*maps: Tensor) -> Tensor:
    """What `torch.cat(maps, dim=1)` gives, channels last in memory.

    Args:
        maps: [B, L, F, T] each, with their own numbers of lanes.
    """
    joined: Tensor = _Join.apply(*maps)  # type: ignore[assignment]
    return joined


def fork(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """The same map for several uses, whose gradients are then added up in one pass.

    Args:
        x: [B, L, F, T].
        count: Number of uses.
    """
    uses: tuple[Tensor, ...] = _Fork.apply(x, count)  # type: ignore[assignment]
    return uses


def to_mask(x: Tensor, bias: Tensor) -> Tensor:
    """The complex map [B, 1, F, T], complex64, of the first channel of a stacked one.

    Args:
        x: [B, L, F, T], channels last in memory.
        bias: Added, float32 [2]: real and imaginary part.
    """
    mask: Tensor = _ToMask.apply(x, bias)  # type: ignore[assignment]
    return mask
