"""`enhance` from file to file: levels, clipped sources, special files and names."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation.enhance import enhance, enhanced_blocks
from smoe.evaluation.enhance_files import enhance_file
from smoe.network.unet import SpeechEnhancer
from tests.smoe.evaluation import enhancers


@pytest.fixture
def enhancer() -> SpeechEnhancer:
    return enhancers.tiny()


@pytest.fixture
def unchanging() -> SpeechEnhancer:
    return enhancers.unchanging()


@pytest.fixture
def louder(unchanging: SpeechEnhancer) -> SpeechEnhancer:
    """A network whose mask is 4."""
    bias = next(p for n, p in unchanging.unet.output_conv.named_parameters() if "bias" in n)
    with torch.no_grad():
        bias.mul_(4)
    return unchanging


def tone(peak: float, seconds: float = 1.0) -> np.ndarray:
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return peak * np.sin(2 * np.pi * 440 * time_s)


@pytest.mark.parametrize("seconds", [0.3, 19.99, 20.0, 39.0, 39.1, 41.3, 58.7])
@pytest.mark.parametrize("block", [997, 65_536, 10**7])
def test_blocks_change_nothing(enhancer: SpeechEnhancer, seconds: float, block: int) -> None:
    torch.manual_seed(0)
    noisy = 0.1 * torch.randn(round(seconds * SAMPLE_RATE))
    parts = [*enhanced_blocks(enhancer, noisy.split(block))]
    assert torch.equal(torch.cat(parts), enhance(enhancer, noisy))


def test_a_clipped_recording_is_enhanced_with_a_note(
    unchanging: SpeechEnhancer, tmp_path: Path
) -> None:
    clipped = np.clip(tone(3.0), -1, 1)
    soundfile.write(tmp_path / "in.wav", clipped, SAMPLE_RATE)
    notes = enhance_file(unchanging, tmp_path / "in.wav", tmp_path / "out.wav")
    assert any("% of its samples were clipped already" in note for note in notes)
    written, _ = soundfile.read(tmp_path / "out.wav")
    assert np.corrcoef(written, clipped)[0, 1] > 0.999


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "out.ogg"])
def test_output_above_full_scale_is_lowered_and_never_clipped(
    louder: SpeechEnhancer, name: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", tone(0.5), SAMPLE_RATE, subtype="FLOAT")
    peak = float(enhance(louder, torch.from_numpy(tone(0.5).astype(np.float32))).abs().max())
    assert peak > 1.5
    notes = enhance_file(louder, tmp_path / "in.wav", tmp_path / name)
    expected = f"enhanced above full scale, hence lowered by {20 * np.log10(peak):.1f} dB"
    assert any(note.startswith(expected) for note in notes)
    written, _ = soundfile.read(tmp_path / name)
    middle = written[2000:-2000]
    assert np.abs(middle).max() == pytest.approx(1.0, abs=0.1)
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    at = np.arange(len(power)) * SAMPLE_RATE / len(middle)
    assert power[np.abs(at - 1320) < 30].sum() < 1e-3 * power.sum()  # where clipping would show


def test_output_within_full_scale_keeps_its_level(
    unchanging: SpeechEnhancer, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", tone(0.5), SAMPLE_RATE)
    assert enhance_file(unchanging, tmp_path / "in.wav", tmp_path / "out.wav") == []
    written, _ = soundfile.read(tmp_path / "out.wav")
    assert np.abs(written - tone(0.5)).max() < 1e-4


@pytest.mark.parametrize("name", ["fifo.wav", "zero.wav", "folder.wav", "offset.wav"])
def test_what_is_no_recording_is_refused_at_once(
    name: str, unchanging: SpeechEnhancer, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "offset.wav", np.full(SAMPLE_RATE, 0.4), SAMPLE_RATE)
    with pytest.raises(UserError, match=name):
        enhance_file(unchanging, tmp_path / name, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("name", ["fifo.wav", "folder.wav", "no/such/folder.wav", "out.xyz", "out"])
def test_where_nothing_can_be_written_is_one_sentence(
    name: str, unchanging: SpeechEnhancer, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "in.wav", tone(0.5), SAMPLE_RATE)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="cannot be written"):
        enhance_file(unchanging, tmp_path / "in.wav", tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_odd_names_work(unchanging: SpeechEnhancer, tmp_path: Path) -> None:
    for name in ("new\nline.wav", "per%20.wav", os.fsdecode(b"\xff.wav"), "l" * 250 + ".wav"):
        soundfile.write(tmp_path / "in.wav", tone(0.5), SAMPLE_RATE)
        source = (tmp_path / "in.wav").rename(tmp_path / name)
        (tmp_path / "out").mkdir(exist_ok=True)
        enhance_file(unchanging, source, tmp_path / "out" / name)
        assert (tmp_path / "out" / name).is_file()
