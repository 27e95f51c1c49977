"""Enhances a recording of any length with a trained network, in bounded memory."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from smoe.audio.decoding import open_audio
from smoe.audio.reading import SHORTEST_S as SHORTEST_FILE_S
from smoe.audio.reading import SILENT_BELOW, Passes, RefusedFileError
from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.errors import UserError
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import load_checkpoint
from smoe.training.memory import keep_freed_memory

CHUNK_S = 20.0
OVERLAP_S = 1.0
CLIPPED_NOTED = 1e-4  # share of clipped samples from which the source is said to be
WRITTEN_AT_ONCE = 1 << 16  # samples
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


def enhance_file(enhancer: SpeechEnhancer, source: Path, target: Path) -> list[str]:
    """Enhance a file into a 16 kHz mono file; return notes of what had to be done to either.

    The source is read twice, and is never in memory as a whole. The target replaces what stands
    there once it is complete. Where the network's output exceeds full scale, it is lowered as a
    whole, so that nothing is clipped.

    Raises:
        UserError: the source is no usable audio, or the target cannot be written.
    """
    if target.exists() and not target.is_file():
        raise UserError(f"{target} cannot be written: it is not a file.")
    try:
        with open_audio(source) as file:
            passes = Passes(file, "noisy")
            _require_usable(passes)
            if passes.has_offset():
                _require_usable(passes)
            peak = _enhance_to(target, enhancer, passes.blocks())
            notes = passes.notes()
            if passes.clipped > CLIPPED_NOTED:
                notes.append(f"{passes.clipped:.1%} of its samples were clipped already")
    except RefusedFileError as error:
        raise UserError(f"{source} {error}; give a recording of speech.") from error
    if peak > 1:
        lowered_db = 20 * np.log10(peak)
        notes.append(f"enhanced above full scale, hence lowered by {lowered_db:.1f} dB as a whole")
    return notes


def _require_usable(passes: Passes) -> None:
    """Read a file once, and refuse what holds nothing to enhance."""
    samples, peak = 0, 0.0
    for block in passes.blocks():
        samples += len(block)
        peak = max(peak, float(np.abs(block).max(initial=0)))
    shortest_s = SHORTEST_FILE_S["noisy"]
    if samples < shortest_s * SAMPLE_RATE:
        raise RefusedFileError(f"has {samples / SAMPLE_RATE:.2f} s of audio, under {shortest_s} s")
    if peak < SILENT_BELOW:
        raise RefusedFileError("is silent")


def _enhance_to(target: Path, enhancer: SpeechEnhancer, noisy: Iterable[np.ndarray]) -> float:
    """Write what a network makes of a recording; return its peak before it was lowered."""
    partial = target.with_name(f".enhancing-{os.getpid()}{target.suffix}")
    try:
        with (
            tempfile.TemporaryFile(dir=target.parent) as scratch,
            soundfile.SoundFile(partial, "w", SAMPLE_RATE, 1) as output,
        ):
            peak = 0.0
            for block in enhanced_blocks(enhancer, map(torch.from_numpy, noisy)):
                peak = max(peak, float(block.abs().max()))
                scratch.write(block.numpy().astype(np.float32).tobytes())
            scratch.seek(0)
            while content := scratch.read(4 * WRITTEN_AT_ONCE):
                output.write(np.frombuffer(content, np.float32) / max(peak, 1.0))
        partial.replace(target)
    except (OSError, TypeError, ValueError, soundfile.SoundFileError) as error:
        raise UserError(f"{target} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return peak


def enhance(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    """Enhance one recording [samples] at 16 kHz, as `enhanced_blocks` does."""
    return torch.cat([*enhanced_blocks(enhancer, [noisy])])


def enhanced_blocks(enhancer: SpeechEnhancer, noisy: Iterable[Tensor]) -> Iterator[Tensor]:
    """Enhance a recording that comes block by block; yield it in blocks of its whole length.

    Long recordings are cut into chunks of 20 s that overlap by 1 s and are cross-faded, so that
    memory stays bounded; each chunk is routed on its own.

    Args:
        enhancer: In evaluation mode.
        noisy: Blocks [samples] at 16 kHz, of any lengths.
    """
    keep_freed_memory()
    chunk, overlap = int(CHUNK_S * SAMPLE_RATE), int(OVERLAP_S * SAMPLE_RATE)
    hop = chunk - overlap
    waiting = torch.zeros(0)  # what is not yet enhanced for good
    output, weight = torch.zeros(0), torch.zeros(0)  # of the same samples
    window = torch.ones(chunk)
    ramp = torch.linspace(0, 1, overlap + 2)[1:-1]
    window[:overlap] *= ramp
    window[-overlap:] *= ramp.flip(0)
    is_first = True

    def add(begin: int) -> None:
        part = slice(begin, begin + chunk)
        output[part] += window * _once(enhancer, waiting[part])
        weight[part] += window

    for block in noisy:
        waiting = torch.cat([waiting, block])
        output, weight = (_longer(each, len(waiting)) for each in (output, weight))
        while len(waiting) >= chunk + hop:  # the next chunk is whole, too
            add(0)
            yield output[:hop] / weight[:hop]
            waiting, output, weight = (each[hop:].clone() for each in (waiting, output, weight))
            is_first = False
    total = len(waiting)
    if is_first and total <= chunk:
        yield _once(enhancer, waiting)
        return
    for start in range(0, total - overlap, hop):
        add(min(start, total - chunk))  # the last chunk is whole, too
    yield output / weight


def _longer(values: Tensor, samples: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, samples - len(values)))


def _once(enhancer: SpeechEnhancer, noisy: Tensor) -> Tensor:
    missing = max(0, int(SHORTEST_S * SAMPLE_RATE) - len(noisy))
    with torch.inference_mode():
        padded = torch.nn.functional.pad(noisy, (0, missing))
        return enhancer(padded[None])["enhanced_waveform"][0, : len(noisy)]
