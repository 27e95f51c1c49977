"""What each counterfactual routing puts in the place of the learned weights."""

import pytest
import torch

from smoe.config import ModelConfig
from smoe.evaluation.counterfactuals import (
    COUNTERFACTUALS,
    Counterfactual,
    applicable,
    intervention,
)
from smoe.network.router import RoutingDecision
from smoe.network.unet import SpeechEnhancer
from tests.smoe.networks import FLAGS, spectrogram, unet

PROBABILITIES = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.0, 0.5], [0.125, 0.125, 0.75]])
PAPER = torch.tensor([[0.75, 0.25], [1.0, 0.5], [0.875, 0.875]])  # p0 + p2, p1 + p2
NORMALIZED = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]])  # p0 + p2/2, p1 + p2/2
LABELS, ROWS = torch.tensor([1, 0, 2]), torch.tensor([4, 0, 7])
MODEL = ModelConfig()


def decision(weights: torch.Tensor = PAPER) -> RoutingDecision:
    confidence = PROBABILITIES.amax(dim=1, keepdim=True)
    logits = PROBABILITIES.log()[: len(weights)]
    return {"expert_weights": weights, "confidence": confidence, "logits": logits}


def replaced(name: Counterfactual, rows: torch.Tensor = ROWS) -> list[list[float]]:
    replace = intervention(name, MODEL, LABELS, rows)
    assert replace is not None
    return replace(decision()).tolist()


def test_what_each_one_says() -> None:
    """Oracle weights are those of supervised training for the true label."""
    assert intervention("learned", MODEL, LABELS, ROWS) is None
    assert replaced("oracle") == [[0, 1], [1, 0], [0.5, 0.5]]
    assert replaced("oracle-paper") == [[0, 1], [1, 0], [1, 1]]
    torch.testing.assert_close(torch.tensor(replaced("learned-paper")), PAPER)
    torch.testing.assert_close(torch.tensor(replaced("learned-normalized")), NORMALIZED)
    assert replaced("uniform") == [[0.5, 0.5]] * 3
    assert replaced("swapped") == PAPER.flip(1).tolist()
    assert replaced("noise-only") == [[1, 0]] * 3
    assert replaced("reverb-only") == [[0, 1]] * 3


def test_random_is_fixed_by_the_utterance() -> None:
    """Whatever batch it comes in; all classes occur about equally often."""
    assert replaced("random", ROWS)[0] == replaced("random", torch.tensor([1, 2, 4]))[2]
    many = torch.arange(3_000)
    drawn = intervention("random", MODEL, torch.zeros(3_000, dtype=torch.int64), many)
    assert drawn is not None
    weights = drawn(decision(torch.zeros(3_000, 2)))
    counts = [
        int((weights == torch.tensor(w)).all(dim=1).sum()) for w in ([1, 0], [0, 1], [0.5, 0.5])
    ]
    assert sum(counts) == 3_000 and min(counts) > 900


def test_which_apply() -> None:
    """All with a router and weighted experts; fewer where one would repeat another."""
    assert set(COUNTERFACTUALS) - set(applicable(ModelConfig())) == {"learned-paper"}
    assert set(COUNTERFACTUALS) - set(applicable(ModelConfig(both_mapping="normalized"))) == {
        "learned-normalized"
    }
    assert set(COUNTERFACTUALS) - set(applicable(ModelConfig(enable_multi_expert=False))) == {
        "learned-paper", "learned-normalized", "oracle-paper", "uniform",
    }  # fmt: skip
    assert applicable(ModelConfig(smoe_layer_positions=())) == ("learned",)
    assert applicable(ModelConfig(routing="uniform")) == ("learned",)


@pytest.mark.parametrize("scope", ["global", "per_layer"])
def test_the_network_obeys(scope: str) -> None:
    """`noise-only` is the network whose noise experts alone are added, in every layer."""
    network = unet(router_scope=scope).eval()
    x = spectrogram(3)
    with torch.no_grad():
        outputs = network(x, intervention=intervention("noise-only", MODEL, LABELS, ROWS))
        learned = network(x)
        for layer in network.smoe.values():
            for parameter in layer.experts[1].parameters():
                parameter.zero_()
            assert layer.enable_multi_expert
        silenced = network(x, intervention=lambda d: torch.ones_like(d["expert_weights"]))
    torch.testing.assert_close(outputs["mask"], silenced["mask"])
    assert not torch.allclose(outputs["mask"], learned["mask"])
    assert all(usage.tolist() == [1, 0] for usage in outputs["expert_usage"].values())


def test_waveforms_reach_the_intervention() -> None:
    """`SpeechEnhancer` hands it on: other weights, another waveform."""
    enhancer = SpeechEnhancer(ModelConfig(**FLAGS)).eval()
    with torch.no_grad():
        for parameter in enhancer.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
        noisy = torch.randn(3, 8_000, generator=torch.Generator().manual_seed(0))
        waves = [
            enhancer(noisy, intervention=intervention(name, MODEL, LABELS, ROWS))[
                "enhanced_waveform"
            ]
            for name in ("noise-only", "reverb-only")
        ]
    assert not torch.allclose(*waves)


@pytest.mark.parametrize("scope", ["global", "per_layer"])
@pytest.mark.parametrize("mapping", ["paper", "normalized"])
def test_the_other_mapping_is_the_other_network(mapping: str, scope: str) -> None:
    """`learned-normalized` of a network is what it would do had it been built with that mapping."""
    other = "normalized" if mapping == "paper" else "paper"
    network = unet(router_scope=scope, both_mapping=mapping).eval()
    twin = unet(router_scope=scope, both_mapping=other).eval()
    change = intervention(f"learned-{other}", network.config, LABELS, ROWS)
    x = spectrogram(3)
    with torch.no_grad():
        torch.testing.assert_close(network(x, intervention=change)["mask"], twin(x)["mask"])
        assert not torch.allclose(network(x)["mask"], twin(x)["mask"])
