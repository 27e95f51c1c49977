"""Simulated rooms: shoebox image source method with the reverberation time measured afterwards."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyroomacoustics as pra

from smoe.audio import acoustics
from smoe.config import SAMPLE_RATE

ORDER_SHARE = 0.6  # of the order that reaches -60 dB: the decay to -36 dB, cubically fewer images
IMAGE_JITTER_M = 0.05  # De Sena et al. 2015: breaks up the sweeping echoes of a perfect shoebox
WALL_MARGIN_M = 0.5
NO_TAIL_BELOW_DB = -60.0


@dataclass(frozen=True)
class Response:
    """One simulated impulse response.

    Attributes:
        audio: float32 [samples] from the onset of the direct path, peak 1, rounded to 24 bit.
        rt60_s: Measured reverberation time in s.
        drr_db: Measured direct-to-reverberant ratio in dB.
    """

    audio: np.ndarray
    rt60_s: float
    drr_db: float


def simulate(sabine_s: float, positions: int, seed: tuple[int, ...]) -> list[Response]:
    """Impulse responses between random positions in one random room.

    Args:
        sabine_s: Reverberation time in s that Sabine's formula should give; the measured one,
            which is what counts, comes out up to a third larger in rooms that reverberate.
        positions: Number of source and microphone pairs.
        seed: Of the room's size and positions.
    """
    rng = np.random.default_rng(seed)
    size_m = _room_size(sabine_s, rng)
    absorption, order = pra.inverse_sabine(sabine_s, size_m)
    # One thread: the order of summation, and with it the last bit, must not depend on the machine.
    pra.constants.set("num_threads", 1)
    return [
        _response(size_m, absorption, round(ORDER_SHARE * order), rng) for _ in range(positions)
    ]


def _room_size(sabine_s: float, rng: np.random.Generator) -> np.ndarray:
    """A floor plan that grows with the reverberation time, as real rooms do; [3] in m."""
    width_m = (2.8 + 6.5 * sabine_s) * rng.uniform(0.9, 1.2)
    return np.array([width_m * rng.uniform(1.1, 1.5), width_m, 2.4 + sabine_s * rng.uniform(0, 2)])


def _response(
    size_m: np.ndarray, absorption: float, order: int, rng: np.random.Generator
) -> Response:
    pra.random.seed(int(rng.integers(2**31)))
    room = pra.ShoeBox(
        size_m,
        fs=SAMPLE_RATE,
        materials=pra.Material(absorption),
        max_order=order,
        use_rand_ism=True,
        max_rand_disp=IMAGE_JITTER_M,
    )
    source, microphone = _positions(size_m, rng)
    room.add_source(source)
    room.add_microphone(microphone)
    room.compute_rir()
    rir = np.asarray(cast(list, room.rir)[0][0], dtype=np.float64)
    rir = _without_tail(rir[acoustics.onset_sample(rir) :])
    rir = (np.round(rir / np.abs(rir).max() * 2**23) / 2**23).astype(np.float32)
    return Response(rir, acoustics.rt60_s(rir), acoustics.drr_db(rir))


def _positions(size_m: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Source and microphone, [3] each in m: off the walls, at head height.

    Their distance is uniform from 0.3 to 2.5 m, from well within the room's critical distance to
    well outside, so that direct-to-reverberant ratios vary.
    """
    distance_m = rng.uniform(0.3, 2.5)
    low = np.array([WALL_MARGIN_M, WALL_MARGIN_M, 1.0])
    high = np.array([size_m[0] - WALL_MARGIN_M, size_m[1] - WALL_MARGIN_M, 1.9])
    while True:
        source, microphone = rng.uniform(low, high), rng.uniform(low, high)
        if abs(np.linalg.norm(source - microphone) - distance_m) < 0.1:
            return source, microphone


def _without_tail(rir: np.ndarray) -> np.ndarray:
    """Cut where the energy still to come is 60 dB under the whole."""
    to_come = np.cumsum(rir[::-1] ** 2)[::-1]
    return rir[: int(np.flatnonzero(to_come > to_come[0] * 10 ** (NO_TAIL_BELOW_DB / 10))[-1]) + 1]
