"""Twelve families of noise, each a short recipe from a seeded generator.

Colours apart, their spectra fall by some 6 dB per octave, as those of most real noises do: white
hiss over the whole band is rare outside laboratories, and drives PESQ to its floor at any SNR.
Every function takes the length in samples and a generator and returns float64 [samples] at 16 kHz
of arbitrary level. Babble is mixed from voices and therefore stands in `synthetic`.
"""

from collections.abc import Callable

import numpy as np
from scipy import signal

from smoe.config import SAMPLE_RATE

Noise = Callable[[int, np.random.Generator], np.ndarray]


def coloured(samples: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Gaussian noise whose power falls as 1 / frequency ** slope (0 white, 1 pink, 2 brown)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency_hz = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 20.0)
    noise = np.fft.irfft(spectrum * frequency_hz ** (-slope / 2), samples)
    return noise / noise.std()


def white(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Flat spectrum."""
    return coloured(samples, rng, 0)


def pink(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Power as 1 / f."""
    return coloured(samples, rng, 1)


def brown(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Power as 1 / f^2."""
    return coloured(samples, rng, 2)


def modulated(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Speech-shaped noise whose level swells at syllable rate, 2 to 8 Hz."""
    carrier = _band(coloured(samples, rng, 2), 150, 4000)
    swell = _slow(samples, rng, rate_hz=rng.uniform(2, 8))
    return carrier * 10 ** (swell * rng.uniform(0.4, 0.8))


def hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 or 60 Hz with harmonics that fall off, over a little hiss."""
    mains_hz = rng.choice([50.0, 60.0]) * (1 + rng.uniform(-0.002, 0.002))
    harmonics = np.arange(1, rng.integers(10, 40))
    strength = harmonics ** -rng.uniform(0.8, 1.6) * rng.uniform(0.2, 1, len(harmonics))
    return _tones(samples, rng, mains_hz * harmonics, strength) + 0.05 * brown(samples, rng)


def impulsive(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Knocks and clatter: damped resonances at random moments over a faint background."""
    noise = 0.02 * brown(samples, rng)
    for _ in range(rng.poisson(rng.uniform(1.5, 4) * samples / SAMPLE_RATE) + 2):
        length = int(rng.uniform(0.02, 0.2) * SAMPLE_RATE)
        decay = np.exp(-6 * np.arange(length) / length)
        tone = np.sin(2 * np.pi * rng.uniform(200, 3000) * np.arange(length) / SAMPLE_RATE)
        clatter = coloured(length, rng, 1.5)
        knock = decay * (tone + clatter) * 10 ** rng.uniform(-0.7, 0.3)
        start = rng.integers(0, max(samples - length, 1))
        noise[start : start + length] += knock[: samples - start]
    return noise


def rain(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Rain on a roof: hundreds of drops a second, each a short ping, over a falling rush."""
    drops = np.zeros(samples)
    count = int(rng.uniform(200, 1500) * samples / SAMPLE_RATE)
    np.add.at(drops, rng.integers(0, samples, count), rng.lognormal(0, 1, count))
    time_s = np.arange(int(0.004 * SAMPLE_RATE)) / SAMPLE_RATE
    ping = np.exp(-time_s * 1500) * np.sin(2 * np.pi * rng.uniform(600, 3000) * time_s)
    pings = signal.fftconvolve(drops, ping)[:samples]
    rush = _band(coloured(samples, rng, 2), 200, 7500)
    return rng.uniform(0.3, 1.0) * pings / pings.std() + rush


def fan(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Fan: blade-pass tone and harmonics over a low-passed flow noise that breathes slowly."""
    blade_hz = rng.uniform(60, 280)
    harmonics = np.arange(1, 8)
    tones = _tones(samples, rng, blade_hz * harmonics, 1.0 / harmonics**1.5)
    flow = _band(coloured(samples, rng, 2), 60, rng.uniform(1500, 5000))
    breath = 1 + 0.2 * _slow(samples, rng, rate_hz=0.5)
    return (rng.uniform(0.2, 0.8) * tones + flow) * breath


def traffic(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Street: a low rumble with cars that swell and fade past."""
    noise = 0.5 * _band(coloured(samples, rng, 2), 30, 400)
    time_s = np.arange(samples) / SAMPLE_RATE
    for _ in range(max(2, round(samples / SAMPLE_RATE / 2.5))):
        passing = np.exp(
            -0.5 * ((time_s - rng.uniform(0, time_s[-1])) / rng.uniform(0.4, 1.5)) ** 2
        )
        tyre = _band(coloured(samples, rng, 2), rng.uniform(80, 300), rng.uniform(1200, 3500))
        noise += passing * tyre * rng.uniform(0.5, 1.5)
    return noise


def wind(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Wind on a microphone: gusts of low-frequency noise."""
    gust = _slow(samples, rng, rate_hz=rng.uniform(0.4, 1.5))
    rumble = _band(coloured(samples, rng, 2), 20, rng.uniform(300, 900))
    return (rumble + 0.1 * brown(samples, rng)) * 10 ** (0.4 * gust)


def machine(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Workshop: a motor's harmonics and broadband noise, beaten at the stroke rate."""
    time_s = np.arange(samples) / SAMPLE_RATE
    stroke_hz = rng.uniform(4, 14)
    beat = np.abs(np.sin(np.pi * stroke_hz * time_s + rng.uniform(0, np.pi))) ** rng.uniform(1, 4)
    harmonics = np.arange(1, 24)
    motor = _tones(samples, rng, rng.uniform(90, 220) * harmonics, 1.0 / harmonics)
    grind = _band(coloured(samples, rng, 2), 300, 7000)
    return (0.2 + beat) * grind + 0.4 * motor


# "babble" is the twelfth; it is mixed from held-out voices in `synthetic`.
FAMILIES: dict[str, Noise] = {
    "white": white,
    "pink": pink,
    "brown": brown,
    "modulated": modulated,
    "hum": hum,
    "impulsive": impulsive,
    "rain": rain,
    "fan": fan,
    "traffic": traffic,
    "wind": wind,
    "machine": machine,
}


def _band(noise: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Second-order band-pass, scaled to unit power."""
    sections = signal.butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos")
    filtered = np.asarray(signal.sosfilt(sections, noise))
    return filtered / filtered.std()


def _slow(samples: int, rng: np.random.Generator, rate_hz: float) -> np.ndarray:
    """A smooth random curve of unit power that changes about `rate_hz` times a second."""
    knots = rng.standard_normal(int(samples / SAMPLE_RATE * 2 * rate_hz) + 4)
    at = np.linspace(1, len(knots) - 2, samples)
    return np.interp(at, np.arange(len(knots)), np.convolve(knots, [0.25, 0.5, 0.25], "same")) / 0.6


def _tones(
    samples: int, rng: np.random.Generator, frequencies_hz: np.ndarray, amplitudes: np.ndarray
) -> np.ndarray:
    """Sum of sinusoids below 7.5 kHz in random phases, scaled to unit power."""
    time_s = np.arange(samples) / SAMPLE_RATE
    total = np.zeros(samples)
    for frequency_hz, amplitude in zip(frequencies_hz, amplitudes, strict=True):
        phase = rng.uniform(0, 2 * np.pi)
        if frequency_hz < 7500:
            total += amplitude * np.sin(2 * np.pi * frequency_hz * time_s + phase)
    return total / total.std()
