"""Complex layers against torch's complex arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoe.network.complex_layers import (
    ComplexConv2d,
    ComplexUpsample2d,
    NormCReLU,
    stack,
    unstack,
)
from tests.smoe.networks import relative_error


def complex_normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.complex128, generator=generator)


def test_stack_and_unstack() -> None:
    """Real parts come first; one is the inverse of the other; memory is channels last."""
    z = complex_normal(2, 3, 5, 4)
    x = stack(z)
    assert torch.equal(x, torch.cat([z.real, z.imag], dim=1))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(unstack(x), z)
    assert torch.equal(unstack(x.contiguous()), z)


def test_one_channel_is_stacked_without_a_copy() -> None:
    """Spectrogram and mask change their view only."""
    z = complex_normal(2, 1, 5, 4)
    assert stack(z).data_ptr() == z.data_ptr()
    assert unstack(stack(z)).data_ptr() == z.data_ptr()


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((3, 3), 1, (1, 1)), ((3, 7), 1, (1, 3)), ((2, 2), 2, (0, 0))]
)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_is_the_complex_one(
    kernel: tuple[int, int], stride: int, padding: tuple[int, int], bias: bool
) -> None:
    """Value and gradients of torch's convolution of complex tensors, to 1e-12."""
    layer = ComplexConv2d(3, 2, kernel, stride=stride, padding=padding, bias=bias).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    z = complex_normal(2, 3, 9, 8).requires_grad_()
    z_literal = z.detach().clone().requires_grad_()
    weight = torch.complex(*layer.weight.detach()).requires_grad_()
    offset = torch.complex(*layer.bias.detach().chunk(2)) if layer.bias is not None else None
    ours = unstack(layer(stack(z)))
    theirs = F.conv2d(z_literal, weight, offset, stride, padding)
    assert relative_error(ours.detach(), theirs.detach()) < 1e-12
    ours.abs().square().sum().backward()
    theirs.abs().square().sum().backward()
    assert z.grad is not None and z_literal.grad is not None
    assert layer.weight.grad is not None and weight.grad is not None
    assert relative_error(z.grad, z_literal.grad) < 1e-12
    assert relative_error(torch.complex(*layer.weight.grad), weight.grad) < 1e-12


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (6, 9), (7, 9)])
def test_upsampling_is_the_adjoint_of_the_strided_convolution(size: tuple[int, int]) -> None:
    """<up(x), y> = <x, down(y)> for the complex inner product, down having the conjugate kernel.

    That pins down the transposed convolution without using one; a row or column that the inputs
    do not reach is zero.
    """
    layer = ComplexUpsample2d(2, 3).double()
    with torch.no_grad():
        layer.weight.normal_(generator=torch.Generator().manual_seed(1))
    weight = torch.complex(*layer.weight.detach())  # [in, out, 2, 2]
    x, y = complex_normal(1, 2, 3, 4), complex_normal(1, 3, *size, seed=2)
    with torch.no_grad():
        up = unstack(layer(stack(x), size))
    down = F.conv2d(y, weight.conj(), stride=2)
    assert up.shape == y.shape
    torch.testing.assert_close((up.conj() * y).sum(), (x.conj() * down).sum())
    assert not up[:, :, 6:].any() and not up[:, :, :, 8:].any()


def test_norm_and_activation_act_on_each_part() -> None:
    """Each real and each imaginary channel gets mean 0, variance 1; negatives then become 0."""
    z = 3 * complex_normal(4, 2, 6, 5) + (1 - 2j)
    out = unstack(NormCReLU(2).double()(stack(z))).detach()
    for part, given in ((out.real, z.real), (out.imag, z.imag)):
        centred = given - given.mean((0, 2, 3), keepdim=True)
        normalised = centred / given.std((0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(part, normalised.clamp_min(0), atol=1e-5, rtol=0)
        assert (part == 0).any() and (part > 0).any()


def test_norm_uses_running_statistics_in_evaluation() -> None:
    """After many equal batches evaluation equals training, but for the unbiased variance."""
    norm, x = NormCReLU(1).double(), stack(complex_normal(4, 1, 20, 20) + 2)
    for _ in range(200):
        trained = norm(x)
    torch.testing.assert_close(norm.eval()(x), trained, rtol=1e-3, atol=1e-3)
