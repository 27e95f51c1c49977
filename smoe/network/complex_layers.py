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


def on_gpu(x: Tensor) -> bool:
    """Whether a map is held in whole lanes and computed on by the kernels of `smoe.ops.fused`."""
    return x.is_cuda


def lanes(channels: int, x: Tensor) -> int:
    """Complex channels that a map of so many is held in on the device of `x`.

    Matrix units compute in blocks: 90 real channels take more than twice the time of 96 there. The
    channels too many are zeros, behind the real and behind the imaginary ones.
    """
    if not on_gpu(x):
        return channels
    multiple = 16 if channels > 16 else 4
    return -(-channels // multiple) * multiple


def in_lanes(values: Tensor, lanes: int) -> Tensor:
    """Values of the stacked channels [2C] as values of the lanes [2 lanes], zeros in between."""
    missing = lanes - len(values) // 2
    return F.pad(values.unflatten(0, (2, -1)), (0, missing)).flatten() if missing else values


def twice(x: Tensor) -> tuple[Tensor, Tensor]:
    """A map for two uses; on a GPU their gradients are added up in one pass."""
    if not on_gpu(x):
        return x, x
    from smoe.ops import fused

    first, second = fused.fork(x, 2)
    return first, second


def stack(z: Tensor) -> Tensor:
    """Complex [B, C, F, T] to stacked real [B, 2C, F, T], channels last in memory.

    That layout spares the convolutions of CPU and GPU a reordering at every layer. For one channel
    it is the layout of the complex numbers themselves: nothing is copied.
    """
    parts = torch.view_as_real(z).permute(0, 4, 1, 2, 3).flatten(1, 2)
    return parts.contiguous(memory_format=torch.channels_last)


def unstack(x: Tensor) -> Tensor:
    """Stacked real [B, 2C, F, T] to complex, in float32 or float64."""
    x = x if x.dtype == torch.float64 else x.float()
    parts = x.unflatten(1, (2, -1)).permute(0, 2, 3, 4, 1)  # [B, C, F, T, 2]
    return torch.view_as_complex(parts.contiguous())


def stacked_kernel(
    weight: Tensor, x: Tensor, rows: int, columns: int, *, transposed: bool
) -> Tensor:
    """The real kernel [2 rows, 2 columns, kF, kT] of a complex one, for the map `x`.

    Args:
        weight: Real and imaginary kernels, [2, rows or less, columns or less, kF, kT].
        x: What is convolved.
        rows: Lanes of the output; in a transposed convolution of the input.
        columns: Lanes of the input; in a transposed convolution of the output.
        transposed: Which of the two: it conjugates the pattern.
    """
    if on_gpu(x):
        from smoe.ops import fused

        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return fused.stacked_kernel(weight, (rows, columns), transposed=transposed, dtype=dtype)
    u, v = weight
    v = -v if transposed else v
    return torch.cat([torch.cat([u, -v], 1), torch.cat([v, u], 1)], 0)


class ComplexConv2d(nn.Module):
    """Complex 2-D convolution; `weight` [2, out, in, kF, kT] holds real and imaginary kernels.

    Args:
        in_channels: Complex input channels.
        out_channels: Complex output channels.
        kernel_size: Extent along frequency and time.
        stride: Step along both axes.
        padding: Zeros added on each side of frequency and time.
        bias: Whether a complex bias is added; off before a normalisation, which would remove it.
        crelu: Whether the result goes through a CReLU.
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
        crelu: bool = False,
    ):
        super().__init__()
        self.stride, self.padding, self.crelu = stride, padding, crelu
        self.weight = nn.Parameter(torch.zeros(2, out_channels, in_channels, *kernel_size))
        self.bias = nn.Parameter(torch.zeros(2 * out_channels)) if bias else None

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Stacked [B, 2 in, F, T] to stacked [B, 2 out, F', T'].

        What becomes of samples whose `gate` [B] is zero does not matter: a GPU leaves them out.
        """
        if on_gpu(x):
            return self.by_kernels(x, gate)
        if self.bias is not None:
            from smoe.ops import folded

            if folded.folds(x, training=self.training):
                return folded.convolve(x, self)
        y = F.conv2d(x, self.kernel(x), self.bias, self.stride, self.padding)
        return F.relu(y, inplace=True) if self.crelu else y

    def by_kernels(self, x: Tensor, gate: Tensor | None = None, *, biased: bool = True) -> Tensor:
        """The same in lanes; without the bias, if it is added later and together with others."""
        from smoe.ops import fused

        kernel, bias = self.kernel(x), self.bias if biased else None
        bias = None if bias is None else in_lanes(bias, len(kernel) // 2)
        return fused.convolve(
            x, kernel, self.stride, self.padding, bias, crelu=self.crelu, gate=gate
        )

    def kernel(self, x: Tensor) -> Tensor:
        """The real kernel [2 out, 2 in, kF, kT] for the map `x`."""
        rows, columns = lanes(self.weight.shape[1], x), x.shape[1] // 2
        return stacked_kernel(self.weight, x, rows, columns, transposed=False)


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
        if on_gpu(x):
            from smoe.ops import fused

            return fused.upsample(x, self.kernel(x), size)
        missing = (size[0] - 2 * x.shape[-2], size[1] - 2 * x.shape[-1])
        return F.conv_transpose2d(x, self.kernel(x), None, stride=2, output_padding=missing)

    def kernel(self, x: Tensor) -> Tensor:
        """The real kernel [2 in, 2 out, 2, 2] for the map `x`."""
        columns = lanes(self.weight.shape[2], x)
        return stacked_kernel(self.weight, x, x.shape[1] // 2, columns, transposed=True)


class NormCReLU(nn.BatchNorm2d):
    """Batch normalisation of real and imaginary parts, each on its own, then CReLU.

    Not the complex whitening of Trabelsi et al.: the two parts of a channel keep their correlation.
    CReLU is the ReLU of both parts (their section 3.4).
    """

    def __init__(self, channels: int):
        super().__init__(2 * channels)

    def forward(self, input: Tensor) -> Tensor:
        """Stacked [B, 2C, F, T] to the same."""
        if not on_gpu(input):
            return F.relu(super().forward(input), inplace=True)
        if self.training:
            from smoe.ops import fused

            return fused.norm_crelu(input, self)
        assert self.running_mean is not None and self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        scale, shift = (in_lanes(x, input.shape[1] // 2)[:, None, None] for x in (scale, shift))
        return F.relu(torch.addcmul(shift.to(input.dtype), input, scale.to(input.dtype)))
