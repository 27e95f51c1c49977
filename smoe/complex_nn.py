"""Complex layers on stacked real tensors.

A complex feature map z = a + ib with C channels is held as one real tensor [B, 2C, F, T]: the C
real parts first, then the C imaginary parts. A complex convolution is then a single real one whose
kernel repeats the complex kernel in the pattern of (a + ib)(u + iv) = (au - bv) + i(av + bu),
which keeps one large matrix product where complex arithmetic would do four small ones.
Source of the layers: Trabelsi et al., "Deep Complex Networks", ICLR 2018, sections 3.2 and 3.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def stack(z: Tensor) -> Tensor:
    """Complex [B, C, F, T] to stacked real [B, 2C, F, T], channels last in memory.

    That layout spares the convolutions of CPU and GPU a reordering at every layer. For one channel
    it is the layout of the complex numbers themselves: nothing is copied.
    """
    parts = torch.view_as_real(z).permute(0, 4, 1, 2, 3).flatten(1, 2)
    return parts.contiguous(memory_format=torch.channels_last)


def unstack(x: Tensor) -> Tensor:
    """Stacked real [B, 2C, F, T] to complex [B, C, F, T], in float32 or float64."""
    x = x if x.dtype == torch.float64 else x.float()
    parts = x.unflatten(1, (2, -1)).permute(0, 2, 3, 4, 1)  # [B, C, F, T, 2]
    return torch.view_as_complex(parts.contiguous())


class ComplexConv2d(nn.Module):
    """Complex 2-D convolution; `weight` [2, out, in, kF, kT] holds real and imaginary kernels.

    Args:
        in_channels: Complex input channels.
        out_channels: Complex output channels.
        kernel_size: Extent along frequency and time.
        stride: Step along both axes.
        padding: Zeros added on each side of frequency and time.
        bias: Whether a complex bias is added; off before a normalisation, which would remove it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        bias: bool = True,
    ):
        super().__init__()
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.zeros(2, out_channels, in_channels, *kernel_size))
        self.bias = nn.Parameter(torch.zeros(2 * out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Stacked [B, 2 in, F, T] to stacked [B, 2 out, F', T']."""
        u, v = self.weight
        kernel = torch.cat([torch.cat([u, -v], 1), torch.cat([v, u], 1)], 0)  # [2 out, 2 in, k, k]
        return F.conv2d(x, kernel, self.bias, self.stride, self.padding)


class ComplexUpsample2d(nn.Module):
    """Complex 2 x 2 transposed convolution with stride 2, to an exact output size.

    `weight` [2, in, out, 2, 2]. An odd target size gets one more row or column, which no input
    reaches (there is no bias: a normalisation follows).
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, in_channels, out_channels, 2, 2))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Stacked [B, 2 in, F, T] to stacked [B, 2 out, *size]; size is 2F or 2F+1, 2T or 2T+1."""
        u, v = self.weight
        kernel = torch.cat([torch.cat([u, v], 1), torch.cat([-v, u], 1)], 0)  # [2 in, 2 out, 2, 2]
        missing = (size[0] - 2 * x.shape[-2], size[1] - 2 * x.shape[-1])
        return F.conv_transpose2d(x, kernel, None, stride=2, output_padding=missing)


class ComponentBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of real and imaginary parts, each on its own.

    Not the complex whitening of Trabelsi et al.: the two parts of a channel keep their correlation.
    """

    def __init__(self, channels: int):
        super().__init__(2 * channels)


class CReLU(nn.ReLU):
    """ReLU of the real and of the imaginary part (Trabelsi et al. 2018, section 3.4)."""
