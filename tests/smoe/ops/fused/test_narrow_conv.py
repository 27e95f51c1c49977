"""The narrow convolution against float64 `conv2d`, in Triton's interpreter on the CPU."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.smoe.interpreter import exact_library, mend

pytest.importorskip("triton", reason="this build of torch comes without Triton")


from smoe.ops.fused import narrow_conv as narrow
from smoe.ops.fused.tiles import pixel_rows
from smoe.ops.fused.tilings import Tiling


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    mend(monkeypatch)
    exact_library(monkeypatch)


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64).bfloat16()
    return values.to(memory_format=torch.channels_last)


def expected(x: Tensor, kernel: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, input gradient and kernel gradient of `conv2d` in float64."""
    exact, weight = (v.detach().double().requires_grad_() for v in (x, kernel))
    y = F.conv2d(exact, weight, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))
    to_map, to_kernel = torch.autograd.grad(y, (exact, weight), grad.double())
    return y, to_map, to_kernel


def assert_rounded(actual: Tensor, exact: Tensor) -> None:
    """Sums in float32 of exact products, brought to bfloat16's 8 bits (here: cut off).

    Products are of order one and at most some hundred are summed, with 24 bits each.
    """
    assert actual.dtype == torch.bfloat16 and actual.shape == exact.shape
    torch.testing.assert_close(actual.double(), exact, rtol=2**-7, atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "size", "shape"),
    [
        ((2, 16), (3, 3), (2, 9, 11)),
        ((16, 16), (3, 3), (2, 9, 17)),
        ((16, 2), (1, 1), (1, 8, 16)),
        ((24, 24), (3, 3), (1, 5, 18)),
        ((32, 5), (3, 7), (1, 9, 11)),
        ((48, 16), (1, 3), (1, 4, 3)),
        ((64, 64), (1, 3), (1, 3, 5)),
        ((1, 3), (5, 1), (3, 1, 2)),
    ],
)
def test_forward_and_gradients(channels, size, shape):
    batch, *area = shape
    x = random(batch, channels[0], *area, seed=0).requires_grad_()
    kernel = random(channels[1], channels[0], *size, seed=1).requires_grad_()
    grad = random(batch, channels[1], *area, seed=2)
    y = narrow.narrow_conv2d(x, kernel, (size[0] // 2, size[1] // 2))
    actual = (y, *torch.autograd.grad(y, (x, kernel), grad))
    for one, exact in zip(actual, expected(x, kernel, grad), strict=True):
        assert_rounded(one, exact)
        assert one.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "layout", ["slice", "channels_first", "expanded"], ids=lambda layout: layout
)
def test_layouts_of_map_and_gradient(layout):
    def laid_out(seed: int) -> Tensor:
        if layout == "slice":
            return random(2, 48, 9, 11, seed=seed)[:, 16:32]
        if layout == "channels_first":
            return random(2, 16, 9, 11, seed=seed).contiguous()
        return random(1, 16, 1, 1, seed=seed).expand(2, 16, 9, 11)

    x, grad, kernel = laid_out(0), laid_out(2), random(16, 16, 3, 3, seed=1)
    exact = expected(x, kernel, grad)
    assert_rounded(narrow.convolve(x, kernel), exact[0])
    assert_rounded(narrow.convolve(grad, kernel, transposed=True), exact[1])
    assert_rounded(narrow.kernel_gradient(x, grad, (3, 3)), exact[2])


def test_a_slice_is_read_in_place():
    x = random(2, 48, 9, 11, seed=0)[:, 16:32]
    rows, stride = pixel_rows(x)
    assert rows is x and stride == 48


@pytest.mark.parametrize(("tile_f", "tile_t", "block_k"), [(1, 16, 64), (4, 8, 16), (8, 4, 256)])
def test_every_tiling_computes_the_same(tile_f, tile_t, block_k):
    """Tiles that the map is no multiple of; several tiles, or none, in one partial sum."""
    x, grad = random(2, 16, 5, 13, seed=0), random(2, 8, 5, 13, seed=2)
    kernel = random(8, 16, 3, 3, seed=1)
    tiling = Tiling(tile_f, tile_t, block_k, 4, splits=4)
    exact = expected(x, kernel, grad)
    assert_rounded(narrow.convolve(x, kernel, tiling=tiling), exact[0])
    assert_rounded(narrow.convolve(grad, kernel, transposed=True, tiling=tiling), exact[1])
    assert_rounded(narrow.kernel_gradient(x, grad, (3, 3), tiling=tiling), exact[2])


@pytest.mark.parametrize("channels", [(16, 16), (16, 36)], ids=["ours", "library"])
@pytest.mark.parametrize("crelu", [False, True])
def test_bias_and_crelu(channels, crelu):
    """Both behind our convolution and, where a library's is faster, behind that."""
    x = random(2, channels[0], 5, 9, seed=0).requires_grad_()
    kernel = random(channels[1], channels[0], 3, 3, seed=1).requires_grad_()
    bias = (torch.arange(channels[1]) / 8).requires_grad_()
    y = narrow.narrow_conv2d(x, kernel, (1, 1), bias, crelu=crelu)
    summed = F.conv2d(x.double(), kernel.double(), padding=1)
    exact = summed + bias.double()[:, None, None]
    # A library's result is rounded once before the bias is added, and once more behind it.
    bound = 2**-7 * (summed.abs() + exact.abs()) + 1e-4
    exact = exact.relu() if crelu else exact
    assert ((y.double() - exact).abs() <= bound).all()
    grad = random(*y.shape, seed=2)
    passed = grad.double() * (y > 0) if crelu else grad.double()
    found = torch.autograd.grad(y, (x, kernel, bias), grad)
    _, to_map, to_kernel = expected(x, kernel, passed)
    assert_rounded(found[0], to_map)
    assert_rounded(found[1], to_kernel)
    torch.testing.assert_close(found[2].double(), passed.sum(dim=(0, 2, 3)), rtol=1e-4, atol=1e-4)


def test_samples_with_a_gate_of_zero_are_left_out():
    """Zeros for them; everything else, and the kernel's gradient, as if they were not there."""
    x = random(3, 16, 9, 11, seed=0)
    x[1] = torch.nan  # would show
    x.requires_grad_()
    kernel, bias = random(16, 16, 3, 3, seed=1).requires_grad_(), torch.randn(16).requires_grad_()
    y = narrow.narrow_conv2d(x, kernel, (1, 1), bias, crelu=True, gate=torch.tensor([1, 0, 0.5]))
    assert not y[1].any()
    grad = random(*y.shape, seed=2)
    grad[1] = 0
    found = torch.autograd.grad(y, (x, kernel, bias), grad)
    assert not found[0][1].any()
    rest = x.detach()[::2].clone().requires_grad_()
    same = narrow.narrow_conv2d(rest, kernel, (1, 1), bias, crelu=True)
    wanted = torch.autograd.grad(same, (rest, kernel, bias), grad[::2])
    assert torch.equal(y[::2], same) and torch.equal(found[0][::2], wanted[0])
    torch.testing.assert_close(found[1:], wanted[1:], rtol=2**-7, atol=1e-4)


def test_only_the_gradients_that_are_wanted(monkeypatch):
    x, kernel = random(1, 2, 4, 4, seed=0), random(3, 2, 3, 3, seed=1).requires_grad_()
    y = narrow.narrow_conv2d(x, kernel, (1, 1))
    monkeypatch.setattr(narrow, "convolve", None)  # the input gradient would call it
    y.backward(torch.ones_like(y))
    assert kernel.grad is not None


@pytest.mark.parametrize(
    ("x", "kernel", "padding"),
    [
        (torch.zeros(1, 4, 5, 5), torch.zeros(4, 4, 3, 3), (1, 1)),
        (torch.zeros(1, 4, 5, 5).bfloat16(), torch.zeros(4, 4, 2, 2).bfloat16(), (1, 1)),
        (torch.zeros(1, 4, 5, 5).bfloat16(), torch.zeros(4, 4, 3, 3).bfloat16(), (0, 0)),
        (torch.zeros(1, 4, 5, 5).bfloat16(), torch.zeros(65, 4, 3, 3).bfloat16(), (1, 1)),
        (torch.zeros(1, 4, 5, 5).bfloat16(), torch.zeros(4, 3, 3, 3).bfloat16(), (1, 1)),
    ],
    ids=["float32", "even", "padding", "wide", "channels"],
)
def test_refuses_what_it_cannot_do(x, kernel, padding):
    with pytest.raises(ValueError):
        narrow.narrow_conv2d(x, kernel, padding)


def test_refuses_a_map_beyond_32_bit_offsets():
    huge = torch.zeros(1, 1, 1, 1).bfloat16().expand(1, 64, 2**13, 2**13)
    wide = torch.empty(2**31, dtype=torch.bfloat16, device="meta").view(1, 2**13, 2**12, 64)
    assert huge.numel() >= 2**31
    with pytest.raises(ValueError, match="32-bit"):
        pixel_rows(wide.permute(0, 3, 1, 2))
