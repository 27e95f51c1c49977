"""Classes, weights and features of the router."""

import itertools

import pytest
import torch

from smoe.config import ModelConfig
from smoe.network.complex_layers import stack
from smoe.network.initialise import initialise
from smoe.network.router import GlobalDistortionRouter, class_of, class_shares, class_weights
from tests.smoe.networks import spectrogram


def router(training: bool = False, **fields: object) -> GlobalDistortionRouter:
    module = GlobalDistortionRouter(1, ModelConfig(**fields)).double().train(training)  # type: ignore[arg-type]
    initialise(module, 0)
    with torch.no_grad():
        module.head.weight.mul_(5)
    return module


def test_classes_are_the_non_empty_subsets() -> None:
    """Class + 1 is the bit mask of the kinds; for two: noise, reverb, both."""
    assert class_weights(ModelConfig()).tolist() == [[1, 0], [0, 1], [1, 1]]
    for n in (1, 3, 4):
        rows = {tuple(row) for row in class_weights(ModelConfig(n_experts=n)).tolist()}
        assert rows == set(itertools.product((0.0, 1.0), repeat=n)) - {(0.0,) * n}


@pytest.mark.parametrize("mapping", ["paper", "normalized"])
def test_weights_from_probabilities(mapping: str) -> None:
    """As written, p0 + p2 and p1 + p2; normalized, half of p2 each: they sum to 1."""
    decision = router(both_mapping=mapping)(stack(spectrogram(4)))
    p = decision["logits"].softmax(dim=1)
    share = 1.0 if mapping == "paper" else 0.5
    expected = torch.stack([p[:, 0] + share * p[:, 2], p[:, 1] + share * p[:, 2]], dim=1)
    torch.testing.assert_close(decision["expert_weights"], expected)
    torch.testing.assert_close(decision["confidence"], p.max(dim=1, keepdim=True).values)
    total = decision["expert_weights"].sum(dim=1)
    torch.testing.assert_close(total, 1 + (p[:, 2] if mapping == "paper" else 0 * p[:, 2]))


def test_weights_from_labels() -> None:
    """1 0, 0 1, 0.5 0.5 in supervised training, with confidence 1 and no gradient."""
    module, x, labels = router(training=True), stack(spectrogram(3)), torch.tensor([0, 1, 2])
    decision = module(x, labels)
    assert decision["expert_weights"].tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert decision["confidence"].tolist() == [[1], [1], [1]]
    assert not decision["expert_weights"].requires_grad
    assert decision["logits"].requires_grad
    three = router(training=True, n_experts=3)(x, torch.tensor([0b111 - 1, 0b100 - 1, 0b011 - 1]))
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0, 0, 1], [0.5, 0.5, 0]])
    torch.testing.assert_close(three["expert_weights"], expected, check_dtype=False)


@pytest.mark.parametrize(("training", "routing"), [(False, "supervised"), (True, "implicit")])
def test_labels_are_ignored(training: bool, routing: str) -> None:
    """In evaluation, and in implicit training, whatever they say."""
    module, x = router(training=training, routing=routing), stack(spectrogram(3))
    first = module(x, torch.tensor([0, 1, 2]))["expert_weights"]
    assert torch.equal(first, module(x, torch.tensor([2, 2, 0]))["expert_weights"])
    assert torch.equal(first, module(x)["expert_weights"])


def test_level_means_nothing() -> None:
    """Scaling the input by 60 dB leaves the decision; the phase plays no part either."""
    module, z = router(), spectrogram(2)
    expected = module(stack(z))["logits"]
    torch.testing.assert_close(module(stack(1e3 * z))["logits"], expected)
    torch.testing.assert_close(module(stack(1j * z.conj()))["logits"], expected)


def test_decision_is_in_float32_under_autocast() -> None:
    """bfloat16 would round weights to three digits; routing is too small to gain from it."""
    module = router().float()
    with torch.autocast("cpu", torch.bfloat16):
        decision = module(stack(spectrogram(2, dtype=torch.float32)))
    assert {value.dtype for value in decision.values()} == {torch.float32}  # type: ignore[attr-defined]


def test_the_empty_class_comes_last() -> None:
    """Clean speech is a class of its own, in which no expert works; else it has no class."""
    empty = ModelConfig(empty_class=True)
    assert class_shares(empty).tolist() == [[1, 0], [0, 1], [0.5, 0.5], [0, 0]]
    labels = torch.tensor([0, -1, 2])
    assert class_of(labels, empty).tolist() == [0, 3, 2]
    assert class_of(labels, ModelConfig()).tolist() == [0, -1, 2]
    decision = router(training=True, empty_class=True)(stack(spectrogram(3)), labels)
    assert decision["expert_weights"].tolist() == [[1, 0], [0, 0], [0.5, 0.5]]
    assert decision["logits"].shape == (3, 4)


def test_a_sample_without_a_class_is_routed_by_the_router() -> None:
    """As at test time, and without a gradient: it teaches the router nothing."""
    module, x = router(training=True), stack(spectrogram(3))
    decision = module(x, torch.tensor([0, -1, 2]))
    untaught = module(x)
    assert decision["expert_weights"][[0, 2]].tolist() == [[1, 0], [0.5, 0.5]]
    assert torch.equal(decision["expert_weights"][1], untaught["expert_weights"][1])
    assert torch.equal(decision["confidence"][1], untaught["confidence"][1])
    assert not decision["expert_weights"].requires_grad
