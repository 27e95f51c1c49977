"""The GPU's kernels against what they replace, computed here by Triton's interpreter."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.network import complex_layers, experts, unet
from smoe.network.complex_layers import in_lanes
from smoe.network.initialise import initialise
from tests.smoe.interpreter import mend

pytest.importorskip("triton", reason="this build of torch comes without Triton")
from smoe.ops import fused

# Lanes, pixels per side: one block and several, tiles that are full and that are not.
SIZES = [(8, (3, 5)), (16, (20, 31)), (96, (9, 8)), (24, (33, 17))]
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    mend(monkeypatch)
    torch.manual_seed(0)  # a value within rounding of zero may pass one ReLU and not the other


def channels_last(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


def gradients(output: Tensor, upstream: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, inputs, upstream)


def alike(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> None:
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize(("lanes", "size"), SIZES)
@pytest.mark.parametrize("sliced", [False, True])
def test_norm_crelu(lanes: int, size: tuple[int, int], sliced: bool) -> None:
    """PyTorch's batch normalisation and ReLU: output, gradients and running statistics.

    `sliced`: map and gradient are channels of wider maps, as behind a concatenation.
    """
    norm, expected = nn.BatchNorm2d(lanes), nn.BatchNorm2d(lanes)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    expected.load_state_dict(norm.state_dict())
    wide = channels_last(2, 2 * lanes, *size) * 3 + 5
    x = (
        wide[:, lanes:] if sliced else wide[:, :lanes].contiguous(memory_format=torch.channels_last)
    ).requires_grad_()
    upstream = channels_last(2, 2 * lanes, *size, seed=1)[:, :lanes]
    ours, theirs = fused.norm_crelu(x, norm), F.relu(expected(x))
    torch.testing.assert_close(ours, theirs, **CLOSE)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    alike(
        gradients(ours, upstream, x, norm.weight, norm.bias),
        gradients(theirs, upstream, x, expected.weight, expected.bias),
    )
    alike(tuple(norm.buffers()), tuple(expected.buffers()))


@pytest.mark.parametrize(("lanes", "size"), SIZES)
@pytest.mark.parametrize("crelu", [False, True])
def test_add_bias(lanes: int, size: tuple[int, int], crelu: bool) -> None:
    """Output and gradients, with and without the CReLU."""
    x, bias = channels_last(2, lanes, *size).requires_grad_(), torch.randn(lanes).requires_grad_()
    upstream = channels_last(2, lanes, *size, seed=1)
    ours, theirs = fused.add_bias(x, bias, crelu=crelu), x + bias[:, None, None]
    theirs = theirs.relu() if crelu else theirs
    torch.testing.assert_close(ours, theirs, **CLOSE)
    alike(gradients(ours, upstream, x, bias), gradients(theirs, upstream, x, bias))


@pytest.mark.parametrize(("lanes", "size"), SIZES)
@pytest.mark.parametrize("learns", [False, True])
def test_add_gated(lanes: int, size: tuple[int, int], learns: bool) -> None:
    """Output and gradients, where the gate learns and where it does not."""
    x, refined = (channels_last(3, lanes, *size, seed=s).requires_grad_() for s in (0, 1))
    bias, gate = torch.randn(lanes).requires_grad_(), torch.rand(3).requires_grad_(learns)
    upstream = channels_last(3, lanes, *size, seed=2)
    ours = fused.add_gated(x, refined, bias, gate)
    theirs = x + gate[:, None, None, None] * (refined + bias[:, None, None])
    torch.testing.assert_close(ours, theirs, **CLOSE)
    inputs = (x, refined, bias, gate) if learns else (x, refined, bias)
    alike(gradients(ours, upstream, *inputs), gradients(theirs, upstream, *inputs))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("lanes", [(3, 2), (8, 4)])
def test_stacked_kernel(transposed: bool, lanes: tuple[int, int]) -> None:
    """Four blocks as in `complex_layers`, zeros in the lanes too many; a gradient of any layout."""
    weight = torch.randn(2, 3, 2, 3, 5, requires_grad=True)
    ours = fused.stacked_kernel(weight, lanes, transposed=transposed, dtype=torch.float32)
    plain = complex_layers.stacked_kernel(weight, torch.empty(0), 3, 2, transposed=transposed)
    missing = (0, 0, 0, 0, 0, lanes[1] - 2, 0, lanes[0] - 3)
    halves = [F.pad(block, missing) for row in plain.chunk(2) for block in row.chunk(2, dim=1)]
    theirs = torch.cat([torch.cat(halves[:2], 1), torch.cat(halves[2:], 1)])
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    for layout in (torch.contiguous_format, torch.channels_last):
        upstream = torch.randn(theirs.shape).contiguous(memory_format=layout)
        torch.testing.assert_close(
            torch.autograd.grad(ours, weight, upstream, retain_graph=True),
            torch.autograd.grad(theirs, weight, upstream, retain_graph=True),
        )


@pytest.mark.parametrize("sliced", [False, True])
def test_join(sliced: bool) -> None:
    """Concatenation of maps with different numbers of lanes, and its gradients."""
    wide, other = channels_last(2, 48, 5, 7), channels_last(2, 24, 5, 7, seed=1).requires_grad_()
    x = (wide[:, 8:40] if sliced else wide).requires_grad_()
    ours, theirs = fused.join(x, other), torch.cat([x, other], dim=1)
    assert torch.equal(ours, theirs) and ours.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn(theirs.shape)
    alike(gradients(ours, upstream, x, other), gradients(theirs, upstream, x, other))


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_fork(count: int) -> None:
    """Every use is the map, and its gradient the sum of theirs, whatever their layout."""
    x = channels_last(2, 16, 5, 7).requires_grad_()
    upstream = [channels_last(2, 48, 5, 7, seed=i)[:, 16 * (i % 3) :][:, :16] for i in range(count)]
    uses = fused.fork(x, count)
    assert all(torch.equal(use, x) for use in uses)
    (found,) = torch.autograd.grad(uses, x, upstream)
    torch.testing.assert_close(found, torch.stack(upstream).sum(dim=0), **CLOSE)


@pytest.mark.parametrize("lanes", [2, 8, 96])
def test_to_mask(lanes: int) -> None:
    """The first complex channel and its bias, and the gradients of lanes and bias."""
    x, bias = channels_last(2, lanes, 33, 35).requires_grad_(), torch.randn(2).requires_grad_()
    ours = fused.to_mask(x, bias)
    theirs = torch.complex(x[:, :1] + bias[0], x[:, lanes // 2 :][:, :1] + bias[1])
    torch.testing.assert_close(ours, theirs, **CLOSE)
    turned = torch.randn(2, 1, 35, 33, dtype=torch.complex64).transpose(2, 3).conj()
    for upstream in (torch.randn_like(theirs), turned):
        alike(
            torch.autograd.grad(ours, (x, bias), upstream, retain_graph=True),
            torch.autograd.grad(theirs, (x, bias), upstream, retain_graph=True),
        )


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes networks on the CPU take the way of those on a GPU, lanes and kernels included."""
    for module in (complex_layers, unet, experts):
        monkeypatch.setattr(module, "on_gpu", lambda _: True)
    yield


