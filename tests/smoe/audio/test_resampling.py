"""The resampler is flat where speech is and lets nothing fold back, through files and blocks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pesq import pesq

from smoe.audio.reading import read
from smoe.audio.resampling import Resampler, resampled
from smoe.config import SAMPLE_RATE
from smoe.corpora import Corpus

RATES = (48_000, 44_100, 22_050, 96_000)


def tone(frequency_hz: float, sample_rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * sample_rate)) / sample_rate)


def level_db(frequency_hz: float, sample_rate: int) -> float:
    """Level of a tone after resampling, relative to before; edges left out."""
    out = resampled(tone(frequency_hz, sample_rate), sample_rate)[2000:-2000]
    return float(10 * np.log10(2 * np.mean(out**2) + 1e-30))


@pytest.mark.parametrize("sample_rate", RATES)
def test_the_passband_is_flat(sample_rate: int) -> None:
    levels = [level_db(frequency, sample_rate) for frequency in (50, 440, 1000, 4000, 7000, 7300)]
    assert max(map(abs, levels)) < 0.03
    assert level_db(7500, sample_rate) > -0.5


@pytest.mark.parametrize("sample_rate", RATES)
def test_nothing_folds_back(sample_rate: int) -> None:
    above = [f for f in (8050, 8200, 8500, 9000, 10_500, 15_900, 21_000) if f < sample_rate / 2]
    assert max(level_db(frequency, sample_rate) for frequency in above) < -140


def test_low_rates_gain_nothing_above_their_own_band() -> None:
    out = resampled(tone(3000, 8000), 8000)
    power = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
    above = np.fft.rfftfreq(len(out), 1 / SAMPLE_RATE) > 4100
    assert 10 * np.log10(power[above].max() / power.max()) < -110


@pytest.mark.parametrize("sample_rate", [48_000, 44_100, 8000, 11_025, 16_001])
def test_blocks_change_no_bit_and_no_length(sample_rate: int) -> None:
    audio = np.random.default_rng(0).standard_normal(2 * sample_rate + 17)
    whole = resampled(audio, sample_rate)
    assert len(whole) == round(len(audio) * SAMPLE_RATE / sample_rate)
    for block in (1000, 65_536):
        stream = Resampler(sample_rate)
        parts = [stream.push(audio[i : i + block]) for i in range(0, len(audio), block)]
        parts.append(stream.push(np.zeros(0), last=True))
        assert np.array_equal(np.concatenate(parts), whole)


def test_time_stays_in_place() -> None:
    for sample_rate in RATES:
        expected = tone(1000, SAMPLE_RATE)
        found = resampled(tone(1000, sample_rate), sample_rate)
        assert np.abs(found - expected)[500:-500].max() < 1e-3


def test_noise_above_8_khz_costs_no_quality(tmp_path: Path, tiny_corpus: Corpus) -> None:
    """Speech at 48 kHz with noise at 8 to 9 kHz scores like the speech alone."""
    rate, voice = 48_000, np.array(tiny_corpus.pools["speech", "test"].item(0)[: 4 * SAMPLE_RATE])
    spectrum = np.fft.rfft(voice)
    spectrum = np.pad(spectrum, (0, rate * len(voice) // SAMPLE_RATE // 2 + 1 - len(spectrum)))
    speech = np.fft.irfft(spectrum) * rate / SAMPLE_RATE
    hiss = np.fft.rfft(np.random.default_rng(0).standard_normal(len(speech)))
    frequency_hz = np.fft.rfftfreq(len(speech), 1 / rate)
    hiss[(frequency_hz < 8050) | (frequency_hz > 9000)] = 0
    noise = np.fft.irfft(hiss, len(speech))
    noise *= speech.std() / noise.std()
    soundfile.write(tmp_path / "a.wav", np.stack([speech, speech + noise]).T, rate, subtype="FLOAT")
    clean, noisy = (resampled(side, rate) for side in (speech, speech + noise))
    assert pesq(SAMPLE_RATE, clean, noisy, "wb") > 4.5
    mixed = read(tmp_path / "a.wav", "speech").audio
    assert np.abs(mixed - (clean + noisy) / 2).max() < 1e-5


PRINT = """
import hashlib, numpy as np
from smoe.audio.resampling import resampled
digest = hashlib.sha256()
for rate in (48_000, 44_100, 22_050, 8000):
    audio = 0.1 * np.random.default_rng(0).standard_normal(3 * rate)
    digest.update(resampled(audio, rate).astype(np.float32).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize(
    "machine",
    [
        {"SOXR_USE_SIMD": "0"},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ"},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA"},
    ],
)
def test_other_processors_give_the_same_bits(machine: dict[str, str]) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT], env={**os.environ, **extra}, capture_output=True,
            check=True, text=True,
        ).stdout
        for extra in ({}, machine)
    }  # fmt: skip
    assert len(digests) == 1
