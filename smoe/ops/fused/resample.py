"""Convolutions that halve or double both extents of a map with few channels and many pixels.

A 2 x 2 kernel with stride 2 meets each pixel of the large map once. So the large map is a matrix
[pixels of the small map, 4 x channels] of patches, and both directions and all gradients are plain
products with it:

    small = patches @ kernel,   patches = small @ kernel^T,   kernel gradient = patches^T @ small

The kernel's memory [small channels, 2, 2, large channels] is that matrix in both directions, for
`F.conv2d` as for `F.conv_transpose2d`. As in `narrow_conv`, libraries take several times as long.
"""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import jit, pixel_rows
from smoe.ops.fused.tilings import power_of_two, sum_splits

_PIXELS = 128  # of the small map that a program works on at a time
_SPLITS = 256  # partial sums of the kernel gradient
_WARPS = 4


@jit
def _places(block, F, T, SMALL_F, SMALL_T, PIXELS: tl.constexpr):
    """Where each pixel of the small map lies there and, its first corner, in the large one.

    Of the sample, row and column with which the last odd row and column of the large map still get
    a patch; and whether the small map has that pixel.
    """
    down, across = (F + 1) // 2, (T + 1) // 2
    p = block * PIXELS + tl.arange(0, PIXELS)
    b, f, t = p // (down * across), p // across % down, p % across
    small = (b * SMALL_F + f) * SMALL_T + t
    large = (b * F + 2 * f) * T + 2 * t
    return b, f, t, small, large, (f < SMALL_F) & (t < SMALL_T)


