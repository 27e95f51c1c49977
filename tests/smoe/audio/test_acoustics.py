"""Measures of impulse responses against decays that are known in closed form."""

import numpy as np
import pytest

from smoe.audio import acoustics
from smoe.synthesis.rooms import simulate

RATE = 16_000


def decay(rt60_s: float, seconds: float = 2.0) -> np.ndarray:
    """Noise whose energy falls by 60 dB in `rt60_s`."""
    time_s = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    return noise * 10 ** (-3 * time_s / rt60_s)


@pytest.mark.parametrize("rt60_s", [0.2, 0.5, 1.2])
def test_rt60_of_an_exponential_decay(rt60_s: float) -> None:
    assert acoustics.rt60_s(decay(rt60_s)) == pytest.approx(rt60_s, rel=0.05)


def test_rt60_is_not_bent_by_a_noise_floor() -> None:
    floor = 1e-3 * np.random.default_rng(1).standard_normal(2 * RATE)
    assert acoustics.rt60_s(decay(0.4) + floor) == pytest.approx(0.4, rel=0.1)


@pytest.mark.parametrize("rir", [np.ones(8000), decay(1000.0), np.zeros(100)])
def test_no_decay_has_no_rt60(rir: np.ndarray) -> None:
    assert np.isnan(acoustics.rt60_s(rir))


def test_drr_of_two_known_parts() -> None:
    rir = np.zeros(8000)
    rir[100], rir[1000], rir[2000] = 1.0, 0.3, 0.1
    assert acoustics.drr_db(rir, onset=100) == pytest.approx(10 * np.log10(1 / 0.1))
    rir[1000:] = 0
    assert np.isnan(acoustics.drr_db(rir, onset=100))


def test_onset_is_the_direct_path_even_below_a_later_reflection() -> None:
    rir = np.zeros(4000)
    rir[:50], rir[50], rir[900] = 0.01, 0.3, -1.0
    assert acoustics.onset_sample(rir) == 50


def test_simulated_rooms_start_at_their_onset_and_reverberate_as_measured() -> None:
    dry, wet = simulate(0.2, 1, seed=(1, 2)), simulate(0.7, 2, seed=(1, 3))
    assert 0.15 < dry[0].rt60_s < 0.3
    assert len(wet) == 2
    for response in wet:
        assert 0.5 < response.rt60_s < 1.2
        assert acoustics.onset_sample(response.audio) == 0
        assert np.abs(response.audio).max() == 1.0
    again = simulate(0.7, 2, seed=(1, 3))
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(wet, again, strict=True))
