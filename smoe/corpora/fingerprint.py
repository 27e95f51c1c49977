"""Audio fingerprints after Haitsma and Kalker (ISMIR 2002), and where two of them agree.

A code of 32 bit per frame says whether the difference between neighbouring bands grew or fell since
the frame before. A code survives a delay of some milliseconds, no more; hence one side of every
comparison has a frame every 4 ms, the other every 16 ms.
"""

from dataclasses import dataclass

import numpy as np

RATE = 4000
WINDOW, FINE, COARSE = 1024, 16, 64  # 256 ms every 4 or 16 ms
BANDS_HZ = np.geomspace(300, 1900, 34)
GATE_DB = 30.0  # frames this far below the loudest say nothing
SAME_CODE = 24  # codes that more frames than this share are no evidence
COMPARED_AT_ONCE = 1 << 19  # codes that are looked up at once, which bounds memory
AT_ONCE = 4096  # frames that are transformed at once, which bounds memory


@dataclass(frozen=True)
class Codes:
    """Codes of one recording.

    Attributes:
        starts: First sample at 4 kHz of each frame that is loud enough, int64 [frames].
        codes: uint32 [frames].
    """

    starts: np.ndarray
    codes: np.ndarray

    def every(self, hop: int) -> "Codes":
        """The frames on a coarser grid."""
        on = self.starts % hop == 0
        return Codes(self.starts[on], self.codes[on])


def fingerprint(slow: np.ndarray, hop: int) -> Codes:
    """Return the codes of a recording.

    Args:
        slow: float32 [samples] at 4 kHz.
        hop: Samples from frame to frame; a divisor of `COARSE`.
    """
    step = COARSE  # over which a code looks back, whatever the hop
    if len(slow) < WINDOW + step:
        slow = np.pad(slow, (0, WINDOW + step - len(slow)))
    windows = np.lib.stride_tricks.sliding_window_view(slow, WINDOW)[::hop]
    taper = np.hanning(WINDOW).astype(np.float32)
    edges = np.round(BANDS_HZ / RATE * WINDOW).astype(int)
    back = step // hop
    codes, energy = [], []
    for i in range(back, len(windows), AT_ONCE):
        part = windows[i - back : i + AT_ONCE] * taper
        power = np.abs(np.fft.rfft(part, axis=1)) ** 2
        bands = np.add.reduceat(power, edges, axis=1)[:, : len(edges) - 1]  # [frames, 33]
        slope = np.diff(bands, axis=1)
        rose = slope[back:] > slope[:-back]  # [frames, 32]
        codes.append(np.packbits(rose, axis=1).view(">u4")[:, 0].astype(np.uint32))
        energy.append(bands[back:].sum(1))
    loudness = np.concatenate(energy)
    loud = (loudness > loudness.max() * 10 ** (-GATE_DB / 10)) & (loudness > 0)
    frames = np.flatnonzero(loud)
    return Codes(frames * hop, np.concatenate(codes)[frames])


@dataclass(frozen=True)
class Match:
    """Two recordings that have codes in common.

    Attributes:
        one: Index of the recording on the coarse side.
        other: Index of the recording on the fine side.
        delay: Samples at 4 kHz by which the common sound starts later in `one`.
        start: Where in `one` some of it stands.
        codes: How many codes agree at about that delay.
    """

    one: int
    other: int
    delay: int
    start: int
    codes: int


def matches(coarse: list[Codes], fine: list[Codes], most: int) -> tuple[list[Match], int]:
    """Return where recordings agree, at one delay for each pair, and how many pairs do.

    Args:
        coarse: Recordings with codes every 16 ms.
        fine: Recordings with codes every 4 ms.
        most: Number of pairs to return, those that agree most.
    """
    if not coarse or not fine:
        return [], 0
    code, start, owner = _sorted(coarse)
    found: list[Match] = []
    pairs = first = 0
    while first < len(fine):
        last = first + 1
        frames = len(fine[first].codes)
        while last < len(fine) and frames + len(fine[last].codes) <= COMPARED_AT_ONCE:
            frames += len(fine[last].codes)
            last += 1
        some = _agreeing((code, start, owner), fine[first:last], first)
        pairs += len(some)
        found = sorted(found + some[:most], key=lambda match: -match.codes)[:most]
        first = last
    return found, pairs


def _agreeing(
    coarse: tuple[np.ndarray, np.ndarray, np.ndarray], fine: list[Codes], before: int
) -> list[Match]:
    """Matches of some recordings, the first of which has the index `before`."""
    code, start, owner = coarse
    other_code, other_start, other_owner = _sorted(fine)
    first = np.searchsorted(code, other_code, "left")
    count = np.searchsorted(code, other_code, "right") - first
    count[count > SAME_CODE] = 0
    there = np.repeat(np.arange(len(other_code)), count)
    here = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    pair = owner[here].astype(np.int64) * len(fine) + other_owner[there]
    delay = start[here] - other_start[there]
    order = np.lexsort((delay, pair))
    pair, delay, begins = pair[order], delay[order], start[here][order]
    # Codes at nearly one delay support each other: the sum over a coarse hop on either side.
    key = pair * (1 << 40) + delay + (1 << 39)
    support = np.searchsorted(key, key + COARSE, "right") - np.searchsorted(key, key - COARSE)
    best = np.lexsort((-support, pair))
    best = best[np.unique(pair[best], return_index=True)[1]]
    best = best[np.argsort(-support[best], kind="stable")]
    ones, others = pair[best] // len(fine), pair[best] % len(fine) + before
    columns = (ones, others, delay[best], begins[best], support[best])
    return [Match(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _sorted(members: list[Codes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    code = np.concatenate([m.codes for m in members])
    start = np.concatenate([m.starts for m in members])
    owner = np.repeat(np.arange(len(members)), [len(m.codes) for m in members])
    order = np.argsort(code, kind="stable")
    return code[order], start[order], owner[order]
