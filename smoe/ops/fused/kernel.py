"""The stacked real kernel of a complex one, in the convolution's precision and layout, at once."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from smoe.ops.fused.tiles import jit

COLUMNS = 32  # of one row that a program builds, with all their taps


@jit
def _stacked(
    weight, kernel, rows, columns, taps, row_lanes, column_lanes, sign,
    COLUMNS: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """Writes kernel [2 row_lanes, taps, 2 column_lanes] of weight [2, rows, columns, taps]."""
    row = tl.program_id(0)
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[:, None]
    tap = tl.arange(0, TAPS)[None, :]
    given = (row < rows) & (column < columns) & (tap < taps)
    source = weight + (row * columns + column) * taps + tap
    u = tl.load(source, mask=given, other=0.0)
    v = tl.load(source + rows * columns * taps, mask=given, other=0.0)
    inside = (column < column_lanes) & (tap < taps)
    upper = kernel + (row * taps + tap) * 2 * column_lanes + column
    lower = upper + row_lanes * taps * 2 * column_lanes
    dtype = kernel.dtype.element_ty
    tl.store(upper, u.to(dtype), mask=inside)
    tl.store(upper + column_lanes, (sign * v).to(dtype), mask=inside)
    tl.store(lower, (-sign * v).to(dtype), mask=inside)
    tl.store(lower + column_lanes, u.to(dtype), mask=inside)


@jit
def _stacked_backward(
    dkernel, dweight, rows, columns, taps, row_lanes, column_lanes, sign,
    row_stride, column_stride, frequency_stride, time_stride, taps_in_time,
    COLUMNS: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """Writes dweight [2, rows, columns, taps], from a gradient of the kernel of any strides."""
    row = tl.program_id(0)
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[:, None]
    tap = tl.arange(0, TAPS)[None, :]
    inside = (column < columns) & (tap < taps)
    upper = dkernel + row * row_stride + column * column_stride
    upper += tap // taps_in_time * frequency_stride + tap % taps_in_time * time_stride
    lower, right = upper + row_lanes * row_stride, column_lanes * column_stride
    du = tl.load(upper, mask=inside, other=0).to(tl.float32)
    du += tl.load(lower + right, mask=inside, other=0).to(tl.float32)
    dv = tl.load(upper + right, mask=inside, other=0).to(tl.float32)
    dv -= tl.load(lower, mask=inside, other=0).to(tl.float32)
    target = dweight + (row * columns + column) * taps + tap
    tl.store(target, du, mask=inside)
    tl.store(target + rows * columns * taps, sign * dv, mask=inside)


class _StackedKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, lanes: tuple[int, int], sign: float, dtype: torch.dtype):
        _, rows, columns, *extent = weight.shape
        kernel = torch.empty(
            (2 * lanes[0], 2 * lanes[1], *extent),
            dtype=dtype, device=weight.device, memory_format=torch.channels_last,
        )  # fmt: skip
        taps = extent[0] * extent[1]
        _stacked[lanes[0], -(-lanes[1] // COLUMNS)](
            weight, kernel, rows, columns, taps, *lanes, sign,
            COLUMNS=COLUMNS, TAPS=triton.next_power_of_2(taps),
        )  # fmt: skip
        ctx.shape, ctx.lanes, ctx.sign = weight.shape, lanes, sign
        return kernel

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dkernel: Tensor):
        _, rows, columns, *extent = ctx.shape
        dweight = torch.empty(ctx.shape, dtype=torch.float32, device=dkernel.device)
        taps = extent[0] * extent[1]
        _stacked_backward[rows, -(-columns // COLUMNS)](
            dkernel, dweight, rows, columns, taps, *ctx.lanes, ctx.sign,
            *dkernel.stride(), extent[1], COLUMNS=COLUMNS, TAPS=triton.next_power_of_2(taps),
        )  # fmt: skip
        return dweight, None, None, None


def stacked_kernel(
    weight: Tensor, lanes: tuple[int, int], *, transposed: bool, dtype: torch.dtype
) -> Tensor:
    """Real kernel [2 row lanes, 2 column lanes, kF, kT], channels last in memory.

    Args:
        weight: Complex kernel, float32 [2, rows, columns, kF, kT], contiguous. Rows are what the
            convolution gives and columns what it takes; in a transposed one the other way round.
        lanes: Complex channels of rows and columns that maps are held in; what exceeds the
            weight's gets zeros.
        transposed: Whether the kernel is one of a transposed convolution.
        dtype: Precision of the kernel.
    """
    sign = 1.0 if transposed else -1.0
    kernel: Tensor = _StackedKernel.apply(weight, lanes, sign, dtype)  # type: ignore[assignment]
    return kernel