@jit(do_not_specialize=["B", "F", "T", "SMALL_F", "SMALL_T"])
def _halve_kernel(
    x, w, y, B, F, T, SMALL_F, SMALL_T, C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """The small map y [pixels, N] of the large one x; w is [N, 4, C]."""
    b, _f, _t, small, large, exists = _places(tl.program_id(0), F, T, SMALL_F, SMALL_T, PIXELS)
    exists = exists & (b < B)
    c, n = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)
    total = tl.full((PIXELS, BLOCK_N), 0.0, tl.float32)
    for corner in tl.static_range(4):  # pyright: ignore[reportGeneralTypeIssues]
        at = (large + corner // 2 * T + corner % 2)[:, None] * STRIDE + c[None, :]
        patch = tl.load(x + at, mask=exists[:, None] & (c < C)[None, :], other=0.0)
        at = n[None, :] * 4 * C + corner * C + c[:, None]
        weight = tl.load(w + at, mask=(c < C)[:, None] & (n < N)[None, :], other=0.0)
        total = tl.dot(patch, weight, total)
    mask = exists[:, None] & (n < N)[None, :]
    tl.store(y + small[:, None] * N + n[None, :], total.to(y.dtype.element_ty), mask=mask)


@jit(do_not_specialize=["B", "F", "T", "SMALL_F", "SMALL_T"])
def _double_kernel(
    x, w, y, B, F, T, SMALL_F, SMALL_T, C: tl.constexpr, N: tl.constexpr, STRIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """The large map y [pixels, C] of the small one x; zeros in an odd last row or column."""
    b, f, t, small, large, exists = _places(tl.program_id(0), F, T, SMALL_F, SMALL_T, PIXELS)
    c, n = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)
    mask = (exists & (b < B))[:, None] & (n < N)[None, :]
    values = tl.load(x + small[:, None] * STRIDE + n[None, :], mask=mask, other=0.0)
    for corner in tl.static_range(4):  # pyright: ignore[reportGeneralTypeIssues]
        at = n[:, None] * 4 * C + corner * C + c[None, :]
        weight = tl.load(w + at, mask=(n < N)[:, None] & (c < C)[None, :], other=0.0)
        patch = tl.dot(values, weight)
        inside = (b < B) & (2 * f + corner // 2 < F) & (2 * t + corner % 2 < T)
        at = (large + corner // 2 * T + corner % 2)[:, None] * C + c[None, :]
        mask = inside[:, None] & (c < C)[None, :]
        tl.store(y + at, patch.to(y.dtype.element_ty), mask=mask)


@jit(do_not_specialize=["B", "F", "T", "SMALL_F", "SMALL_T", "blocks"])
def _kernel_gradient_kernel(
    x, g, partial, B, F, T, SMALL_F, SMALL_T, blocks,
    C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, G_STRIDE: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_N: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """One row of partial [splits, N, 4 * C], from the large map x and the small one g."""
    k, n = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_N)
    corner = k // C
    total = tl.full((BLOCK_K, BLOCK_N), 0.0, tl.float32)
    for block in range(tl.program_id(0), blocks, tl.num_programs(0)):
        b, _f, _t, small, large, exists = _places(block, F, T, SMALL_F, SMALL_T, PIXELS)
        exists = exists & (b < B)
        at = large[:, None] + (corner // 2 * T + corner % 2)[None, :]
        mask = exists[:, None] & (k < 4 * C)[None, :]
        patches = tl.load(x + at * STRIDE + (k % C)[None, :], mask=mask, other=0.0)
        mask = exists[:, None] & (n < N)[None, :]
        gradient = tl.load(g + small[:, None] * G_STRIDE + n[None, :], mask=mask, other=0.0)
        total = tl.dot(tl.trans(patches), gradient, total)
    at = (tl.program_id(0) * N + n)[None, :] * 4 * C + k[:, None]
    tl.store(partial + at, total, mask=(k < 4 * C)[:, None] & (n < N)[None, :])


def _extents(large: tuple[int, int, int], small: tuple[int, int]) -> tuple[tuple[int, ...], int]:
    """Samples and extents of both maps as the kernels take them, and the blocks of pixels."""
    batch, rows, columns = large
    pixels = batch * -(-rows // 2) * -(-columns // 2)
    return (batch, rows, columns, *small), -(-pixels // _PIXELS)


def _block(channels: int) -> int:
    return max(16, power_of_two(channels))


def _halve(x: Tensor, kernel: Tensor) -> Tensor:
    x, stride = pixel_rows(x)
    batch, channels, rows, columns = x.shape
    out, size = kernel.shape[0], (rows // 2, columns // 2)
    y, _ = pixel_rows(x.new_empty(batch, *size, out).permute(0, 3, 1, 2))
    extents, blocks = _extents((batch, rows, columns), size)
    _halve_kernel[(blocks,)](
        x, kernel.permute(0, 2, 3, 1).contiguous(), y, *extents,
        C=channels, STRIDE=stride, N=out,
        BLOCK_C=_block(channels), BLOCK_N=_block(out), PIXELS=_PIXELS, num_warps=_WARPS,
    )  # fmt: skip
    return y


def _double(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    x, stride = pixel_rows(x)
    batch, channels, *small = x.shape
    out = kernel.shape[1]
    y, _ = pixel_rows(x.new_empty(batch, *size, out).permute(0, 3, 1, 2))
    extents, blocks = _extents((batch, *size), (small[0], small[1]))
    _double_kernel[(blocks,)](
        x, kernel.permute(0, 2, 3, 1).contiguous(), y, *extents,
        C=out, N=channels, STRIDE=stride,
        BLOCK_C=_block(out), BLOCK_N=_block(channels), PIXELS=_PIXELS, num_warps=_WARPS,
    )  # fmt: skip
    return y


def _kernel_gradient(large: Tensor, small: Tensor) -> Tensor:
    """[small channels, large channels, 2, 2], channels last in memory."""
    (x, stride), (g, g_stride) = pixel_rows(large), pixel_rows(small)
    batch, channels, rows, columns = x.shape
    out = g.shape[1]
    extents, blocks = _extents((batch, rows, columns), (g.shape[2], g.shape[3]))
    partial = x.new_empty(min(_SPLITS, blocks), out, 4 * channels, dtype=torch.float32)
    _kernel_gradient_kernel[(len(partial),)](
        x, g, partial, *extents, blocks, C=channels, STRIDE=stride, N=out, G_STRIDE=g_stride,
        BLOCK_K=_block(4 * channels), BLOCK_N=_block(out), PIXELS=_PIXELS,
        num_warps=_WARPS, num_stages=2,
    )  # fmt: skip
    return sum_splits(partial, x.dtype).unflatten(1, (2, 2, channels)).permute(0, 3, 1, 2)


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _halve(x, kernel)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        x, kernel = ctx.saved_tensors
        return _double(grad, kernel, (x.shape[2], x.shape[3])), _kernel_gradient(x, grad)


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _double(x, kernel, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, kernel = ctx.saved_tensors
        return _halve(grad, kernel), _kernel_gradient(grad, x), None


def halve(x: Tensor, kernel: Tensor) -> Tensor:
    """What `F.conv2d(x, kernel, stride=2)` computes with a 2 x 2 kernel; differentiable once.

    Args:
        x: Map [B, Cin, F, T], bfloat16, channels last in memory (other layouts are copied).
        kernel: [Cout, Cin, 2, 2], bfloat16, channels last in memory.

    Returns:
        [B, Cout, F // 2, T // 2], bfloat16, channels last in memory.
    """
    y: Tensor = _Halve.apply(x, kernel)  # type: ignore[assignment]
    return y


def double(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """What `F.conv_transpose2d(x, kernel, stride=2)` computes, with zeros up to an odd size.

    Args:
        x: Map [B, Cin, F, T], bfloat16, channels last in memory (other layouts are copied).
        kernel: [Cin, Cout, 2, 2], bfloat16, channels last in memory.
        size: 2F or 2F + 1, 2T or 2T + 1.

    Returns:
        [B, Cout, *size], bfloat16, channels last in memory.
    """
    y: Tensor = _Double.apply(x, kernel, size)  # type: ignore[assignment]
    return y
