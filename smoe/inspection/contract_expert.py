"""What the suite relies on in a kind of expert, tried on small maps and one small network."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from smoe.config import POSITIONS, SAMPLE_RATE, ModelConfig
from smoe.network.architecture import EXPERT_KINDS
from smoe.network.cost import REFERENCE_SAMPLES, cost
from smoe.network.experts import DistortionSpecificExpert
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer

CHANNELS, BANDS, FRAMES = 3, 33, 34
AGREEMENT = 1e-6  # of counted with measured multiply-accumulates, relative


def broken_expert(kind: str) -> Iterator[str]:
    """Yield one sentence for each thing that a kind of expert lacks; nothing where all is well."""
    if kind not in EXPERT_KINDS:
        yield f'There is no kind "{kind}": add it to EXPERT_KINDS of smoe/network/architecture.py.'
        return
    number = list(EXPERT_KINDS).index(kind) + 1
    most = 6  # of ModelConfig.n_experts
    if number > most:
        yield f"{kind} is kind {number}, and a network has at most {most} experts: remove others."
        return
    config = ModelConfig(init_channels=2, n_experts=max(2, number))
    found: list[str] = []
    for position in ("mid_decoder", "bottleneck"):  # the full and the short form
        found += _broken_form(kind, position, config)
    yield from found or _broken_cost(kind, config)


def _broken_form(kind: str, position: str, config: ModelConfig) -> Iterator[str]:
    where = f"{kind} in its {'bottleneck' if position == 'bottleneck' else 'full'} form"
    x = torch.randn(2, 2 * CHANNELS, BANDS, FRAMES, generator=torch.Generator().manual_seed(0))
    try:
        expert = DistortionSpecificExpert(CHANNELS, kind, position, config).train()
        initialise(expert, seed=0)
        y, again = expert(x), expert(x)
    except Exception as error:  # whatever a user's kernels raise
        yield f"{where} cannot be built or run ({error}): give kernels as ((3, 3), ...)."
        return
    if y.shape != x.shape:
        yield (
            f"{where} makes {list(y.shape)} of {list(x.shape)}: kernels must have odd extents, so "
            "that the map keeps its size."
        )
        return
    if not torch.equal(y, again):
        yield f"{where} gives two outputs for one input: it may draw nothing at random."
    yield from _broken_gradient(where, expert, y)


def _broken_gradient(where: str, expert: DistortionSpecificExpert, y: Tensor) -> Iterator[str]:
    y.square().mean().backward()
    for name, parameter in expert.named_parameters():
        gradient = parameter.grad
        if gradient is None or not torch.isfinite(gradient).all() or not gradient.any():
            yield f"{where} has no usable gradient for {name}: every parameter must take part."


def _broken_cost(kind: str, config: ModelConfig) -> Iterator[str]:
    """Compare what `cost` counts with the built network and torch's own counter."""
    for position in POSITIONS:
        alone = config.model_copy(update={"smoe_layer_positions": (position,)})
        counted, network = cost(alone), SpeechEnhancer(alone)
        params = sum(p.numel() for p in network.parameters() if p.requires_grad)
        if counted.params != params:
            yield (
                f"{kind} at {position} has {params} parameters in the network and {counted.params} "
                "in smoe/network/cost.py: count what is built."
            )
        measured = _macs(network)
        if abs(counted.macs_per_s / measured - 1) > AGREEMENT:
            yield (
                f"{kind} at {position} takes {measured:.6g} multiply-accumulates per second and "
                f"smoe/network/cost.py counts {counted.macs_per_s:.6g}: count what is computed."
            )


def _macs(network: SpeechEnhancer) -> float:
    """Return multiply-accumulates per second of audio, in double precision, as torch counts."""
    wave = torch.randn(1, REFERENCE_SAMPLES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.double().eval()(wave.double())
    return counter.get_total_flops() / 2 / (REFERENCE_SAMPLES / SAMPLE_RATE)
