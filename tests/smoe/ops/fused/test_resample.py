"""Halving and doubling of narrow maps against float64 convolutions, in Triton's interpreter."""

import pytest
import torch
import torch.nn.functional as F

from tests.smoe.interpreter import mend
from tests.smoe.ops.fused.test_narrow_conv import assert_rounded, random

pytest.importorskip("triton", reason="this build of torch comes without Triton")
from smoe.ops import fused
from smoe.ops.fused import convolutions
from smoe.ops.fused.resample import double, halve

LARGE = [(2, 8, 12), (1, 33, 35), (3, 5, 4), (1, 2, 3)]
CHANNELS = [(16, 16), (8, 24)]


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    mend(monkeypatch)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("sliced", [False, True])
def test_halve(channels, shape, sliced):
    """A convolution of 2 x 2 with stride 2; an odd last row or column is not seen."""
    batch, rows, columns = shape
    wide = random(batch, 3 * channels[0], rows, columns, seed=0)
    x = wide[:, channels[0] : 2 * channels[0]] if sliced else wide[:, : channels[0]].clone()
    x.requires_grad_()
    kernel = random(channels[1], channels[0], 2, 2, seed=1).requires_grad_()
    grad = random(batch, channels[1], rows // 2, columns // 2, seed=2)
    check(halve, lambda a, b: F.conv2d(a, b, stride=2), x, kernel, grad)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("sliced", [False, True])
def test_double(channels, shape, sliced):
    """A transposed convolution of 2 x 2 with stride 2; zeros in an odd last row or column."""
    batch, rows, columns = shape
    x = random(batch, channels[0], rows // 2, columns // 2, seed=0).requires_grad_()
    kernel = random(channels[0], channels[1], 2, 2, seed=1).requires_grad_()
    wide = random(batch, 2 * channels[1], rows, columns, seed=2)
    check(
        lambda a, b: double(a, b, (rows, columns)),
        lambda a, b: F.conv_transpose2d(a, b, stride=2, output_padding=(rows % 2, columns % 2)),
        x,
        kernel,
        wide[:, channels[1] :] if sliced else wide[:, : channels[1]].clone(),
    )


def check(ours, theirs, x, kernel, grad):
    y = ours(x, kernel)
    assert y.is_contiguous(memory_format=torch.channels_last)
    exact = [v.detach().double().requires_grad_() for v in (x, kernel)]
    wanted = theirs(*exact)
    assert_rounded(y, wanted)
    found = torch.autograd.grad(y, (x, kernel), grad)
    for one, other in zip(found, torch.autograd.grad(wanted, exact, grad.double()), strict=True):
        assert_rounded(one, other)


def test_which_convolutions_are_ours(monkeypatch):
    """Few channels, many pixels and bfloat16; everything else is a library's."""
    large = torch.zeros(1, 16, 320, 320).bfloat16()
    kernel = torch.zeros(16, 16, 2, 2).bfloat16()
    called = []
    for name in ("halve", "double"):
        monkeypatch.setattr(convolutions, name, lambda *_, n=name: called.append(n))
    fused.convolve(large, kernel, 2, (0, 0))
    fused.upsample(large[:, :, ::2, ::2], kernel, (320, 320))
    assert called == ["halve", "double"]
    fused.convolve(large[:, :, :50], kernel, 2, (0, 0))
    fused.convolve(large.float(), kernel.float(), 2, (0, 0))
    fused.convolve(torch.zeros(1, 48, 320, 320).bfloat16(), kernel.repeat(1, 3, 1, 1), 2, (0, 0))
    assert called == ["halve", "double"]