CELLS = [
    {},
    {"routing": "implicit", "enable_multi_expert": False},
    {"router_scope": "per_layer", "n_experts": 3},
    {"smoe_layer_positions": ()},
    {"routing": "uniform", "mask_bound": "tanh"},
]


def run(network: nn.Module, train: bool) -> tuple[Tensor, ...]:
    network.train(train)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 1, 17, 19, dtype=torch.complex64, generator=generator)
    mask = network(x, torch.tensor([0, 2, 1]))["mask"]
    weighted = (mask * x).abs().square().sum()
    found = torch.autograd.grad(weighted, list(network.parameters()), materialize_grads=True)
    return mask, *found, *network.buffers()


@pytest.mark.parametrize(
    ("cell", "train"), [*((cell, True) for cell in CELLS), (CELLS[2], False)], ids=str
)
def test_the_way_of_the_gpu_is_the_same_network(
    cell: dict, train: bool, request: pytest.FixtureRequest
) -> None:
    """Mask, gradient of every parameter and running statistics, with lanes that stay empty."""
    config = ModelConfig(init_channels=3, n_layers=3, **cell)
    networks = unet.SMoEEnhancedUNet(config), unet.SMoEEnhancedUNet(config)
    for network in networks:
        initialise(network, seed=1)
    theirs = run(networks[0], train)
    request.getfixturevalue("as_on_gpu")
    ours = run(networks[1], train)
    for a, b in zip(ours, theirs, strict=True):
        scale = b.abs().max().clamp_min(1e-3) if b.numel() else 1
        torch.testing.assert_close(a / scale, b / scale, rtol=1e-3, atol=2e-4)


def test_values_in_lanes() -> None:
    """Real and imaginary halves each followed by zeros."""
    assert in_lanes(torch.tensor([1.0, 2, 3, 4]), 3).tolist() == [1, 2, 0, 3, 4, 0]
