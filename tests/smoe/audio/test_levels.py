"""Clipping is samples in a row at full scale of a format that has one."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.audio.levels import Levels
from smoe.audio.reading import RefusedFileError, read

RATE = 16_000


def loud(peak: float) -> np.ndarray:
    """A tone that stands far above full scale where the format allows it."""
    return peak * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("peak", [1.0, 1.7, 50.0])
def test_floating_point_has_no_full_scale(subtype: str, peak: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", loud(peak), RATE, subtype=subtype)
    found = read(tmp_path / "a.wav", "speech")
    assert found.clipped == 0
    np.testing.assert_allclose(found.audio, loud(peak), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"), ("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "PCM_32"),
        ("a.wav", "ULAW"), ("a.wav", "ALAW"), ("a.flac", "PCM_16"), ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_S8"),
    ],
)  # fmt: skip
def test_integer_formats_clip_at_full_scale(name: str, subtype: str, tmp_path: Path) -> None:
    expected = np.mean(np.abs(loud(1.02)) >= 1)
    assert 0.1 < expected < 0.2
    soundfile.write(tmp_path / name, np.clip(loud(1.02), -1, 1), RATE, subtype=subtype)
    coarse = 0.11 if "LAW" in subtype else 0.05  # whose last step begins at 0.97 of full scale
    assert read(tmp_path / name, "noise").clipped == pytest.approx(expected, abs=coarse)
    with pytest.raises(RefusedFileError, match="of its samples are clipped"):
        read(tmp_path / name, "speech")
    soundfile.write(tmp_path / name, loud(0.9), RATE, subtype=subtype)
    assert read(tmp_path / name, "speech").clipped == 0


def test_single_samples_at_full_scale_are_not_clipping(tmp_path: Path) -> None:
    audio = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    audio[::50] = 1.0
    audio[25::50] = audio[26::50] = -1.0  # two in a row are not, either
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    assert read(tmp_path / "a.wav", "speech").clipped == 0


def test_runs_are_counted_across_blocks_and_by_channel() -> None:
    rng = np.random.default_rng(0)
    audio = np.where(rng.random((10_000, 3)) < 0.6, 1.0, 0.0)
    count = 0
    for channel in audio.T:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], channel, [0]])))
        lengths = edges[1::2] - edges[::2]
        count += int(lengths[lengths >= 3].sum())
    for block in (1, 2, 7, 1000, 10_000):
        levels = Levels()
        for start in range(0, len(audio), block):
            levels.add_channels(audio[start : start + block], 0.999)
        assert levels.clipped() == count / audio.size
