"""The fast network computes what the source description, carried out to the letter, computes."""

import statistics

import pytest
import torch
from torch import Tensor, nn

from ablations.studies.grid import CELLS, DENSE
from smoe.config import ModelConfig
from smoe.network.initialise import initialise
from smoe.network.unet import SMoEEnhancedUNet, SpeechEnhancer
from smoe.reference.network import ReferenceEnhancer, ReferenceUNet, translate
from tests.smoe.networks import AXES, FLAGS, jitter, relative_error, spectrogram, unet

LABELS = torch.tensor([2, 1, 0])
PLACEMENTS = sorted({cell.placement_code for cell in CELLS.values()})


def letter(fast: SMoEEnhancedUNet) -> ReferenceUNet:
    """The literal network with the weights of a fast one."""
    literal = ReferenceUNet(fast.config).to(next(fast.parameters()).dtype)
    literal.load_state_dict(translate(fast.state_dict()))
    return literal


def outcome(network: nn.Module, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    """Outputs and, in training, all gradients of a loss on them, by the reference's names."""
    outputs = network(x, labels)
    decision = outputs["routing_decision"]
    decisions = (
        [decision] if "logits" in decision else [decision[name] for name in sorted(decision)]
    )
    mask = outputs["mask"]
    found = {"mask": mask.detach(), "enhanced": outputs["enhanced_spec"].detach()}
    for i, each in enumerate(decisions):
        found |= {f"{key} {i}": value.detach() for key, value in each.items()}
    if network.training:
        loss = mask.real.square().mean() + (mask.imag - 1).abs().mean()
        for each in decisions:
            loss = loss + each["logits"].square().mean()
        network.zero_grad()
        loss.backward()
        found["gradient"] = gradients(network)
    return found


def gradients(network: nn.Module) -> Tensor:
    """All gradients in one vector, in the order of the reference's names; none counts as zero."""
    by_name = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in network.named_parameters()
    }
    if isinstance(network, SMoEEnhancedUNet):
        by_name = translate(by_name)
    return torch.cat([by_name[name].flatten() for name in sorted(by_name)])


def errors(
    fast: SMoEEnhancedUNet, literal: ReferenceUNet, x: Tensor, labels: Tensor | None
) -> dict[str, float]:
    literal.train(fast.training)
    ours, theirs = outcome(fast, x, labels), outcome(literal, x, labels)
    assert ours.keys() == theirs.keys()
    return {name: relative_error(value, theirs[name]) for name, value in ours.items()}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_cell_equals_the_letter(placement: str) -> None:
    """All cells, both mappings, training and evaluation: outputs and gradients to 1e-10.

    Evaluation comes after a step's worth of running statistics, which so are compared, too.
    """
    for index, cell in enumerate(c for c in CELLS.values() if c.placement_code == placement):
        for mapping in ("paper", "normalized") if cell.code != DENSE else ("paper",):
            network = unet(
                seed=index,
                smoe_layer_positions=cell.placement,
                enable_multi_expert=cell.expert_mode != "single",
                routing=cell.routing or "supervised",
                router_scope=cell.router_scope or "global",
                both_mapping=mapping,
            )
            literal = letter(network)
            x = spectrogram(batch=2, seed=index)
            if mapping == "paper" or cell.routing == "implicit":
                found = errors(network.train(), literal, x, LABELS[:2])
                assert max(found.values()) < 1e-10, (cell.code, mapping, "training", found)
            with torch.no_grad():
                found = errors(network.eval(), literal, x, None)
            assert max(found.values()) < 1e-10, (cell.code, mapping, "evaluation", found)


@pytest.mark.parametrize("axes", AXES)
def test_float32_equals_the_letter(axes: dict) -> None:
    """To 1e-4, as median of three inputs: a value within rounding of ReLU's kink may flip."""
    found = []
    for seed in range(3):
        network = unet(seed=seed, dtype=torch.float32, **axes)
        x = spectrogram(batch=3, seed=seed, dtype=torch.float32)
        found.append(errors(network.train(), letter(network), x, LABELS))
    for name in found[0]:
        assert statistics.median(each[name] for each in found) < 1e-4, name


@pytest.mark.parametrize(
    "fields",
    [
        {"n_experts": 3},
        {"n_experts": 3, "enable_multi_expert": False, "routing": "implicit"},
        {"n_experts": 1},
        {"routing": "uniform"},
        {"mask_bound": "tanh"},
        {"expert_hidden_multiplier": 2.5},
        {"n_layers": 5, "init_channels": 2, "router_scope": "per_layer"},
    ],
    ids=str,
)
def test_other_settings_equal_the_letter(fields: dict) -> None:
    """More or fewer experts, no router, bounded mask, wider experts, the full depth."""
    network = unet(**fields)
    size = (33, 40) if "n_layers" in fields else (16, 17)
    labels = LABELS if fields.get("n_experts", 2) > 1 else torch.zeros(3, dtype=torch.int64)
    x = spectrogram(batch=3, size=size)
    found = errors(network.train(), letter(network), x, labels)
    assert max(found.values()) < 1e-10, found


def test_waveform_to_waveform_equals_the_letter() -> None:
    """Level, STFT and inverse: torch's own transforms around the literal network."""
    config = ModelConfig(**FLAGS)
    fast, literal = SpeechEnhancer(config), ReferenceEnhancer(config)
    initialise(fast, 0)
    jitter(fast, 0)
    fast, literal = fast.double().eval(), literal.double().eval()
    literal.load_state_dict(translate(fast.state_dict()))
    noisy = 0.05 * torch.randn(2, 9_001, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = fast(noisy)["enhanced_waveform"], literal(noisy)["enhanced_waveform"]
    assert relative_error(ours, theirs) < 1e-6  # the fast one keeps its window in float32
