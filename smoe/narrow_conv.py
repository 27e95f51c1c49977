"""2-D convolution of maps with few channels and very many pixels, for the GPU (Triton).

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
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

MAX_CHANNELS = 64
_SUM_COLUMNS = 16
_jit: Any = triton.jit  # its type hints know neither launch options nor integers as constants


class Tiling(NamedTuple):
    """How a kernel is cut up; every extent a power of two.

    `tile_f` x `tile_t` pixels and `block_k` columns of the patch matrix at a time; `splits` is the
    number of partial sums of the kernel gradient (1 elsewhere).
    """

    tile_f: int
    tile_t: int
    block_k: int
    num_warps: int
    num_stages: int = 1
    splits: int = 1


@_jit
def _pixels_of(tile, F, T, TILE_F: tl.constexpr, TILE_T: tl.constexpr):
    """Sample b, and rows f and columns t [TILE_F * TILE_T] of one tile; some may lie outside."""
    across = (T + TILE_T - 1) // TILE_T
    down = (F + TILE_F - 1) // TILE_F
    lane = tl.arange(0, TILE_F * TILE_T)
    f = (tile // across) % down * TILE_F + lane // TILE_T
    t = tile % across * TILE_T + lane % TILE_T
    return tile // (across * down), f, t


@_jit
def _patches(
    x, b, f, t, k, F, T, C: tl.constexpr, STRIDE: tl.constexpr, KF: tl.constexpr, KT: tl.constexpr
):
    """Columns k = tap * C + channel of the patches around the pixels (b, f, t); zeros outside."""
    shift_f = k // (KT * C) - KF // 2
    shift_t = k // C % KT - KT // 2
    row = f[:, None] + shift_f[None, :]
    column = t[:, None] + shift_t[None, :]
    inside = (row >= 0) & (row < F) & (column >= 0) & (column < T)
    pixel = (b * F + f) * T + t
    step = (shift_f * T + shift_t) * STRIDE + k % C
    mask = inside & (k < KF * KT * C)[None, :]
    return tl.load(x + pixel[:, None] * STRIDE + step[None, :], mask=mask, other=0.0)


@_jit(do_not_specialize=["F", "T"])
def _convolve_kernel(
    x, w, y, F, T,
    C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, KF: tl.constexpr, KT: tl.constexpr,
    TRANSPOSED: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    TILE_F: tl.constexpr, TILE_T: tl.constexpr,
):  # fmt: skip
    """One tile of y [pixels, N]; w is [N, taps, C], or [C, taps, N] of the turned kernel."""
    b, f, t = _pixels_of(tl.program_id(0), F, T, TILE_F, TILE_T)
    n = tl.arange(0, BLOCK_N)
    K: tl.constexpr = KF * KT * C
    total = tl.full((TILE_F * TILE_T, BLOCK_N), 0.0, tl.float32)
    for start in tl.static_range(0, K, BLOCK_K):  # pyright: ignore[reportGeneralTypeIssues]
        k = start + tl.arange(0, BLOCK_K)
        patches = _patches(x, b, f, t, k, F, T, C, STRIDE, KF, KT)
        if TRANSPOSED:
            at = ((k % C) * (KF * KT) + KF * KT - 1 - k // C)[:, None] * N + n[None, :]
        else:
            at = k[:, None] + n[None, :] * K
        weight = tl.load(w + at, mask=(k < K)[:, None] & (n < N)[None, :], other=0.0)
        total = tl.dot(patches, weight, total)
    pixel = (b * F + f) * T + t
    mask = ((f < F) & (t < T))[:, None] & (n < N)[None, :]
    tl.store(y + pixel[:, None] * N + n[None, :], total.to(y.dtype.element_ty), mask=mask)


@_jit(do_not_specialize=["F", "T", "tiles"])
def _kernel_gradient_kernel(
    x, g, partial, F, T, tiles,
    C: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, G_STRIDE: tl.constexpr,
    KF: tl.constexpr, KT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    TILE_F: tl.constexpr, TILE_T: tl.constexpr,
):  # fmt: skip
    """One row of partial [splits, N, taps * C]: a sum over some tiles, for one block of columns."""
    split = tl.program_id(1)
    k = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    n = tl.arange(0, BLOCK_N)
    K: tl.constexpr = KF * KT * C
    per_split = (tiles + tl.num_programs(1) - 1) // tl.num_programs(1)
    total = tl.full((BLOCK_K, BLOCK_N), 0.0, tl.float32)
    for tile in range(split * per_split, min((split + 1) * per_split, tiles)):
        b, f, t = _pixels_of(tile, F, T, TILE_F, TILE_T)
        patches = _patches(x, b, f, t, k, F, T, C, STRIDE, KF, KT)
        pixel = (b * F + f) * T + t
        mask = ((f < F) & (t < T))[:, None] & (n < N)[None, :]
        gradient = tl.load(g + pixel[:, None] * G_STRIDE + n[None, :], mask=mask, other=0.0)
        total = tl.dot(tl.trans(patches), gradient, total)
    at = (split * N + n)[None, :] * K + k[:, None]
    tl.store(partial + at, total, mask=(k < K)[:, None] & (n < N)[None, :])


@_jit
def _add(a, b):
    return a + b


@_jit
def _sum_kernel(partial, out, SIZE: tl.constexpr, SPLITS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sums partial [SPLITS, SIZE] over its rows, to out [SIZE]."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    at = tl.arange(0, SPLITS)[:, None] * SIZE + column[None, :]
    rows = tl.load(partial + at, mask=(column < SIZE)[None, :], other=0.0)
    total = tl.reduce(rows, 0, _add)
    tl.store(out + column, total.to(out.dtype.element_ty), mask=column < SIZE)


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _pixel_rows(x: Tensor) -> tuple[Tensor, int]:
    """The map with channels side by side, copied only if they are not; elements between pixels."""
    _, channels, rows, columns = x.shape
    stride = x.stride(3) if columns > 1 else channels
    apart = (rows * columns * stride, 1, columns * stride, stride)
    fits = all(n == 1 or s == a for n, s, a in zip(x.shape, x.stride(), apart, strict=True))
    if not fits or stride < channels:
        x, stride = x.contiguous(memory_format=torch.channels_last), channels
    if x.numel() // channels * stride >= 2**31:
        raise ValueError(f"A map of shape {tuple(x.shape)} is too large for 32-bit offsets.")
    return x, stride


def _tiles(x: Tensor, tiling: Tiling) -> int:
    batch, _, rows, columns = x.shape
    return batch * -(-rows // tiling.tile_f) * -(-columns // tiling.tile_t)


# The fastest of some twenty each on an H200, at 16 and 32 channels and 773 000 pixels.
def _forward_tiling(channels: int, width: int) -> Tiling:
    if channels == 16:
        return Tiling(8, 16, 16, 2)
    return Tiling(8, 16, min(32, max(16, _power_of_two(width))), 4)


def _gradient_tiling(width: int) -> Tiling:
    return Tiling(8, 16, min(64, max(16, _power_of_two(width))), 4, num_stages=3, splits=256)


def _launch(kernel: Any, grid: tuple[int, ...], tiling: Tiling, *args: Any, **sizes: int) -> None:
    """Starts a kernel with the constants of its tiling; `N` is the number of output channels."""
    kernel[grid](
        *args, **sizes, BLOCK_N=max(16, _power_of_two(sizes["N"])), BLOCK_K=tiling.block_k,
        TILE_F=tiling.tile_f, TILE_T=tiling.tile_t,
        num_warps=tiling.num_warps, num_stages=tiling.num_stages,
    )  # fmt: skip


def convolve(
    x: Tensor, kernel: Tensor, transposed: bool = False, tiling: Tiling | None = None
) -> Tensor:
    """Convolution [B, Cout, F, T] of a map [B, Cin, F, T]; no autograd.

    With `transposed`, of an output gradient [B, Cout, F, T] with the kernel turned by half a turn
    and its channels exchanged: the input gradient. `tiling` overrides the one chosen here.
    """
    x, stride = _pixel_rows(x)
    batch, channels, rows, columns = x.shape
    kernel_f, kernel_t = kernel.shape[2:]
    out = kernel.shape[1 if transposed else 0]
    y, _ = _pixel_rows(x.new_empty(batch, rows, columns, out).permute(0, 3, 1, 2))
    tiling = tiling or _forward_tiling(channels, channels * kernel_f * kernel_t)
    weight = kernel.permute(0, 2, 3, 1).contiguous()
    _launch(
        _convolve_kernel, (_tiles(x, tiling),), tiling, x, weight, y, rows, columns,
        C=channels, STRIDE=stride, N=out, KF=kernel_f, KT=kernel_t, TRANSPOSED=transposed,
    )  # fmt: skip
    return y


def kernel_gradient(
    x: Tensor, grad: Tensor, size: tuple[int, int], tiling: Tiling | None = None
) -> Tensor:
    """Gradient of the kernel [Cout, Cin, *size], channels last in memory; no autograd.

    From the map [B, Cin, F, T] and the output gradient [B, Cout, F, T]; `tiling` overrides the
    one chosen here.
    """
    (x, stride), (grad, grad_stride) = _pixel_rows(x), _pixel_rows(grad)
    _, channels, rows, columns = x.shape
    out, width = grad.shape[1], channels * size[0] * size[1]
    tiling = tiling or _gradient_tiling(width)
    tiles = _tiles(x, tiling)
    splits = min(tiling.splits, _power_of_two(tiles))
    partial = x.new_empty(splits, out, width, dtype=torch.float32)
    grid = (-(-width // tiling.block_k), splits)
    _launch(
        _kernel_gradient_kernel, grid, tiling, x, grad, partial, rows, columns, tiles,
        C=channels, STRIDE=stride, N=out, G_STRIDE=grad_stride, KF=size[0], KT=size[1],
    )  # fmt: skip
    gradient = x.new_empty(out, *size, channels)
    _sum_kernel[(-(-out * width // _SUM_COLUMNS),)](
        partial, gradient, SIZE=out * width, SPLITS=splits, COLUMNS=_SUM_COLUMNS
    )
    return gradient.permute(0, 3, 1, 2)


def _is_narrow(kernel: Tensor) -> bool:
    """Whether a library's convolution is slower; its kernel gradient is at more channels, too."""
    return kernel.shape[0] * kernel.shape[1] <= 512


