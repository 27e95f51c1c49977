"""`enhance` keeps sample rate, channels and bit depth, or says what it changes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation.enhance import enhance
from smoe.evaluation.enhance_files import enhance_file
from tests.smoe.evaluation.enhancers import tiny, unchanging

DEPTHS = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]


def tones(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    """A tone of its own frequency in each channel, faded in and out; [samples, channels]."""
    time_s = np.arange(round(seconds * rate)) / rate
    fade = np.minimum(1, 20 * np.minimum(time_s, seconds - time_s))
    at_hz = 300 * (1 + np.arange(channels))
    return 0.3 * fade[:, None] * np.sin(2 * np.pi * at_hz * time_s[:, None])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_sample_rate_length_and_channels_are_kept(rate: int, tmp_path: Path) -> None:
    noisy = tones(rate, 1.234567, channels=3)
    soundfile.write(tmp_path / "in.wav", noisy, rate, subtype="FLOAT")
    notes = enhance_file(unchanging(), tmp_path / "in.wav", tmp_path / "out.wav")
    written, written_rate = soundfile.read(tmp_path / "out.wav")
    assert written_rate == rate and written.shape == noisy.shape
    assert np.abs(written - noisy).max() < 1e-3  # neither delayed nor mixed
    assert any(f"brought back to {rate} Hz" in note for note in notes)
    assert any("nothing above 8 kHz" in note for note in notes) == (rate > SAMPLE_RATE)


def test_a_channel_does_not_depend_on_the_others(tmp_path: Path) -> None:
    """The second one is silent, which is no reason to refuse the file."""
    noisy = np.pad(0.1 * tones(SAMPLE_RATE, 2.0), ((0, 0), (0, 1)))
    soundfile.write(tmp_path / "in.wav", noisy, SAMPLE_RATE, subtype="FLOAT")
    enhance_file(tiny(), tmp_path / "in.wav", tmp_path / "out.wav")
    written, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    alone = enhance(tiny(), torch.from_numpy(noisy[:, 0].astype(np.float32)))
    assert np.array_equal(written[:, 0], alone.numpy())
    assert np.isfinite(written).all()


@pytest.mark.parametrize("depth", DEPTHS)
def test_bit_depth_is_kept(depth: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", tones(SAMPLE_RATE, 0.5), SAMPLE_RATE, subtype=depth)
    assert enhance_file(unchanging(), tmp_path / "in.wav", tmp_path / "out.wav") == []
    assert soundfile.info(tmp_path / "out.wav").subtype == depth


@pytest.mark.parametrize(
    ("source", "depth", "target", "written"),
    [
        ("in.wav", "PCM_24", "out.flac", "PCM_24"),
        ("in.wav", "FLOAT", "out.flac", "PCM_24"),
        ("in.wav", "ULAW", "out.flac", "PCM_16"),
        ("in.wav", "IMA_ADPCM", "out.wav", "PCM_16"),
        ("in.flac", "PCM_16", "out.ogg", "VORBIS"),
        ("in.ogg", "VORBIS", "out.wav", "PCM_16"),
        ("in.wav", "PCM_16", "out.opus", "OPUS"),
        ("in.mp3", "MPEG_LAYER_III", "out.mp3", "MPEG_LAYER_III"),
    ],
)
def test_another_encoding_is_said(
    source: str, depth: str, target: str, written: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / source, tones(SAMPLE_RATE, 1.0), SAMPLE_RATE, subtype=depth)
    notes = enhance_file(unchanging(), tmp_path / source, tmp_path / target)
    assert soundfile.info(tmp_path / target).subtype == written
    names = soundfile.available_subtypes()
    said = [note for note in notes if note == f"written as {names[written]}, it was {names[depth]}"]
    assert len(said) == (depth != written)


def test_what_a_format_cannot_hold_is_refused_before_work(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", tones(96_000, 1.0, channels=3), 96_000)
    with pytest.raises(UserError, match=r"3 channels at 96000 Hz; choose \.wav or \.flac"):
        enhance_file(tiny(), tmp_path / "in.wav", tmp_path / "out.mp3")


def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", tones(SAMPLE_RATE, 61.0), SAMPLE_RATE)
    shares: list[float] = []
    enhance_file(unchanging(), tmp_path / "in.wav", tmp_path / "out.wav", progress=shares.append)
    assert shares == sorted(shares) and len(shares) > 2 and shares[-1] == 1.0
