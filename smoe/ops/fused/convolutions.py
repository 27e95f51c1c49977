"""Each convolution of a stacked map by whatever is fastest for it on a GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor

from smoe.ops.fused.bias import add_bias
from smoe.ops.fused.narrow_conv import narrow_conv2d
from smoe.ops.fused.resample import double, halve

# Real channels up to which, and pixels from which on, libraries' convolutions waste a GPU's time.
NARROW, MANY_PIXELS = 32, 100_000


def convolve(
    x: Tensor,
    kernel: Tensor,
    stride: int,
    padding: tuple[int, int],
    bias: Tensor | None = None,
    *,
    crelu: bool = False,
    gate: Tensor | None = None,
) -> Tensor:
    """What `F.conv2d` computes, with a CReLU behind it if asked.

    Args:
        x: [B, Cin, F, T], channels last in memory.
        kernel: [Cout, Cin, kF, kT].
        stride: 1; or 2, with a 2 x 2 kernel.
        padding: As `F.conv2d` has it.
        bias: float32 [Cout].
        crelu: Whether negative values become zero; only with a bias.
        gate: float32 [B], contiguous; where it is zero, the output may be anything finite, and its
            gradient must be zero.
    """
    if _is_narrow(kernel, pixels=x.numel() // x.shape[1]):
        x = x.to(kernel.dtype)
        if stride == 1:
            return narrow_conv2d(x, kernel, padding, bias, crelu=crelu, gate=gate)
        return halve(x, kernel)
    y = F.conv2d(x, kernel, None, stride, padding)
    return y if bias is None else add_bias(y, bias, crelu=crelu)


def upsample(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """What `F.conv_transpose2d` with stride 2 computes; in an odd last row or column, zeros.

    Args:
        x: [B, Cin, F, T], channels last in memory.
        kernel: [Cin, Cout, 2, 2].
        size: 2F or 2F + 1, 2T or 2T + 1.
    """
    if _is_narrow(kernel, pixels=len(x) * size[0] * size[1]):
        return double(x.to(kernel.dtype), kernel, size)
    missing = (size[0] - 2 * x.shape[-2], size[1] - 2 * x.shape[-1])
    return F.conv_transpose2d(x, kernel, None, stride=2, output_padding=missing)


def _is_narrow(kernel: Tensor, pixels: int) -> bool:
    few = max(kernel.shape[:2]) <= NARROW
    return few and pixels >= MANY_PIXELS and kernel.dtype == torch.bfloat16
