"""The loss under the router's own decisions beside that under true labels, as training goes on.

In supervised training labels decide which experts work (teacher forcing), at test time the router
does. Both losses are measured at the same weights, on the same mixtures, in evaluation mode and
float32, as the test set is enhanced.
"""

import math

import torch
from torch import Tensor

from smoe.config import RunConfig
from smoe.mixtures.mixing import Mixture
from smoe.network.router import RoutingDecision, class_of, class_shares, taught_weights
from smoe.network.unet import SpeechEnhancer
from smoe.training.losses import enhancement_loss
from smoe.training.memory import is_out_of_memory
from smoe.training.step import training_labels

POINTS = 10
# At least, so that a short training does not spend a larger share of its time. A pass that starts
# kernel by kernel takes a GPU as long as several recorded steps.
STEPS_APART, RECORDED_STEPS_APART = 50, 400


def is_due(history: list[dict[str, float]], steps: int, *, recorded: bool = False) -> bool:
    """Return whether the last row of a training's history is one that has these losses.

    Args:
        history: Up to this row.
        steps: Of the whole training.
        recorded: Whether steps are played from a CUDA graph.
    """
    points = max(1, min(POINTS, steps // (RECORDED_STEPS_APART if recorded else STEPS_APART)))
    before, now = ([0.0] + [row["step"] for row in history])[-2:]
    return points * now // steps > points * before // steps


def routed_losses(
    enhancer: SpeechEnhancer, config: RunConfig, mixture: Mixture
) -> dict[str, float]:
    """Measure the enhancement loss of a network in training under both routings.

    The network is left as it is, in training mode, and no random number is drawn.

    Args:
        enhancer: The network, in training mode.
        config: Of the run.
        mixture: Mixtures on the network's device.

    Returns:
        `loss_routed`, with the router's weights, of a network that has a router, and
        `loss_labelled`, with those that training gives to its labels, if the routing is supervised.
        What is not finite, or what memory does not suffice for, is left out.
    """
    model = enhancer.unet.config
    if not model.smoe_layer_positions or model.routing == "uniform":
        return {}
    enhancer.eval()
    try:
        with torch.no_grad():
            losses = _losses(enhancer, config, mixture, supervised=model.routing == "supervised")
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return {}
    finally:
        enhancer.train()
    return {name: loss for name, loss in losses.items() if math.isfinite(loss)}


def _losses(
    enhancer: SpeechEnhancer, config: RunConfig, mixture: Mixture, *, supervised: bool
) -> dict[str, float]:
    """Both losses from one pass: in evaluation mode no sample depends on its batch mates."""
    rows = len(mixture.label)
    names = ("loss_routed", "loss_labelled") if supervised else ("loss_routed",)
    model = enhancer.unet.config
    classes = class_of(training_labels(config, mixture.label, config.train.steps), model)
    shares = class_shares(model).to(classes.device)

    def labelled_second(decision: RoutingDecision) -> Tensor:
        learned = decision["expert_weights"]
        return torch.cat([learned[:rows], taught_weights(learned[rows:], classes, shares)])

    outputs = enhancer(
        mixture.noisy.repeat(len(names), 1), intervention=labelled_second if supervised else None
    )
    losses = [
        enhancement_loss(config.loss, enhanced=enhanced, clean=mixture.clean, noisy=mixture.noisy)
        for enhanced in outputs["enhanced_waveform"].split(rows)
    ]
    return dict(zip(names, torch.stack(losses).tolist(), strict=True))
