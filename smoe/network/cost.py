"""What a network costs, by arithmetic on its configuration alone (no tensor is made).

A complex convolution counts as the real one that carries it out: 4 real multiply-accumulates (MACs)
per complex one. A test holds the counts against the built network.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.network.architecture import (
    ROUTER_BANDS,
    ROUTER_CONVS,
    chosen_stages,
    decoder_channels,
    expert_hidden,
    expert_kernels,
    expert_kinds,
)

REFERENCE_SAMPLES = 3 * SAMPLE_RATE
MATCH_TOLERANCE = 0.01


class Cost(NamedTuple):
    """Trainable parameters, and MACs per second of audio when enhancing one signal."""

    params: int
    macs_per_s: float


class _Part(NamedTuple):
    params: int
    macs: float


Shape = tuple[int, int]


def cost(config: ModelConfig) -> Cost:
    """Parameters and MACs of a network, over 3 s of audio.

    Multi-expert counts every expert; single-expert counts the one that is chosen, as the mean over
    experts, since that is the expectation when each is chosen equally often.
    """
    parts = list(_parts(config))
    seconds = REFERENCE_SAMPLES / SAMPLE_RATE
    return Cost(sum(p.params for p in parts), sum(p.macs for p in parts) / seconds)


def match_dense(config: ModelConfig, quantity: Literal["params", "macs_per_s"]) -> ModelConfig:
    """The plain U-Net widened to the parameters or MACs of `config`, within 1 %.

    Widening every level alike moves in steps that are too coarse, so levels are rounded one by one;
    of all roundings that match, the one nearest to uniform widening is taken.

    Raises:
        ValueError: no rounding matches (networks of one or two channels).
    """
    target = getattr(cost(config), quantity)
    dense = ModelConfig(**{**config.model_dump(), "smoe_layer_positions": ()})

    def widened(channels: tuple[int, ...]) -> ModelConfig:
        return dense.model_copy(update={"level_channels": channels})

    low, high = 1.0, 16.0
    for _ in range(40):  # bisection on the real-valued widening factor
        factor = math.sqrt(low * high)
        channels = tuple(max(1, round(c * factor)) for c in dense.channels)
        low, high = (
            (factor, high) if getattr(cost(widened(channels)), quantity) < target else (low, factor)
        )
    ideal = [c * high for c in dense.channels]
    choices = [sorted({max(1, math.floor(c) + d) for d in (-1, 0, 1, 2)}) for c in ideal]

    def distortion(channels: tuple[int, ...]) -> float:
        return sum((c / i - 1) ** 2 for c, i in zip(channels, ideal, strict=True))

    for channels in sorted(itertools.product(*choices), key=distortion):
        found = getattr(cost(widened(channels)), quantity)
        if abs(found / target - 1) <= MATCH_TOLERANCE:
            return widened(channels)
    raise ValueError(f"no dense network has the {quantity} of this one within 1 %")


def _parts(config: ModelConfig) -> Iterator[_Part]:
    size: Shape = (config.n_fft // 2 + 1, 1 + REFERENCE_SAMPLES // config.hop_length)
    spectrogram, shapes = size, {}
    width = config.channels[0]
    yield _complex_conv(1, width, (3, 3), size, bias=True)
    for level, out in enumerate(config.channels):
        shapes[f"encoder.{level}"] = size
        yield _complex_conv(width, out, (3, 3), size, norm=True)
        size = (size[0] // 2, size[1] // 2)
        yield _complex_conv(out, out, (2, 2), size, norm=True)
        width = out
    shapes["bottleneck"] = size
    yield _complex_conv(width, width, (3, 3), size, norm=True)
    for level, out in enumerate(decoder_channels(config)):
        skip = config.channels[-1 - level]
        up = _complex_conv(width, width, (2, 2), size, norm=True)
        size = shapes[f"encoder.{config.n_layers - 1 - level}"]
        shapes[f"decoder.{level}"] = size
        yield up
        yield _complex_conv(width + skip, out, (3, 3), size, norm=True)
        width = out
    yield _complex_conv(width, 1, (1, 1), size, bias=True)
    yield from _smoe_parts(config, spectrogram, shapes)


def _smoe_parts(
    config: ModelConfig, spectrogram: Shape, shapes: dict[str, Shape]
) -> Iterator[_Part]:
    chosen = chosen_stages(config)
    routed = bool(chosen) and config.routing != "uniform"
    if routed and config.router_scope == "global":
        yield _router(1, spectrogram, config)
    at_once = config.n_experts
    if not config.enable_multi_expert and config.routing != "uniform":
        at_once = 1
    for stage in chosen:
        size = shapes[stage.name]
        for kind in expert_kinds(config.n_experts):
            hidden, width = expert_hidden(stage.channels, stage.position, config), stage.channels
            for kernel in expert_kernels(kind, stage.position):
                part = _complex_conv(width, hidden, kernel, size, bias=True)
                yield _Part(part.params, part.macs * at_once / config.n_experts)
                width = hidden
            part = _complex_conv(hidden, stage.channels, (1, 1), size, bias=True)
            yield _Part(part.params, part.macs * at_once / config.n_experts)
        if routed and config.router_scope == "per_layer":
            yield _router(stage.channels, size, config)


def _complex_conv(
    inputs: int,
    outputs: int,
    kernel: Shape,
    positions: Shape,
    *,
    bias: bool = False,
    norm: bool = False,
) -> _Part:
    """`positions` are those of the output, or of the input for a transposed convolution."""
    weights = inputs * outputs * math.prod(kernel)
    extra = 2 * outputs * (bias + 2 * norm)
    return _Part(2 * weights + extra, 4 * weights * math.prod(positions))


def _router(channels: int, size: Shape, config: ModelConfig) -> _Part:
    params, macs = 0, 0
    bands, frames, width = min(ROUTER_BANDS, size[0]), size[1], channels
    for conv in ROUTER_CONVS:
        bands, frames = -(-bands // conv.stride[0]), -(-frames // conv.stride[1])
        weights = width * conv.out_channels * math.prod(conv.kernel)
        params += weights + 2 * conv.out_channels
        macs += weights * bands * frames
        width = conv.out_channels
    classes = 2**config.n_experts - 1 + config.empty_class
    return _Part(params + (2 * width + 1) * classes, macs + 2 * width * classes)
