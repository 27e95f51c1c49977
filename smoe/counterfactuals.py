"""What if the router had said otherwise? The same weights, other routing at test time."""

from typing import Literal, get_args

import torch
from torch import Tensor

from smoe.config import ModelConfig
from smoe.router import class_members
from smoe.unet import Intervention

Counterfactual = Literal[
    "learned", "oracle", "uniform", "random", "swapped", "noise-only", "reverb-only"
]
COUNTERFACTUALS: tuple[Counterfactual, ...] = get_args(Counterfactual)
RANDOM_SEED = 20_301


def applicable(config: ModelConfig) -> tuple[Counterfactual, ...]:
    """The counterfactuals that mean something for a network.

    Without a router there is only what was learned. In single-expert mode equal weights are a tie,
    which goes to the first expert: `uniform` would be `noise-only` under another name.
    """
    if not config.smoe_layer_positions or config.routing == "uniform":
        return ("learned",)
    if config.enable_multi_expert:
        return COUNTERFACTUALS
    return tuple(name for name in COUNTERFACTUALS if name != "uniform")


def intervention(name: Counterfactual, labels: Tensor, rows: Tensor) -> Intervention | None:
    """How a counterfactual changes routing weights [B, E]; None leaves what was learned.

    Args:
        name: Which one. `oracle` gives the weights that training gives to a label, `random` those
            of a class drawn per utterance, `swapped` the learned weights in reverse expert order.
        labels: True class of each sample, int64 [B], none negative.
        rows: Index of each sample in the test set, int64 [B]: fixes what `random` draws for it.
    """

    def replace(weights: Tensor) -> Tensor:
        experts = weights.shape[1]
        members = class_members(experts).to(weights)
        shares = members / members.sum(dim=1, keepdim=True)  # [classes, E]
        if name == "oracle":
            return shares[labels]
        if name == "random":
            return shares[_random_classes(len(shares), rows).to(labels.device)]
        if name == "uniform":
            return torch.full_like(weights, 1 / experts)
        if name == "swapped":
            return weights.flip(1)
        only = torch.zeros_like(weights)
        only[:, 0 if name == "noise-only" else 1] = 1.0
        return only

    return None if name == "learned" else replace


def _random_classes(classes: int, rows: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    drawn = torch.randint(classes, (int(rows.max()) + 1,), generator=generator)
    return drawn[rows.cpu()]
