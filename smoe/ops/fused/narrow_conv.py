"""2-D convolution of maps with few channels and very many pixels.

Libraries tile a convolution for hundreds of channels. With 16 or 32 of them most of such a tile is
padding, and a layer takes several times what reading its input and writing its output would take.
Here a program owns a small rectangle of pixels with all its channels. The patches under the kernel
form a matrix [pixels, taps x channels], which is never stored: its columns are read where they are
needed, from the first-level cache for all but the first tap that meets a pixel. Then

    output          = patches(x) @ kernel
    input gradient  = patches(output gradient) @ kernel, turned by half a turn and transposed
    kernel gradient = patches(x)^T @ output gradient

with products of bfloat16 summed in float32, in an order that depends on the sizes alone: equal
inputs give equal bits. That is why the tilings are written down here and not searched at run time:
the winner of a race of timings, and with it the last bits, would depend on chance.

An expert's output is multiplied by a gate. Where that is zero, so is the gradient behind it, and
the convolutions of such a sample need not be computed: its output is written as zeros.
"""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from smoe.ops.fused.bias import bias_gradients, biased
from smoe.ops.fused.tiles import jit, pixel_rows
from smoe.ops.fused.tilings import (
    Tiling,
    forward_tiling,
    gradient_tiling,
    launch,
    sum_splits,
)

MAX_CHANNELS = 64


