"""Enhances a recording of any length with a trained network, in bounded memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.errors import UserError
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import load_checkpoint
from smoe.training.memory import keep_freed_memory

CHUNK_S = 20.0
OVERLAP_S = 1.0
SHORTEST_S = 0.5  # what the network takes; silence is added to shorter recordings


def load_enhancer(config: ModelConfig, weights: Path) -> SpeechEnhancer:
    """Load the trained network, in evaluation mode.

    Raises:
        UserError: the weights are missing or damaged.
    """
    state = load_checkpoint(weights)
    if state is None:
        raise UserError(f"{weights} is missing or damaged; train the cell again with `run`.")
    enhancer = SpeechEnhancer(config)
    enhancer.load_state_dict(state["enhancer"])
    return enhancer.eval()


def enhance(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    """Enhance one recording [samples] at 16 kHz, as `enhanced_blocks` does."""
    return torch.cat([*enhanced_blocks(enhancer, [noisy])], -1)


def enhanced_blocks(enhancer: SpeechEnhancer, noisy: Iterable[Tensor]) -> Iterator[Tensor]:
    """Enhance a recording that comes block by block; yield it in blocks of its whole length.

    Long recordings are cut into chunks of 20 s that overlap by 1 s and are cross-faded, so that
    memory stays bounded. Each chunk and each channel is routed on its own.

    Args:
        enhancer: In evaluation mode.
        noisy: Blocks [samples] or [channels, samples] at 16 kHz, of any lengths.
    """
    keep_freed_memory()
    chunk, hop = int(CHUNK_S * SAMPLE_RATE), int((CHUNK_S - OVERLAP_S) * SAMPLE_RATE)
    window = _window(chunk, chunk - hop)
    waiting = output = torch.zeros(0)  # what is not yet enhanced for good, and what is made of it
    weight = torch.zeros(0)  # sum of windows, of the same samples

    def add(begin: int) -> None:
        part = slice(begin, begin + chunk)
        output[..., part] += window * _once(enhancer, waiting[..., part])
        weight[part] += window

    is_first = True
    for block in noisy:
        if is_first and not waiting.numel():
            waiting = output = torch.zeros(*block.shape[:-1], 0)
        waiting = torch.cat([waiting, block], -1)
        output, weight = (_longer(each, waiting.shape[-1]) for each in (output, weight))
        while waiting.shape[-1] >= chunk + hop:  # the next chunk is whole, too
            add(0)
            yield output[..., :hop] / weight[:hop]
            waiting, output, weight = (x[..., hop:].clone() for x in (waiting, output, weight))
            is_first = False
    total = waiting.shape[-1]
    if is_first and total <= chunk:
        yield _once(enhancer, waiting)
        return
    for start in range(0, total - (chunk - hop), hop):
        add(min(start, total - chunk))  # the last chunk is whole, too
    yield output / weight


def _window(chunk: int, overlap: int) -> Tensor:
    """Return the weights of a chunk's samples: 1, and ramps over the overlaps."""
    window = torch.ones(chunk)
    ramp = torch.linspace(0, 1, overlap + 2)[1:-1]
    window[:overlap] *= ramp
    window[-overlap:] *= ramp.flip(0)
    return window


def _longer(values: Tensor, samples: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, samples - values.shape[-1]))


def _once(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    """Enhance a chunk [..., samples], channel by channel: memory does not grow with channels."""
    missing = max(0, int(SHORTEST_S * SAMPLE_RATE) - noisy.shape[-1])
    padded = torch.nn.functional.pad(noisy, (0, missing)).reshape(-1, noisy.shape[-1] + missing)
    with torch.inference_mode():
        enhanced = [enhancer(channel[None])["enhanced_waveform"] for channel in padded]
    return torch.cat(enhanced)[:, : noisy.shape[-1]].reshape(noisy.shape)
