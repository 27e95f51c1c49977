"""The shape of the network as data, for what is built (`unet`, `experts`) and what is counted.

Needs no torch, so that a plan of thousands of cells is made in moments.
"""

from typing import NamedTuple

from smoe.config import ModelConfig, Position

BOTTLENECK_HIDDEN_MAX = 512


class ExpertKernels(NamedTuple):
    """Kernel extents (frequency, time) of one kind of expert, before its closing 1 x 1."""

    full: tuple[tuple[int, int], ...]
    bottleneck: tuple[tuple[int, int], ...]


# Denoising is local; reverberation smears along time, so its expert looks further along time.
EXPERT_KINDS: dict[str, ExpertKernels] = {
    "noise": ExpertKernels(full=((3, 3), (3, 3)), bottleneck=((3, 3),)),
    "reverb": ExpertKernels(full=((3, 7), (3, 5)), bottleneck=((3, 5),)),
}


class RouterConv(NamedTuple):
    """One real convolution of the router: channels out, kernel and stride along (bands, time)."""

    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]


ROUTER_BANDS = 64
ROUTER_CONVS = (
    RouterConv(16, (3, 5), (2, 1)),
    RouterConv(24, (3, 5), (2, 2)),
    RouterConv(32, (3, 5), (2, 2)),
    RouterConv(64, (3, 5), (2, 2)),
)


class Stage(NamedTuple):
    """A place where an S-MoE layer can stand, and the complex channels found there."""

    name: str
    position: Position
    channels: int


def expert_kinds(n_experts: int) -> list[str]:
    """The kind of each expert: the known kinds in order, repeated where there are more experts."""
    kinds = list(EXPERT_KINDS)
    return [kinds[index % len(kinds)] for index in range(n_experts)]


def expert_kernels(kind: str, position: str) -> tuple[tuple[int, int], ...]:
    """Kernels of an expert before its closing 1 x 1; the bottleneck has the short form."""
    kernels = EXPERT_KINDS[kind]
    return kernels.bottleneck if position == "bottleneck" else kernels.full


def expert_hidden(input_dim: int, position: str, config: ModelConfig) -> int:
    """Hidden complex channels of an expert; bounded at the bottleneck, where maps are deepest."""
    hidden = max(1, round(config.expert_hidden_multiplier * input_dim))
    return min(hidden, BOTTLENECK_HIDDEN_MAX) if position == "bottleneck" else hidden


def decoder_channels(config: ModelConfig) -> tuple[int, ...]:
    """Output channels of each decoder block, deepest first."""
    return (*config.channels[-2::-1], config.channels[0])


def stages(config: ModelConfig) -> list[Stage]:
    """The five places of S-MoE layers, in the order in which the signal meets them."""
    mid, late = config.n_layers - 3, config.n_layers - 2
    decoder = decoder_channels(config)
    return [
        Stage("encoder.1", "early_encoder", config.channels[1]),
        Stage("encoder.2", "mid_encoder", config.channels[2]),
        Stage("bottleneck", "bottleneck", config.channels[-1]),
        Stage(f"decoder.{mid}", "mid_decoder", decoder[mid]),
        Stage(f"decoder.{late}", "late_decoder", decoder[late]),
    ]


def chosen_stages(config: ModelConfig) -> list[Stage]:
    """The stages that this configuration gives an S-MoE layer."""
    return [stage for stage in stages(config) if stage.position in config.smoe_layer_positions]
