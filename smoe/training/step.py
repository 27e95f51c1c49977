"""One training step: forward, loss, backward, update."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoe.config import RunConfig
from smoe.mixtures.mixing import Mixture
from smoe.network.router import class_of
from smoe.network.unet import SpeechEnhancer
from smoe.training.losses import enhancement_loss, routing_loss


class StepTerms(NamedTuple):
    """Scalars of one step, still on the device; NaN where a network has no such term."""

    loss: Tensor
    enhancement_loss: Tensor
    routing_loss: Tensor
    routing_accuracy: Tensor
    grad_norm: Tensor


def training_labels(config: RunConfig, label: Tensor, step: int) -> Tensor:
    """The labels [B] that the network is taught: the true ones, or in the control permuted ones."""
    if not config.train.shuffle_labels:
        return label
    generator = torch.Generator().manual_seed(step)  # right proportions, wrong utterances
    return label[torch.randperm(len(label), generator=generator).to(label.device)]


def training_step(
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    mixture: Mixture,
    labels: Tensor,
    parts: int = 1,
) -> StepTerms:
    """One update on a batch; returns its terms without waiting for the device.

    Args:
        enhancer: The network, in training mode.
        optimiser: Of its parameters.
        config: Loss and precision.
        mixture: The batch.
        labels: What the network is taught, int64 [B]; see `training_labels`.
        parts: Pieces that the batch is computed in, their gradients added up. Batch statistics are
            then those of the pieces.
    """
    optimiser.zero_grad()
    pieces = []
    for rows in torch.arange(len(labels)).tensor_split(parts):
        piece = slice(int(rows[0]), int(rows[-1]) + 1)
        terms = _losses(enhancer, config, mixture, labels, piece)
        share = len(rows) / len(labels)
        (terms[0] * share).backward()
        pieces.append(torch.stack(terms).detach() * share)
    norm = torch.nn.utils.clip_grad_norm_(enhancer.parameters(), config.train.grad_clip_norm)
    optimiser.step()
    total, enhancement, routing, accuracy = torch.stack(pieces).sum(dim=0).unbind()
    return StepTerms(total, enhancement, routing, accuracy, norm.detach())


def _losses(
    enhancer: SpeechEnhancer, config: RunConfig, mixture: Mixture, labels: Tensor, piece: slice
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total, enhancement and routing loss and routing accuracy of some rows of a batch."""
    noisy, clean = mixture.noisy[piece], mixture.clean[piece]
    bfloat16 = config.train.precision == "bfloat16"
    # Converted weights are not kept: a captured step would not convert them anew.
    kind, keep = noisy.device.type, not noisy.is_cuda
    with torch.autocast(kind, torch.bfloat16, enabled=bfloat16, cache_enabled=keep):
        outputs = enhancer(noisy, labels[piece])
    enhanced = outputs["enhanced_waveform"]
    enhancement = enhancement_loss(config.loss, enhanced=enhanced, clean=clean, noisy=noisy)
    nothing = torch.full_like(enhancement, math.nan)
    logits = decision_logits(outputs["routing_decision"])
    if not logits:
        return enhancement, enhancement, nothing, nothing
    model = enhancer.unet.config
    accuracy = _accuracy(logits, class_of(mixture.label[piece], model)).to(enhancement.dtype)
    if model.routing != "supervised":
        return enhancement, enhancement, nothing, accuracy
    routing = routing_loss(logits, class_of(labels[piece], model))
    total = enhancement + config.loss.routing_loss_weight * routing
    return total, enhancement, routing, accuracy


def _accuracy(logits: list[Tensor], classes: Tensor) -> Tensor:
    """Return the share of right decisions over routers and samples that have a class."""
    known = classes >= 0
    hits = torch.stack([(one.argmax(1) == classes) & known for one in logits])
    return hits.sum() / (known.sum() * len(logits))


def decision_logits(routing_decision: dict[str, Any]) -> list[Tensor]:
    """Class logits [B, classes] of the routers behind a network's `routing_decision`."""
    if "logits" in routing_decision:
        return [routing_decision["logits"]]
    return [decision["logits"] for decision in routing_decision.values()]
