"""Enhances a recording of any length with a trained network."""

from pathlib import Path

import soundfile
import torch
from torch import Tensor

from smoe.checkpoint import load_checkpoint
from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.corpora.audio import RefusedFileError, read
from smoe.errors import UserError
from smoe.memory import keep_freed_memory
from smoe.unet import SpeechEnhancer

CHUNK_S = 20.0
OVERLAP_S = 1.0
SHORTEST_S = 0.5  # what the network takes; silence is added to shorter recordings


def load_enhancer(config: ModelConfig, weights: Path) -> SpeechEnhancer:
    """The trained network, in evaluation mode.

    Raises:
        UserError: the weights are missing or damaged.
    """
    state = load_checkpoint(weights)
    if state is None:
        raise UserError(f"{weights} is missing or damaged; train the cell again with `run`.")
    enhancer = SpeechEnhancer(config)
    enhancer.load_state_dict(state["enhancer"])
    return enhancer.eval()


def enhance_file(enhancer: SpeechEnhancer, source: Path, target: Path) -> list[str]:
    """Enhances a file into a 16 kHz mono file; returns notes of what had to be converted.

    Raises:
        UserError: the source is no usable audio, or the target cannot be written.
    """
    try:
        noisy = read(source, "speech")
    except RefusedFileError as error:
        raise UserError(f"{source} {error}; give a recording of speech.") from error
    enhanced = enhance(enhancer, torch.from_numpy(noisy.audio))
    try:
        soundfile.write(target, enhanced.numpy(), SAMPLE_RATE)
    except (OSError, TypeError, ValueError, soundfile.SoundFileError) as error:
        raise UserError(f"{target} cannot be written: {error}.") from error
    return list(noisy.notes)


def enhance(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    """Enhances one recording [samples] at 16 kHz.

    Long recordings are cut into chunks of 20 s that overlap by 1 s and are cross-faded, so that
    memory stays bounded; each chunk is routed on its own.
    """
    keep_freed_memory()
    chunk, overlap = int(CHUNK_S * SAMPLE_RATE), int(OVERLAP_S * SAMPLE_RATE)
    hop = chunk - overlap
    total = len(noisy)
    if total <= chunk:
        return _once(enhancer, noisy)
    output, weight = torch.zeros(total), torch.zeros(total)
    ramp = torch.linspace(0, 1, overlap + 2)[1:-1]
    for start in range(0, total - overlap, hop):
        begin = min(start, total - chunk)  # the last chunk is whole, too
        window = torch.ones(chunk)
        window[:overlap] *= ramp
        window[-overlap:] *= ramp.flip(0)
        output[begin : begin + chunk] += window * _once(enhancer, noisy[begin : begin + chunk])
        weight[begin : begin + chunk] += window
    return output / weight


def _once(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    missing = max(0, int(SHORTEST_S * SAMPLE_RATE) - len(noisy))
    with torch.inference_mode():
        padded = torch.nn.functional.pad(noisy, (0, missing))
        return enhancer(padded[None])["enhanced_waveform"][0, : len(noisy)]
