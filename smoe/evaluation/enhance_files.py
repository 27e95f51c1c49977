"""Enhances audio files: rate, channels and bit depth stay, nothing is overwritten unasked."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import torch

from smoe.audio.decoding import open_audio
from smoe.audio.encoding import Encoding, encoding_for
from smoe.audio.reading import RefusedFileError
from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation.enhance import enhanced_blocks
from smoe.evaluation.enhance_plan import require_room, require_target
from smoe.evaluation.noisy_file import MultiResampler, NoisyFile
from smoe.network.unet import SpeechEnhancer

WRITTEN_AT_ONCE = 1 << 16  # samples of all channels

Progress = Callable[[float], None]  # is called with the share of the recording that is enhanced


def enhance_file(
    enhancer: SpeechEnhancer,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    progress: Progress = lambda share: None,
) -> list[str]:
    """Enhance a file into another one; return notes of what had to be done or changed.

    The source is read twice, and is never in memory as a whole. The target appears once it is
    complete. Where the network's output exceeds full scale, it is lowered as a whole, so that
    nothing is clipped.

    Raises:
        UserError: the source is no usable audio, or the target stands there already, is the
            source, or cannot be written.
    """
    require_target(source, target, force=force)
    try:
        with open_audio(source) as file:
            encoding = encoding_for(target, file)
            noisy = NoisyFile(file)
            scratch = noisy.frames * file.channels * 4
            require_room(target.parent, scratch + encoding.bytes_for(noisy.frames))
            peak = _enhance_to(target, encoding, enhancer, noisy, progress)
    except RefusedFileError as error:
        raise UserError(f"{source} {error}; give a recording of speech.") from error
    notes = [*noisy.notes, encoding.note] if encoding.note else noisy.notes
    if peak > 1:
        lowered_db = 20 * np.log10(peak)
        notes = [*notes, f"enhanced above full scale, hence lowered by {lowered_db:.1f} dB"]
    return notes


def _enhance_to(
    target: Path,
    encoding: Encoding,
    enhancer: SpeechEnhancer,
    noisy: NoisyFile,
    progress: Progress,
) -> float:
    """Write what a network makes of a recording; return its peak before it was lowered."""
    partial = target.with_name(f".enhancing-{os.getpid()}{target.suffix}")
    try:
        with tempfile.TemporaryFile(dir=target.parent) as scratch:
            peak, written = 0.0, 0
            for block in _at_source_rate(enhancer, noisy, encoding):
                peak = max(peak, float(np.abs(block).max(initial=0)))
                scratch.write(np.ascontiguousarray(block.T).tobytes())
                written += block.shape[1]
                progress(written / noisy.frames)
            scratch.seek(0)
            with encoding.open(partial, noisy.frames) as output:
                _copy(scratch, output, 1 / max(peak, 1.0))
        partial.replace(target)
    except (OSError, TypeError, ValueError, soundfile.SoundFileError) as error:
        raise UserError(f"{target} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return peak


def _at_source_rate(
    enhancer: SpeechEnhancer, noisy: NoisyFile, encoding: Encoding
) -> Iterator[np.ndarray]:
    """Yield the enhanced recording, float32 [channels, samples], as many samples as it had."""
    resample = MultiResampler(SAMPLE_RATE, encoding.sample_rate, encoding.channels)
    left = noisy.frames
    for enhanced in enhanced_blocks(enhancer, map(torch.from_numpy, noisy.blocks())):
        block = resample.push(enhanced.numpy())[:, :left]
        left -= block.shape[1]
        yield block
    rest = resample.push(np.zeros((encoding.channels, 0)), last=True)[:, :left]
    yield np.pad(rest, ((0, 0), (0, left - rest.shape[1])))


def _copy(scratch: BinaryIO, output: soundfile.SoundFile, gain: float) -> None:
    """Write float32 samples [samples, channels] to an audio file."""
    at_once = max(1, WRITTEN_AT_ONCE // output.channels) * output.channels * 4
    while content := scratch.read(at_once):
        output.write(np.frombuffer(content, np.float32).reshape(-1, output.channels) * gain)
