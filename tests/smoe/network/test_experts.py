"""Experts as the source lists them, and how an S-MoE layer weighs them."""

import pytest
import torch
from torch import Tensor, nn

from smoe.config import POSITIONS, ModelConfig
from smoe.network.complex_layers import ComplexConv2d
from smoe.network.experts import DistortionSpecificExpert, SMoELayer
from smoe.network.initialise import initialise

CHANNELS = 3


def layer(n_experts: int = 2, position: str = "mid_encoder", **fields: bool) -> SMoELayer:
    smoe = SMoELayer(CHANNELS, position, ModelConfig(n_experts=n_experts, **fields)).double()
    initialise(smoe, 0)
    return smoe


def features(batch: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 2 * CHANNELS, 7, 9, dtype=torch.float64, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    ("kind", "full", "short"),
    [("noise", [(3, 3), (3, 3), (1, 1)], [(3, 3), (1, 1)]),
     ("reverb", [(3, 7), (3, 5), (1, 1)], [(3, 5), (1, 1)])],
)  # fmt: skip
def test_kernels_of_the_source(position: str, kind: str, full: list, short: list) -> None:
    """Section 7: kernels by kind and position, CReLU between them, none after the last."""
    expert = DistortionSpecificExpert(CHANNELS, kind, position, ModelConfig())
    convolutions = [m for m in expert if isinstance(m, ComplexConv2d)]
    kernels = [tuple(m.weight.shape[-2:]) for m in convolutions]
    assert kernels == (short if position == "bottleneck" else full)
    assert [m.crelu for m in convolutions] == [True] * (len(kernels) - 1) + [False]
    assert len(expert) == len(convolutions)


def test_hidden_width() -> None:
    """`expert_hidden_multiplier` times the input, at most 512 at the bottleneck."""
    config = ModelConfig(expert_hidden_multiplier=2.0)

    def hidden(position: str) -> int:
        return DistortionSpecificExpert(300, "noise", position, config)[0].weight.shape[1]

    with torch.device("meta"):
        assert (hidden("mid_decoder"), hidden("bottleneck")) == (600, 512)


@pytest.mark.parametrize("multi", [True, False])
def test_one_hot_weights_give_that_expert_alone(multi: bool) -> None:
    """Input + expert(input) in both modes, whether or not the weights carry a gradient."""
    smoe, x = layer(3, enable_multi_expert=multi), features()
    for index in range(3):
        weights = torch.eye(3, dtype=torch.float64)[[index] * 4]
        expected = x + smoe.experts[index](x)
        for given in (weights, weights.clone().requires_grad_()):
            torch.testing.assert_close(smoe(x, given), expected)


def test_multi_expert_is_the_weighted_sum() -> None:
    """Input + sum of weight times expert(input), per sample, weights of zero included."""
    smoe, x = layer(), features()
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.9, 0.4]], dtype=torch.float64)
    expected = torch.stack(
        [x[i] + sum(w * e(x[i : i + 1])[0] for w, e in zip(weights[i], smoe.experts, strict=True))
         for i in range(4)]
    )  # fmt: skip
    for given in (weights, weights.clone().requires_grad_()):
        torch.testing.assert_close(smoe(x, given), expected)


def test_single_expert_takes_the_largest_weight_with_factor_one() -> None:
    """Arg-max per sample; the weight itself does not scale; ties go to the lower index."""
    smoe, x = layer(3, enable_multi_expert=False), features()
    weights = torch.tensor(
        [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.0, 0.5, 0.5], [1 / 3] * 3]
    ).double()
    assert smoe.gates(weights).tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
    expected = torch.stack(
        [x[i] + smoe.experts[e](x[i : i + 1])[0] for i, e in enumerate((1, 0, 1, 0))]
    )
    torch.testing.assert_close(smoe(x, weights), expected)


def test_straight_through_gradient() -> None:
    """The value is the hard choice, the weights' gradient is <upstream, expert>, as if soft."""
    smoe, x = layer(enable_multi_expert=False), features()
    weights = (
        torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5], [0.7, 0.3]]).double().requires_grad_()
    )
    output = smoe(x, weights)
    torch.testing.assert_close(output, smoe(x, weights.detach()))
    (upstream,) = torch.autograd.grad(output.square().sum(), output)
    (gradient,) = torch.autograd.grad((output * upstream).sum(), weights)
    expected = torch.stack([(upstream * e(x)).sum((1, 2, 3)) for e in smoe.experts], dim=1)
    torch.testing.assert_close(gradient, expected)


def samples_seen(smoe: SMoELayer) -> list[int]:
    """Filled with the batch size of every call of an expert, in the order of the experts."""
    seen: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(len(inputs[0]))

    for expert in smoe.experts:
        expert.register_forward_pre_hook(note)
    return seen


def test_experts_see_only_the_samples_that_give_them_weight() -> None:
    """One call per expert with its samples: in single-expert inference, and for label weights."""
    smoe = layer(3, enable_multi_expert=False)
    seen = samples_seen(smoe)
    smoe(
        features(), torch.tensor([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [1, 0, 0]]).double()
    )
    assert seen == [3, 1]  # the third expert is not called
    smoe = layer()
    seen = samples_seen(smoe)
    smoe(features(), torch.tensor([[1, 0], [0, 1], [0.5, 0.5], [1, 0]]).double())
    assert seen == [3, 2]


def test_experts_on_some_samples_have_the_gradients_of_all() -> None:
    """Leaving out samples of weight zero changes no gradient."""
    x = features().requires_grad_()
    weights = torch.tensor([[1, 0], [0, 1], [0.5, 0.5], [1, 0]]).double()
    results = []
    for given in (weights, weights.clone().requires_grad_()):  # some samples, all samples
        smoe = layer()
        smoe(x, given).square().sum().backward()
        results.append([x.grad, *(p.grad for p in smoe.parameters())])
        x.grad = None
    for some, every in zip(*results, strict=True):
        torch.testing.assert_close(some, every)
