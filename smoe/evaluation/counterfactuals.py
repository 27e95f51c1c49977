"""What if the router had said otherwise? The same weights, other routing at test time."""

from typing import Literal, get_args

import torch
from torch import Tensor

from smoe.config import ModelConfig
from smoe.network.router import RoutingDecision, class_shares, class_weights
from smoe.network.unet import Intervention

Counterfactual = Literal[
    "learned", "learned-paper", "learned-normalized", "oracle", "oracle-paper",
    "uniform", "random", "swapped", "noise-only", "reverb-only",
]  # fmt: skip
COUNTERFACTUALS: tuple[Counterfactual, ...] = get_args(Counterfactual)
OTHER_MAPPING: tuple[Counterfactual, ...] = ("learned-paper", "learned-normalized")
RANDOM_SEED = 20_301


def applicable(config: ModelConfig) -> tuple[Counterfactual, ...]:
    """Return the counterfactuals that differ from each other for a network, "learned" first.

    Without a router only what was learned exists. The probabilities that were learned are also
    tried under the mapping that the network does not have. In single-expert mode both mappings
    choose the same expert, and equal weights are a tie that goes to the first expert: `uniform`
    would be `noise-only` under another name.
    """
    if not config.smoe_layer_positions or config.routing == "uniform":
        return ("learned",)
    without = {f"learned-{config.both_mapping}"}
    if not config.enable_multi_expert:
        without = {*OTHER_MAPPING, "oracle-paper", "uniform"}
    return tuple(name for name in COUNTERFACTUALS if name not in without)


def intervention(
    name: Counterfactual, config: ModelConfig, labels: Tensor, rows: Tensor
) -> Intervention | None:
    """Return what gives a network's layers a counterfactual's weights [B, E]; None for "learned".

    Args:
        name: Which one. `learned-paper` and `learned-normalized` map the learned probabilities to
            weights as a network with that `both_mapping` does. `oracle` gives the weights that
            training gives to the true label, `oracle-paper` those that the paper's mapping gives
            to a router that is certain of it. `random` gives the weights of a class drawn for each
            utterance, `swapped` the learned weights in reverse expert order.
        config: The network's.
        labels: True class of each sample, int64 [B], none negative.
        rows: Index of each sample in the test set, int64 [B]: fixes what `random` draws for it.
    """
    if name == "learned":
        return None
    paper, normalized = class_weights(config), class_shares(config)  # [classes, E]

    def mapped(decision: RoutingDecision, mapping: Tensor) -> Tensor:
        probabilities = decision["logits"].softmax(dim=1)
        return probabilities @ mapping.to(probabilities)

    def one_expert(decision: RoutingDecision, index: int) -> Tensor:
        weights = torch.zeros_like(decision["expert_weights"])
        weights[:, index] = 1.0
        return weights

    drawn = _random_classes(2**config.n_experts - 1, rows)
    replacements: dict[str, Intervention] = {
        "learned-paper": lambda decision: mapped(decision, paper),
        "learned-normalized": lambda decision: mapped(decision, normalized),
        "oracle": lambda decision: normalized.to(decision["expert_weights"])[labels],
        "oracle-paper": lambda decision: paper.to(decision["expert_weights"])[labels],
        "uniform": lambda decision: torch.full_like(
            decision["expert_weights"], 1 / config.n_experts
        ),
        "random": lambda decision: normalized[drawn].to(decision["expert_weights"]),
        "swapped": lambda decision: decision["expert_weights"].flip(1),
        "noise-only": lambda decision: one_expert(decision, 0),
        "reverb-only": lambda decision: one_expert(decision, 1),
    }
    return replacements[name]


def _random_classes(classes: int, rows: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    drawn = torch.randint(classes, (int(rows.max()) + 1,), generator=generator)
    return drawn[rows.cpu()]
