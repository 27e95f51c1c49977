"""How the kernels of this package share a map among programs, and read and write it.

A map [B, L, F, T] is read as pixels x lanes: `L` real channels lie side by side for each of the
B x F x T pixels. Lanes are the stacked channels of `complex_layers`, perhaps with some that stay
zero behind the real and behind the imaginary half. Sums are over float32, whatever the map's
precision, and in an order that does not change from run to run.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

jit: Any = triton.jit  # its type hints know neither launch options nor integers as constants

TILE = 4096  # values that a program holds at once
PROGRAMS = 528  # enough to fill a large GPU several times


class Grid(NamedTuple):
    """How programs share a map: `count` ranges of `each` pixels, times blocks of `block` lanes."""

    pixels: int
    lanes: int
    block: int
    tile: int
    each: int
    count: int

    @property
    def shape(self) -> tuple[int, int]:
        """Programs along pixels and lanes."""
        return self.count, self.lanes // self.block


def grid_of(pixels: Tensor) -> Grid:
    """The grid of a map given as [pixels, lanes]."""
    count, lanes = pixels.shape
    block = min(64, lanes & -lanes)  # the largest power of two that divides it
    tile = TILE // block
    tiles = -(-count // tile)
    each = -(-tiles // max(1, min(tiles, PROGRAMS * block // lanes)))
    return Grid(count, lanes, block, tile, each * tile, -(-tiles // each))


def pixels_of(x: Tensor) -> Tensor:
    """[B, L, F, T] as [pixels, lanes]; a view where lanes lie side by side, else a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def pixel_rows(x: Tensor) -> tuple[Tensor, int]:
    """The map with channels side by side, copied only if they are not; elements between pixels.

    Raises:
        ValueError: the map is too large for 32-bit offsets.
    """
    _, channels, rows, columns = x.shape
    stride = x.stride(3) if columns > 1 else channels
    apart = (rows * columns * stride, 1, columns * stride, stride)
    fits = all(n == 1 or s == a for n, s, a in zip(x.shape, x.stride(), apart, strict=True))
    if not fits or stride < channels:
        x, stride = x.contiguous(memory_format=torch.channels_last), channels
    if x.numel() // channels * stride >= 2**31:
        raise ValueError(f"A map of shape {tuple(x.shape)} is too large for 32-bit offsets.")
    return x, stride


def map_like(x: Tensor) -> Tensor:
    """A new map of the same shape and precision, channels last in memory, to be written."""
    return torch.empty_like(x, memory_format=torch.channels_last)


@jit
def lanes_here(BLOCK: tl.constexpr):
    """The lanes of this program."""
    return tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)


@jit
def pixels_here(offset, each, pixels, TILE: tl.constexpr):
    """The next tile of this program's range of pixels, and which of them exist."""
    p = tl.program_id(0) * each + offset + tl.arange(0, TILE)
    return p, p < pixels


@jit
def affine_crelu(
    x, y, scale, shift, pixels, lanes, stride, each,
    SCALED: tl.constexpr, CRELU: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes x + shift, or scale * x + shift, of each lane; negative values as zeros if asked."""
    lane = lanes_here(BLOCK)
    b = tl.load(shift + lane).to(tl.float32)[None, :]
    for offset in range(0, each, TILE):
        p, inside = pixels_here(offset, each, pixels, TILE)
        value = load(x, p, lane, stride, inside)
        if SCALED:
            value = value * tl.load(scale + lane)[None, :]
        value += b
        if CRELU:
            value = tl.maximum(value, 0.0)
        store(y, value, p, lane, lanes, inside)


@jit
def load(x, p, lane, stride, inside):
    """Values [pixels, lanes] in float32; zeros outside."""
    at = p.to(tl.int64)[:, None] * stride + lane[None, :]
    return tl.load(x + at, mask=inside[:, None], other=0.0).to(tl.float32)


@jit
def store(y, value, p, lane, lanes, inside):
    """Writes values [pixels, lanes] into a map without gaps, in its own precision."""
    at = p.to(tl.int64)[:, None] * lanes + lane[None, :]
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside[:, None])


@jit
def store_sums(partial, first, second, lane, lanes):
    """One row of two sums per lane for each range of pixels."""
    row = partial + tl.program_id(0) * 2 * lanes + lane
    tl.store(row, tl.sum(first, 0))
    tl.store(row + lanes, tl.sum(second, 0))


@jit
def sums(partial, count, lane, lanes, ROWS: tl.constexpr):
    """The two sums of each lane over all ranges of pixels."""
    first = tl.zeros([ROWS, lane.shape[0]], tl.float32)
    second = tl.zeros([ROWS, lane.shape[0]], tl.float32)
    for start in range(0, count, ROWS):
        row = start + tl.arange(0, ROWS)
        at = row[:, None] * 2 * lanes + lane[None, :]
        first += tl.load(partial + at, mask=row[:, None] < count, other=0.0)
        second += tl.load(partial + at + lanes, mask=row[:, None] < count, other=0.0)
    return tl.sum(first, 0), tl.sum(second, 0)