def _same(kernel: Tensor) -> tuple[int, int]:
    return kernel.shape[2] // 2, kernel.shape[3] // 2


class _NarrowConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        if _is_narrow(kernel):
            return convolve(x, kernel)
        return conv2d(x, kernel, padding=_same(kernel))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore
        x, kernel = ctx.saved_tensors
        size, dx = (kernel.shape[2], kernel.shape[3]), None
        if ctx.needs_input_grad[0] and _is_narrow(kernel):
            dx = convolve(grad, kernel, transposed=True)
        elif ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(
                grad, x, kernel, None, (1, 1), _same(kernel), (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0]  # fmt: skip
        return dx, kernel_gradient(x, grad, size) if ctx.needs_input_grad[1] else None


def narrow_conv2d(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    """What `F.conv2d(x, kernel, padding=padding)` computes, for few channels on a large map.

    Differentiable once; makes no copy, and can be captured in a CUDA graph after a first call.

    Args:
        x: Map [B, Cin, F, T], bfloat16, channels last in memory (other layouts are copied); may be
            a slice of the channels of such a map.
        kernel: [Cout, Cin, kF, kT], bfloat16, kF and kT odd, channels last in memory.
        padding: kF // 2 and kT // 2: the output has the size of the map.

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
    return _NarrowConv2d.apply(x, kernel)