@jit
def _pixels_of(tile, F, T, TILE_F: tl.constexpr, TILE_T: tl.constexpr):
    """Sample b, and rows f and columns t [TILE_F * TILE_T] of one tile; some may lie outside."""
    across = (T + TILE_T - 1) // TILE_T
    down = (F + TILE_F - 1) // TILE_F
    lane = tl.arange(0, TILE_F * TILE_T)
    f = (tile // across) % down * TILE_F + lane // TILE_T
    t = tile % across * TILE_T + lane % TILE_T
    return tile // (across * down), f, t


@jit
def _patches(
    x, pixel, f, t, k, F, T,
    C: tl.constexpr, STRIDE: tl.constexpr, KF: tl.constexpr, KT: tl.constexpr,
):  # fmt: skip
    """Columns k = tap * C + channel of the patches around pixels; zeros outside."""
    shift_f = (k // (KT * C) - KF // 2)[None, :]
    shift_t = (k // C % KT - KT // 2)[None, :]
    row, column = f[:, None] + shift_f, t[:, None] + shift_t
    mask = (row >= 0) & (row < F) & (column >= 0) & (column < T) & (k < KF * KT * C)[None, :]
    step = (shift_f * T + shift_t) * STRIDE + (k % C)[None, :]
    return tl.load(x + pixel[:, None] * STRIDE + step, mask=mask, other=0.0)


@jit(do_not_specialize=["F", "T"])
def _convolve_kernel(
    x, w, bias, gate, y, F, T,
    C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, KF: tl.constexpr, KT: tl.constexpr,
    TRANSPOSED: tl.constexpr, BIASED: tl.constexpr, CRELU: tl.constexpr, GATED: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, TILE_F: tl.constexpr, TILE_T: tl.constexpr,
):  # fmt: skip
    """One tile of y [pixels, N]; w is [N, taps, C], or [C, taps, N] of the turned kernel."""
    b, f, t = _pixels_of(tl.program_id(0), F, T, TILE_F, TILE_T)
    n = tl.arange(0, BLOCK_N)
    K: tl.constexpr = KF * KT * C
    pixel = (b * F + f) * T + t
    total = tl.full((TILE_F * TILE_T, BLOCK_N), 0.0, tl.float32)
    works = True
    if GATED:
        works = tl.load(gate + b) != 0
    if works:
        for start in tl.static_range(0, K, BLOCK_K):  # pyright: ignore[reportGeneralTypeIssues]
            k = start + tl.arange(0, BLOCK_K)
            patches = _patches(x, pixel, f, t, k, F, T, C, STRIDE, KF, KT)
            if TRANSPOSED:
                at = ((k % C) * (KF * KT) + KF * KT - 1 - k // C)[:, None] * N + n[None, :]
            else:
                at = k[:, None] + n[None, :] * K
            weight = tl.load(w + at, mask=(k < K)[:, None] & (n < N)[None, :], other=0.0)
            total = tl.dot(patches, weight, total)
        if BIASED:
            total += tl.load(bias + n, mask=n < N, other=0.0)[None, :]
        if CRELU:
            total = tl.maximum(total, 0.0)
    mask = ((f < F) & (t < T))[:, None] & (n < N)[None, :]
    tl.store(y + pixel[:, None] * N + n[None, :], total.to(y.dtype.element_ty), mask=mask)


@jit(do_not_specialize=["F", "T", "tiles", "parts"])
def _kernel_gradient_kernel(
    x, g, gate, partial, F, T, tiles, parts,
    C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, G_STRIDE: tl.constexpr,
    KF: tl.constexpr, KT: tl.constexpr, GATED: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, TILE_F: tl.constexpr, TILE_T: tl.constexpr,
):  # fmt: skip
    """One row of partial [samples * parts, N, taps * C]: a sum over some tiles of a sample."""
    row = tl.program_id(1)
    k = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    n = tl.arange(0, BLOCK_N)
    K: tl.constexpr = KF * KT * C
    each = (tiles + parts - 1) // parts
    first = row % parts * each
    last = tl.minimum(first + each, tiles)
    if GATED:
        last = tl.where(tl.load(gate + row // parts) != 0, last, first)
    total = tl.full((BLOCK_K, BLOCK_N), 0.0, tl.float32)
    for tile in range(row // parts * tiles + first, row // parts * tiles + last):
        b, f, t = _pixels_of(tile, F, T, TILE_F, TILE_T)
        pixel = (b * F + f) * T + t
        patches = _patches(x, pixel, f, t, k, F, T, C, STRIDE, KF, KT)
        mask = ((f < F) & (t < T))[:, None] & (n < N)[None, :]
        gradient = tl.load(g + pixel[:, None] * G_STRIDE + n[None, :], mask=mask, other=0.0)
        total = tl.dot(tl.trans(patches), gradient, total)
    at = (row * N + n)[None, :] * K + k[:, None]
    tl.store(partial + at, total, mask=(k < K)[:, None] & (n < N)[None, :])


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    gate: Tensor | None = None,
    *,
    crelu: bool = False,
    transposed: bool = False,
    tiling: Tiling | None = None,
) -> Tensor:
    """Convolution [B, Cout, F, T] of a map [B, Cin, F, T]; no autograd.

    With `transposed`, of an output gradient [B, Cout, F, T] with the kernel turned by half a turn
    and its channels exchanged: the input gradient. `tiling` overrides the one chosen here; the rest
    is as in `narrow_conv2d`.
    """
    x, stride = pixel_rows(x)
    batch, channels, rows, columns = x.shape
    kernel_f, kernel_t = kernel.shape[2:]
    out = kernel.shape[1 if transposed else 0]
    y, _ = pixel_rows(x.new_empty(batch, rows, columns, out).permute(0, 3, 1, 2))
    tiling = tiling or forward_tiling(channels, channels * kernel_f * kernel_t)
    weight = kernel.permute(0, 2, 3, 1).contiguous()
    launch(
        _convolve_kernel, (batch * tiling.tiles(rows, columns),), tiling, x, weight,
        weight if bias is None else bias, weight if gate is None else gate, y, rows, columns,
        C=channels, STRIDE=stride, N=out, KF=kernel_f, KT=kernel_t, TRANSPOSED=transposed,
        BIASED=bias is not None, CRELU=crelu, GATED=gate is not None,
    )  # fmt: skip
    return y


def kernel_gradient(
    x: Tensor,
    grad: Tensor,
    size: tuple[int, int],
    gate: Tensor | None = None,
    tiling: Tiling | None = None,
) -> Tensor:
    """Gradient of the kernel [Cout, Cin, *size], channels last in memory; no autograd.

    From the map [B, Cin, F, T] and the output gradient [B, Cout, F, T]; `tiling` overrides the
    one chosen here.
    """
    (x, stride), (grad, grad_stride) = pixel_rows(x), pixel_rows(grad)
    batch, channels, rows, columns = x.shape
    out, width = grad.shape[1], channels * size[0] * size[1]
    tiling = tiling or gradient_tiling(width)
    tiles = tiling.tiles(rows, columns)
    parts = max(1, min(tiling.splits // batch, tiles))
    partial = x.new_empty(batch * parts, out, width, dtype=torch.float32)
    launch(
        _kernel_gradient_kernel, (-(-width // tiling.block_k), batch * parts), tiling, x, grad,
        x if gate is None else gate, partial, rows, columns, tiles, parts,
        C=channels, STRIDE=stride, N=out, G_STRIDE=grad_stride, KF=size[0], KT=size[1],
        GATED=gate is not None,
    )  # fmt: skip
    return sum_splits(partial, x.dtype).unflatten(1, (*size, channels)).permute(0, 3, 1, 2)


def _is_ours(kernel: Tensor, gate: Tensor | None) -> bool:
    """Whether a library's convolution is slower; its kernel gradient is at more channels, too."""
    return kernel.shape[0] * kernel.shape[1] <= (512 if gate is None else 1024)


def _same(kernel: Tensor) -> tuple[int, int]:
    return kernel.shape[2] // 2, kernel.shape[3] // 2


def by_library(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the convolution as the GPU's library computes it, [B, Cout, F, T]."""
    return conv2d(x, kernel, padding=_same(kernel))


def map_gradient_by_library(grad: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Return the gradient of the map `x`, [B, Cin, F, T], as the GPU's library computes it."""
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad, x, kernel, None, (1, 1), _same(kernel), (1, 1), False, (0, 0), 1,
        (True, False, False),
    )  # fmt: skip
    return found[0]


class _NarrowConv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None, gate: Tensor | None, crelu: bool
    ) -> Tensor:
        if _is_ours(kernel, gate):
            y = convolve(x, kernel, bias, gate, crelu=crelu)
        else:
            y = by_library(x, kernel)
            y = y if bias is None else biased(y, bias, crelu=crelu)
        ctx.crelu, ctx.biased = crelu, bias is not None
        ctx.save_for_backward(x, kernel, gate, y if crelu else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, kernel, gate, y = ctx.saved_tensors
        dx = dkernel = dbias = None
        if ctx.biased:
            grad, dbias = bias_gradients(y, grad)
        if ctx.needs_input_grad[0] and _is_ours(kernel, gate):
            dx = convolve(grad, kernel, gate=gate, transposed=True)
        elif ctx.needs_input_grad[0]:
            dx = map_gradient_by_library(grad, x, kernel)
        if ctx.needs_input_grad[1]:
            dkernel = kernel_gradient(x, grad, (kernel.shape[2], kernel.shape[3]), gate)
        return dx, dkernel, dbias, None, None


def narrow_conv2d(
    x: Tensor,
    kernel: Tensor,
    padding: tuple[int, int],
    bias: Tensor | None = None,
    *,
    crelu: bool = False,
    gate: Tensor | None = None,
) -> Tensor:
    """What `F.conv2d(x, kernel, bias, padding=padding)` computes, with few channels on large maps.

    Differentiable once; makes no copy, and can be captured in a CUDA graph after a first call.

    Args:
        x: Map [B, Cin, F, T], bfloat16, channels last in memory (other layouts are copied); may be
            a slice of the channels of such a map.
        kernel: [Cout, Cin, kF, kT], bfloat16, kF and kT odd, channels last in memory.
        padding: kF // 2 and kT // 2: the output has the size of the map.
        bias: float32 [Cout].
        crelu: Whether negative values become zero.
        gate: float32 [B], contiguous. Where it is zero the output is not needed and zero, and its
            gradient must be zero.

    Returns:
        [B, Cout, F, T], bfloat16, channels last in memory.

    Raises:
        ValueError: another type, padding or even kernel, more than `MAX_CHANNELS` channels, or a
            map too large for 32-bit offsets.
    """
    sides = (kernel.shape[2], kernel.shape[3])
    if x.dtype != torch.bfloat16 or kernel.dtype != torch.bfloat16:
        raise ValueError(f"Map and kernel must be bfloat16, not {x.dtype} and {kernel.dtype}.")
    if any(side % 2 == 0 for side in sides) or tuple(padding) != (sides[0] // 2, sides[1] // 2):
        raise ValueError(f"A kernel of {sides} with padding {padding} changes the map's size.")
    if x.shape[1] != kernel.shape[1] or max(kernel.shape[:2]) > MAX_CHANNELS:
        raise ValueError(f"Maps of {x.shape[1]} channels do not fit {tuple(kernel.shape)}.")
    y: Tensor = _NarrowConv2d.apply(x, kernel, bias, gate, crelu)  # type: ignore[assignment]
    return y
