"""Evaluation on a processor: convolution, normalisation and (C)ReLU in one pass over the map.

A normalisation that has stopped learning multiplies each channel and adds to it. Both go into the
convolution before it, as factors of its kernel and as its bias; oneDNN then applies bias, a second
summand and the ReLU while it writes the map. Its operators for that are the ones that TorchInductor
compiles such chains to; torch's FLOP counter does not know them (turn `torch.backends.mkldnn` off
to count). In training, and wherever else they do not serve, every module does its part by itself.

Kernels are kept the way oneDNN wants them, beside copies of what they were made from, and are made
anew once that differs. The version counters of tensors would not do: fused optimisers and batch
normalisation write without counting.
"""

from functools import cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from smoe.network.complex_layers import ComplexConv2d, ComplexUpsample2d, NormCReLU

Convolution = ComplexConv2d | ComplexUpsample2d | nn.Conv2d


class _Folded(NamedTuple):
    """What a convolution and its normalisation come to, in one precision."""

    sources: list[Tensor]  # copies of the weights and statistics it was made from
    kernel: Tensor  # in oneDNN's own layout
    bias: Tensor | None
    padding: tuple[int, ...]
    stride: tuple[int, ...]


_kept: WeakKeyDictionary[nn.Module, dict[torch.dtype, _Folded]] = WeakKeyDictionary()


def folds(x: Tensor, *, training: bool) -> bool:
    """Whether a map is convolved by the operators of this file."""
    if training or torch.is_grad_enabled() or not x.is_cpu or torch.compiler.is_compiling():
        return False
    return torch.backends.mkldnn.enabled and _served(_precision(x))


def convolve(
    x: Tensor,
    conv: ComplexConv2d | nn.Conv2d,
    norm: nn.BatchNorm2d | None = None,
    onto: Tensor | None = None,
) -> Tensor:
    """A convolution and what follows: a normalisation with its (C)ReLU, or its own bias and CReLU.

    Args:
        x: Map [B, channels, F, T].
        conv: The convolution.
        norm: The normalisation, if there is one.
        onto: Added to the convolution before the normalisation; overwritten by the result.
    """
    if not folds(x, training=conv.training) or (onto is not None and onto.dtype != _precision(x)):
        y = conv(x) if onto is None else onto.add_(conv(x))
        return y if norm is None else norm(y)
    relu = norm is not None or (isinstance(conv, ComplexConv2d) and conv.crelu)
    return _convolved(x, _folded(conv, norm, x), relu=relu, onto=onto)


def summand(x: Tensor, conv: ComplexConv2d, norm: NormCReLU) -> Tensor:
    """A convolution that `convolve` is to add another one `onto`, before both are normalised."""
    if not folds(x, training=conv.training):
        return conv(x)
    return _convolved(x, _folded(conv, norm, x)._replace(bias=None), relu=False)


def upsample(x: Tensor, up: ComplexUpsample2d, norm: NormCReLU, size: tuple[int, int]) -> Tensor:
    """The map of twice the resolution, normalised.

    A pixel becomes 2 x 2 of them whatever its neighbours are. So this is a 1 x 1 convolution to
    four times the channels, which are then laid out side by side. A last row or column that no
    pixel reaches holds what the normalisation makes of zero.
    """
    if not folds(x, training=up.training):
        return norm(up(x, size))
    folded = _folded(up, norm, x)
    assert folded.bias is not None
    four = _convolved(x, folded, relu=True).permute(0, 2, 3, 1)  # [B, F, T, 2 * 2 * channels]
    (B, F, T, _), channels = four.shape, len(folded.bias) // 4
    y = four.new_empty(B, *size, channels)
    y[:, 2 * F :] = y[:, :, 2 * T :] = folded.bias[:channels].relu()
    blocks = y[:, : 2 * F, : 2 * T].unflatten(1, (F, 2)).unflatten(3, (T, 2))
    blocks.copy_(four.unflatten(3, (2, 2, channels)).transpose(2, 3))  # [B, F, 2, T, 2, channels]
    return y.permute(0, 3, 1, 2)


def _convolved(x: Tensor, folded: _Folded, *, relu: bool, onto: Tensor | None = None) -> Tensor:
    _, kernel, bias, padding, stride = folded
    how = (x.to(_precision(x)), kernel, bias, padding, stride, (1, 1), 1)
    if onto is None:
        plain = torch.ops.mkldnn._convolution_pointwise.default
        return plain(*how, "relu" if relu else "none", [], None)
    adding = torch.ops.mkldnn._convolution_pointwise_.binary
    return adding(onto, *how, "add", 1.0, "relu" if relu else None, [], None)


def _folded(conv: Convolution, norm: nn.BatchNorm2d | None, x: Tensor) -> _Folded:
    """What serves maps like `x`; as it was kept, if nothing has changed since."""
    affine = (norm.weight, norm.bias, norm.running_mean, norm.running_var) if norm else ()
    sources = [s for s in (conv.weight, getattr(conv, "bias", None), *affine) if s is not None]
    kept, precision = _kept.setdefault(conv, {}), _precision(x)
    if precision not in kept or not all(map(torch.equal, kept[precision].sources, sources)):
        copies = [source.detach().clone() for source in sources]
        kept[precision] = _Folded(copies, *_fold(conv, norm, x))
    return kept[precision]


def _fold(
    conv: Convolution, norm: nn.BatchNorm2d | None, x: Tensor
) -> tuple[Tensor, Tensor | None, tuple[int, ...], tuple[int, ...]]:
    """Packed kernel, bias, padding and stride."""
    if isinstance(conv, ComplexUpsample2d):  # [in, out, 2, 2] to [2 * 2 * out, in, 1, 1]
        kernel, bias = conv.kernel(x).permute(2, 3, 1, 0).flatten(0, 2)[..., None, None], None
        padding, stride = (0, 0), (1, 1)
    elif isinstance(conv, ComplexConv2d):
        kernel, bias = conv.kernel(x), conv.bias
        padding, stride = conv.padding, (conv.stride, conv.stride)
    else:
        assert not isinstance(conv.padding, str)
        kernel, bias, padding, stride = conv.weight, conv.bias, conv.padding, conv.stride
    if norm is not None:
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean if bias is None else norm.running_mean - bias
        bias = (norm.bias - mean * scale).repeat(len(kernel) // len(scale))
        kernel = kernel * scale.repeat(len(kernel) // len(scale))[:, None, None, None]
    kernel = kernel.to(_precision(x))
    kernel = torch.ops.mkldnn._reorder_convolution_weight(
        kernel, padding, stride, (1, 1), 1, x.shape
    )
    return kernel, None if bias is None else bias.to(_precision(x)), padding, stride


def _precision(x: Tensor) -> torch.dtype:
    """What a convolution of `x` computes in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


@cache
def _served(precision: torch.dtype) -> bool:
    """Whether this build and this processor have the operators in a precision."""
    mkldnn = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(mkldnn, "_convolution_pointwise_")):
        return False
    bfloat16 = precision == torch.bfloat16 and mkldnn._is_mkldnn_bf16_supported()
    return precision == torch.float32 or bfloat16
