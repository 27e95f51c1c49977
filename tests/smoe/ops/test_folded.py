"""Folded layers of evaluation against the modules they stand for."""

import weakref
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoe.network.complex_layers import ComplexConv2d, ComplexUpsample2d, NormCReLU
from smoe.ops import folded
from smoe.ops.folded import convolve, folds, summand, upsample
from tests.smoe.networks import jitter, relative_error, spectrogram, unet

FLOAT = torch.float32
LAYERS = [  # in, out, kernel, stride, padding; the channels are complex
    (1, 4, (3, 3), 1, (1, 1)),
    (4, 8, (3, 7), 1, (1, 3)),
    (8, 8, (2, 2), 2, (0, 0)),
    (3, 5, (1, 1), 1, (0, 0)),
]
pytestmark = [
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN in this torch"),
    pytest.mark.filterwarnings("ignore:TF32 acceleration"),  # of Intel's GPUs, by mkldnn.flags
]


def ready(*modules: nn.Module) -> None:
    """Weights and statistics that leave nothing at zero or one; in evaluation mode."""
    for seed, module in enumerate(modules):
        generator = torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3, generator=generator)
        jitter(module, seed)
        module.eval()


def features(channels: int, size: tuple[int, int] = (13, 10), batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(batch, 2 * channels, *size, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


def in_double(module: nn.Module) -> Any:
    return deepcopy(module).double()


def normalised(layer: tuple) -> tuple[ComplexConv2d, NormCReLU]:
    inner, outer, kernel, stride, padding = layer
    conv = ComplexConv2d(inner, outer, kernel, stride=stride, padding=padding, bias=False)
    norm = NormCReLU(outer)
    ready(conv, norm)
    return conv, norm


def close(value: Tensor, exact: Tensor, bound: float = 1e-6) -> None:
    """Near the values in double precision, and channels last."""
    assert relative_error(value.double(), exact) < bound
    assert value.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@torch.no_grad()
def test_normalised_convolution(layer: tuple) -> None:
    conv, norm = normalised(layer)
    x = features(layer[0])
    exact = in_double(norm)(in_double(conv)(x.double()))
    assert folds(x, training=False)
    close(convolve(x, conv, norm), exact)
    assert (exact == 0).any()  # the CReLU has something to do


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("crelu", [True, False])
@torch.no_grad()
def test_convolution_with_a_bias(layer: tuple, crelu: bool) -> None:
    """Alone, and added to a map, which it overwrites."""
    inner, outer, kernel, stride, padding = layer
    conv = ComplexConv2d(inner, outer, kernel, stride=stride, padding=padding, crelu=crelu)
    ready(conv)
    x = features(inner)
    exact = in_double(conv)(x.double())
    close(conv(x), exact)
    if not crelu:
        onto = torch.randn_like(conv(x))
        exact = exact + onto
        close(convolve(x, conv, onto=onto), exact)
        close(onto, exact)


@torch.no_grad()
def test_sum_of_two_convolutions() -> None:
    """The normalisation of their sum."""
    first, norm = normalised(LAYERS[1])
    second, _ = normalised(LAYERS[1])
    nn.init.normal_(second.weight, generator=torch.Generator().manual_seed(5))
    x, skip = features(4), features(4).flip(0).contiguous(memory_format=torch.channels_last)
    exact = in_double(norm)(in_double(first)(x.double()) + in_double(second)(skip.double()))
    close(convolve(skip, second, norm, onto=summand(x, first, norm)), exact)


@pytest.mark.parametrize("size", [(26, 20), (27, 20), (26, 21), (27, 21)])
@torch.no_grad()
def test_upsampling(size: tuple[int, int]) -> None:
    """Also where a last row or column is reached by no pixel."""
    up, norm = ComplexUpsample2d(4, 3), NormCReLU(3)
    ready(up, norm)
    x = features(4)
    close(upsample(x, up, norm, size), in_double(norm)(in_double(up)(x.double(), size)))


@torch.no_grad()
def test_maps_of_another_size_and_precision() -> None:
    """What is kept serves every size; each precision has its own."""
    conv, norm = normalised(LAYERS[1])
    for size in ((13, 10), (40, 31), (1, 1)):
        for autocast in (False, True, False):
            x = features(4, size, batch=3)
            exact = in_double(norm)(in_double(conv)(x.double()))
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                y = convolve(x, conv, norm)
                by_modules = norm(conv(x))
                folded_here = folds(x, training=False)
            assert y.dtype == (torch.bfloat16 if autocast else FLOAT)
            if folded_here:
                close(y, exact, 0.02 if autocast else 1e-6)
            else:  # where bfloat16 is emulated; how well is not ours to say
                assert autocast and torch.equal(y, by_modules)


@torch.no_grad()
def test_plain_convolution_and_its_normalisation() -> None:
    """The router's layers: real channels, other strides."""
    conv = nn.Conv2d(3, 8, (3, 5), (2, 1), (1, 2))
    norm = nn.BatchNorm2d(8, eps=1e-2)
    ready(conv, norm)
    x = torch.randn(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    exact = in_double(norm)(in_double(conv)(x.double())).relu()
    assert relative_error(convolve(x, conv, norm).double(), exact) < 1e-6


def test_not_in_training_nor_with_gradients_nor_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the modules do their part, with the same bits as without this file."""
    network = unet(dtype=FLOAT)
    x = spectrogram(dtype=FLOAT)
    used = []
    convolved = folded._convolved
    monkeypatch.setattr(folded, "_convolved", lambda *a, **k: used.append(1) or convolved(*a, **k))
    network.eval()(x)["mask"].abs().sum().backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if "router" not in n)
    with torch.no_grad():
        network.train()(x)
        network.double().eval()(x.to(torch.complex128))
        network.float()
        with torch.backends.mkldnn.flags(enabled=False):
            network(x)
        with torch.autocast("cpu", torch.float16):
            assert not folds(torch.zeros(1), training=False)
    assert not used
    with torch.no_grad():
        network(x)
    assert used


def by_load(conv: ComplexConv2d, norm: NormCReLU) -> None:
    conv.load_state_dict({"weight": conv.weight + 1})


def by_assignment(conv: ComplexConv2d, norm: NormCReLU) -> None:
    conv.load_state_dict({"weight": conv.weight + 1}, assign=True)


def by_data(conv: ComplexConv2d, norm: NormCReLU) -> None:
    norm.weight.data.mul_(2)


def by_statistics(conv: ComplexConv2d, norm: NormCReLU) -> None:
    norm.train()(features(8))
    norm.eval()


def by_optimiser(conv: ComplexConv2d, norm: NormCReLU) -> None:
    optimiser = torch.optim.AdamW([*conv.parameters(), *norm.parameters()], 0.1, fused=True)
    norm(conv(features(4))).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("change", [by_load, by_assignment, by_data, by_statistics, by_optimiser])
def test_kernels_follow_the_weights(
    change: Callable[[ComplexConv2d, NormCReLU], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However these change; and as long as they do not, nothing is made anew."""
    made = []
    fold = folded._fold
    monkeypatch.setattr(folded, "_fold", lambda *a: made.append(1) or fold(*a))
    conv, norm = normalised(LAYERS[1])
    x = features(4)
    with torch.inference_mode():
        before = convolve(x, conv, norm).clone()
        assert torch.equal(convolve(x, conv, norm), before)
    assert len(made) == 1
    change(conv, norm)
    with torch.no_grad():
        after = convolve(x, conv, norm)
        close(after, in_double(norm)(in_double(conv)(x.double())))
    assert relative_error(after, before) > 1e-3
    assert len(made) == 2


@torch.no_grad()
def test_kept_kernels_go_with_their_module() -> None:
    """None is in a copy or in what is saved, and none keeps its layer alive."""
    conv, norm = normalised(LAYERS[1])
    state = deepcopy(conv.state_dict()), deepcopy(norm.state_dict())
    convolve(features(4), conv, norm)
    for before, module in zip(state, (conv, norm), strict=True):
        assert before.keys() == module.state_dict().keys()
        assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)
    assert conv in folded._kept and deepcopy(conv) not in folded._kept
    gone = weakref.ref(conv)
    del conv, module
    assert gone() is None


@pytest.mark.parametrize("multi", [True, False])
@pytest.mark.parametrize("scope", ["global", "per_layer"])
@torch.no_grad()
def test_whole_network(multi: bool, scope: str) -> None:
    """In float32 and bfloat16 as near to double precision as the modules come, or nearer.

    The bound for bfloat16 is a multiple, since both are rounding errors of the same size. Where
    bfloat16 is emulated, nothing is folded, so that there is nothing to compare.
    """
    network = unet(
        init_channels=4, n_layers=5, enable_multi_expert=multi, router_scope=scope, dtype=FLOAT
    ).eval()
    x = spectrogram(4, (65, 48), dtype=FLOAT)
    choice = torch.eye(2)[[0, 1, 0, 1]]
    state = deepcopy(network.state_dict())
    exact = in_double(network)(x.to(torch.complex128), intervention=lambda _: choice.double())
    for autocast, bound in ((False, 1e-5), (True, 0.1)):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if not folds(torch.zeros(1), training=False):
                continue
        errors = []
        for fold in (True, False):
            with (
                torch.autocast("cpu", torch.bfloat16, enabled=autocast),
                torch.backends.mkldnn.flags(enabled=fold),
            ):
                outputs = network(x, intervention=lambda _: choice)
            errors.append(relative_error(outputs["mask"].to(torch.complex128), exact["mask"]))
            assert outputs["expert_usage"]["bottleneck"].tolist() == [0.5, 0.5]
        assert errors[0] < bound
        assert errors[0] < 1.5 * errors[1] or not autocast
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("multi", [True, False])
@torch.no_grad()
def test_samples_stay_independent(multi: bool) -> None:
    """Grouped by expert or alone, and twice the same."""
    network = unet(init_channels=4, enable_multi_expert=multi, dtype=FLOAT).eval()
    x = spectrogram(5, (33, 32), dtype=FLOAT)
    for choice in ([0, 1, 1, 0, 1], [1] * 5, [1, 0, 0, 0, 0]):
        weights = torch.eye(2)[choice]
        together = network(x, intervention=lambda _, w=weights: w)["mask"]
        alone = [
            network(one, intervention=lambda _, w=w: w[None])["mask"]
            for one, w in zip(x.split(1), weights, strict=True)
        ]
        assert relative_error(together, torch.cat(alone)) < 1e-5
        again = network(x, intervention=lambda _, w=weights: w)["mask"]
        assert torch.equal(together, again)
