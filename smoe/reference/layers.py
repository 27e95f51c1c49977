"""Complex layers of the literal network: complex tensors, part by part."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ComplexConv2d(nn.Module):
    """(u + iv) * (a + ib) as four real convolutions; `weight` [2, out, in, kF, kT]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ):
        super().__init__()
        extent = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.zeros(2, out_channels, in_channels, *extent))
        self.bias = nn.Parameter(torch.zeros(2 * out_channels)) if bias else None

    def forward(self, z: Tensor) -> Tensor:
        """Complex [B, in, F, T] to complex [B, out, F', T']."""
        u, v = self.weight
        real = self._conv(z.real, u) - self._conv(z.imag, v)
        imag = self._conv(z.real, v) + self._conv(z.imag, u)
        output = torch.complex(real, imag)
        if self.bias is None:
            return output
        bias_real, bias_imag = self.bias.chunk(2)
        return output + torch.complex(bias_real, bias_imag)[:, None, None]

    def _conv(self, part: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(part, kernel, None, self.stride, self.padding)


class ComplexConvTranspose2d(nn.Module):
    """2 x 2 transposed convolution with stride 2 to a given size; `weight` [2, in, out, 2, 2]."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, in_channels, out_channels, 2, 2))

    def forward(self, z: Tensor, size: torch.Size) -> Tensor:
        """Complex [B, in, F, T] to complex [B, out, *size]."""
        missing = (size[0] - 2 * z.shape[-2], size[1] - 2 * z.shape[-1])
        u, v = self.weight

        def conv(part: Tensor, kernel: Tensor) -> Tensor:
            return F.conv_transpose2d(part, kernel, None, stride=2, output_padding=missing)

        real = conv(z.real, u) - conv(z.imag, v)
        imag = conv(z.real, v) + conv(z.imag, u)
        return torch.complex(real, imag)


class ComplexBatchNorm2d(nn.Module):
    """Batch normalisation of the real and of the imaginary part."""

    def __init__(self, channels: int):
        super().__init__()
        self.real, self.imag = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, z: Tensor) -> Tensor:
        """Complex [B, C, F, T] to the same."""
        return torch.complex(self.real(z.real), self.imag(z.imag))


class ComplexActivation(nn.Module):
    """CReLU: ReLU of the real and of the imaginary part."""

    def forward(self, z: Tensor) -> Tensor:
        """Complex [B, C, F, T] to the same."""
        return torch.complex(F.relu(z.real), F.relu(z.imag))


class EncoderBlock(nn.Module):
    """Convolution, norm, activation to the skip; strided ones to what is passed on."""

    def __init__(self, in_ch: int, out_ch: int):
        super().__init__()
        self.conv = ComplexConv2d(in_ch, out_ch, 3, padding=1, bias=False)
        self.norm = ComplexBatchNorm2d(out_ch)
        self.down = ComplexConv2d(out_ch, out_ch, 2, stride=2, bias=False)
        self.down_norm = ComplexBatchNorm2d(out_ch)
        self.act = ComplexActivation()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Complex [B, in, F, T] to skip [B, out, F, T] and [B, out, F//2, T//2]."""
        skip = self.act(self.norm(self.conv(z)))
        return skip, self.act(self.down_norm(self.down(skip)))


class DecoderBlock(nn.Module):
    """Transposed convolution, concatenation of the skip, convolution."""

    def __init__(self, in_ch: int, skip_ch: int, out_ch: int):
        super().__init__()
        self.up = ComplexConvTranspose2d(in_ch, in_ch)
        self.up_norm = ComplexBatchNorm2d(in_ch)
        self.conv = ComplexConv2d(in_ch + skip_ch, out_ch, 3, padding=1, bias=False)
        self.norm = ComplexBatchNorm2d(out_ch)
        self.act = ComplexActivation()

    def forward(self, z: Tensor, skip: Tensor) -> Tensor:
        """Complex [B, in, F, T] and skip [B, skip, F', T'] to [B, out, F', T']."""
        up = self.act(self.up_norm(self.up(z, skip.shape[-2:])))
        return self.act(self.norm(self.conv(torch.cat([up, skip], dim=1))))
