"""Cost by arithmetic against the built network."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from smoe.config import POSITIONS, SAMPLE_RATE, ModelConfig
from smoe.network.cost import REFERENCE_SAMPLES, cost, match_dense
from smoe.network.unet import SpeechEnhancer
from smoe.training.memory import activation_bytes, saved_bytes

SECONDS = REFERENCE_SAMPLES / SAMPLE_RATE
VARIANTS = [
    {"smoe_layer_positions": ()},
    *({"smoe_layer_positions": (position,)} for position in POSITIONS),
    {},
    {"router_scope": "per_layer"},
    {"routing": "uniform"},
    {"n_experts": 3, "expert_hidden_multiplier": 1.5},
    {"n_layers": 4, "init_channels": 3},
    {"level_channels": (2, 3, 5, 7, 6)},
]


def macs_counted(config: ModelConfig) -> float:
    """What torch counts while one signal of 3 s is enhanced, as MACs per second.

    In double precision, since it does not know the operators of `smoe.ops.folded`.
    """
    enhancer = SpeechEnhancer(config).double().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator = torch.Generator().manual_seed(0)
        enhancer(torch.randn(1, REFERENCE_SAMPLES, generator=generator, dtype=torch.float64))
    return counter.get_total_flops() / 2 / SECONDS


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_parameters_and_macs_of_the_built_network(fields: dict) -> None:
    """Parameters exactly; MACs as torch's own counter sees the convolutions."""
    config = ModelConfig(**{"init_channels": 2, **fields})
    expected = cost(config)
    network = SpeechEnhancer(config)
    assert sum(p.numel() for p in network.parameters()) == expected.params
    assert macs_counted(config) == pytest.approx(expected.macs_per_s, rel=1e-6)


def test_single_expert_counts_the_chosen_one() -> None:
    """The mean over experts: what the network computes if each is chosen once."""
    config = ModelConfig(init_channels=4, enable_multi_expert=False)
    counts = []
    for chosen in range(2):
        enhancer = SpeechEnhancer(config).double().eval()
        one_hot = torch.eye(2)[[chosen]]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            noisy = torch.randn(1, REFERENCE_SAMPLES, dtype=torch.float64)
            enhancer(noisy, intervention=lambda _, w=one_hot: w)
        counts.append(counter.get_total_flops() / 2 / SECONDS)
    assert sum(counts) / 2 == pytest.approx(cost(config).macs_per_s, rel=1e-6)
    multi = cost(config.model_copy(update={"enable_multi_expert": True}))
    assert multi.params == cost(config).params
    dense = cost(config.model_copy(update={"smoe_layer_positions": ()}))
    routed = cost(config).macs_per_s - dense.macs_per_s
    assert 0.5 < routed / (multi.macs_per_s - dense.macs_per_s) < 0.55  # the router is there anyway


@pytest.mark.parametrize("init_channels", [4, 8, 16, 45])
@pytest.mark.parametrize("quantity", ["params", "macs_per_s"])
def test_dense_controls_match(init_channels: int, quantity: str) -> None:
    """Within 1 % of the full S-MoE's parameters or MACs, without any expert."""
    full = ModelConfig(init_channels=init_channels)
    dense = match_dense(full, quantity)  # type: ignore[arg-type]
    assert dense.smoe_layer_positions == ()
    assert getattr(cost(dense), quantity) == pytest.approx(getattr(cost(full), quantity), rel=0.01)


def test_matching_says_when_it_cannot() -> None:
    """Three levels of one or two channels: no rounding comes near."""
    with pytest.raises(ValueError, match="within 1 %"):
        match_dense(ModelConfig(init_channels=1, n_layers=3), "macs_per_s")


def test_router_is_small() -> None:
    """Under 2 % of the MACs of the network that it routes, from width 8 on."""
    for init_channels in (8, 45):
        config = ModelConfig(init_channels=init_channels)
        uniform = config.model_copy(update={"routing": "uniform"})
        router = cost(config).macs_per_s - cost(uniform).macs_per_s
        assert 0 < router < 0.02 * cost(config).macs_per_s


def test_activation_memory_is_what_autograd_keeps() -> None:
    """Bytes of distinct tensors saved for the backward pass, no parameter among them.

    Held against a bound from the shapes: every convolution keeps its input and every norm its own,
    so the full-resolution maps alone set a floor; twice the batch keeps twice as much.
    """
    config = ModelConfig(init_channels=2, n_layers=3)
    one, two = (activation_bytes(config, batch_size=b, samples=16_000) for b in (3, 6))
    assert two / one == pytest.approx(2, rel=0.02)
    full_resolution_map = 3 * 2 * 2 * 257 * 63 * 4
    assert one > 6 * full_resolution_map
    dense = config.model_copy(update={"smoe_layer_positions": ()})
    assert activation_bytes(dense, batch_size=3, samples=16_000) < one


def test_activation_memory_of_one_convolution() -> None:
    """By hand: a convolution keeps its input; its kernel is no activation."""
    layer, x = nn.Conv2d(3, 5, 3, padding=1), torch.randn(2, 3, 8, 8)

    def forward() -> Tensor:
        return layer(x)

    assert saved_bytes(layer, forward) == x.numel() * 4
