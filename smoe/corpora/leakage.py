"""The wall between the splits: no speaker, room or recording may stand on both sides of it.

A copy is found by its content hash, or, where it has another level, rate, coding or cut, by an
audio fingerprint after Haitsma and Kalker (ISMIR 2002): 32 bit per frame that say whether the
difference between neighbouring bands grew or fell since the frame before. Impulse responses, too
short for that, are compared by the correlation of what follows the direct path.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from scipy import signal

from smoe.config import SAMPLE_RATE
from smoe.corpora.acoustics import DIRECT_PATH_S
from smoe.corpora.pool import KINDS, SPLITS, Recording, Refused
from smoe.errors import UserError

DECIMATE = 4
DIRECT_PATH = round(DIRECT_PATH_S * SAMPLE_RATE)
WINDOW, HOP = 1024, 64  # at 4 kHz: 256 ms every 16 ms, so that half a hop of delay changes few bits
BANDS_HZ = np.geomspace(300, 1900, 34)
GATE_DB = 30.0  # frames this far below the loudest say nothing
SAME_CODE = 24  # codes that more frames than this have in common are no evidence
# Evidence is counted in windows, as one click alone makes all frames that see it alike. Unrelated
# recordings share up to 3 codes in 1 window; isolated clicks or cut-off tones up to 4 windows.
SHARED_WINDOWS, SHARED_PART = 6, 0.2
SAME_TAIL = 0.7  # correlation; measured: 0.86 for a copy one sample late, 0.3 for other rooms


@dataclass(frozen=True)
class Print:
    """What the guard keeps of a recording.

    Attributes:
        name: Of the file.
        kind: "speech", "noise" or "rir".
        unit: Speaker, room, or for noise the recording itself.
        split: Its split.
        content: Digest of the samples.
        frames: Indices of the frames with a code, int64 [frames].
        codes: uint32 [frames].
        tail: Of an impulse response what follows the direct path, of unit energy, float32 [1024];
            zeros otherwise.
    """

    name: str
    kind: str
    unit: str
    split: str
    content: bytes
    frames: np.ndarray
    codes: np.ndarray
    tail: np.ndarray


def guarded(recordings: Iterable[Recording | Refused]) -> Iterator[Recording | Refused]:
    """Pass recordings through and stop at the end if two splits share something.

    Raises:
        UserError: Names both files.
    """
    prints = []
    for each in recordings:
        if isinstance(each, Recording) and each.kind in KINDS:
            prints.append(_print(each))
        yield each
    leak = find_leak(prints)
    if leak:
        raise UserError(leak)


def _print(recording: Recording) -> Print:
    frames, codes = fingerprint(recording.audio)
    return Print(
        name=recording.name,
        kind=recording.kind,
        unit=recording.name if recording.kind == "noise" else recording.group,
        split=recording.split,
        content=sha256(recording.audio.tobytes()).digest(),
        frames=frames,
        codes=codes,
        tail=_tail(recording.audio) if recording.kind == "rir" else np.zeros(WINDOW, np.float32),
    )


def _tail(rir: np.ndarray) -> np.ndarray:
    slow = signal.resample_poly(rir[DIRECT_PATH:], 1, DECIMATE)[:WINDOW]
    tail = np.pad(slow, (0, WINDOW - len(slow))).astype(np.float32)
    return tail / max(float(np.linalg.norm(tail)), 1e-9)


def find_leak(prints: list[Print]) -> str | None:
    """The first thing that two splits share, as a sentence, or None."""
    for kind in ("speech", "noise", "rir"):
        members = [p for p in prints if p.kind == kind]
        leak = _shared_unit(members) or _shared_content(members)
        leak = leak or _shared_sound(members) or _shared_response(members)
        if leak:
            return leak
    return None


def _shared_unit(members: list[Print]) -> str | None:
    first: dict[str, Print] = {}
    for each in members:
        other = first.setdefault(each.unit, each)
        if other.split != each.split:
            what = {"speech": "The speaker", "rir": "The room"}.get(each.kind, "The recording")
            return (
                f"{what} {each.unit} stands in two splits: {_where(other)} and {_where(each)}; "
                "put all of its files into one."
            )
    return None


def _shared_content(members: list[Print]) -> str | None:
    first: dict[bytes, Print] = {}
    for each in members:
        other = first.setdefault(each.content, each)
        if other.split != each.split:
            return _same(other, each, "hold the same samples")
    return None


def _shared_sound(members: list[Print]) -> str | None:
    for one, other, windows in _matches(members):
        shorter = min(len(one.codes), len(other.codes)) * HOP / WINDOW
        if windows >= max(SHARED_WINDOWS, SHARED_PART * shorter):
            return _same(one, other, "hold the same sound (another level, rate or coding of it)")
    return None


def _shared_response(members: list[Print]) -> str | None:
    for place, split in enumerate(SPLITS):
        here = [p for p in members if p.split == split and p.tail.any()]
        there = [p for p in members if p.split in SPLITS[place + 1 :] and p.tail.any()]
        tails = np.array([p.tail for p in there])
        for each in here if there else []:
            alike = tails @ each.tail
            if alike.max() > SAME_TAIL:
                return _same(each, there[int(alike.argmax())], "hold the same impulse response")
    return None


def _same(one: Print, other: Print, what: str) -> str:
    return f"{_where(one)} and {_where(other)} {what}; remove one of them."


def _where(each: Print) -> str:
    return f"{each.name} ({each.split})"


def _matches(members: list[Print]) -> list[tuple[Print, Print, int]]:
    """Pairs across splits with the number of windows that agree at one common delay, most first."""
    if not members:
        return []
    code = np.concatenate([p.codes for p in members])
    frame = np.concatenate([p.frames for p in members])
    owner = np.repeat(np.arange(len(members)), [len(p.codes) for p in members])
    split = np.array([p.split for p in members])[owner]
    order = np.argsort(code, kind="stable")  # owners ascend within each code
    code, frame, owner, split = code[order], frame[order], owner[order], split[order]
    found = []
    for apart in range(1, SAME_CODE):
        pair = np.flatnonzero((code[:-apart] == code[apart:]) & (split[:-apart] != split[apart:]))
        delay = frame[pair + apart] - frame[pair]
        window = frame[pair] * HOP // WINDOW
        found.append(np.stack([owner[pair], owner[pair + apart], delay, window], axis=1))
    windows = np.unique(np.concatenate(found), axis=0)
    pairs, counts = np.unique(windows[:, :3], axis=0, return_counts=True)
    best = np.argsort(-counts, kind="stable")
    return [(members[pairs[i, 0]], members[pairs[i, 1]], int(counts[i])) for i in best[:10]]


def fingerprint(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a recording's frames.

    Args:
        audio: float32 [samples] at 16 kHz.

    Returns:
        Indices of the frames that are loud enough, int64 [frames], and their codes, uint32
        [frames].
    """
    slow = signal.resample_poly(audio, 1, DECIMATE)
    if len(slow) < WINDOW + HOP:
        slow = np.pad(slow, (0, WINDOW + HOP - len(slow)))
    windows = np.lib.stride_tricks.sliding_window_view(slow, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    edges = np.round(BANDS_HZ / (SAMPLE_RATE / DECIMATE) * WINDOW).astype(int)
    bands = np.add.reduceat(power, edges, axis=1)[:, : len(edges) - 1]  # [frames, 33]
    rose = np.diff(bands, axis=1)[1:] > np.diff(bands, axis=1)[:-1]  # [frames - 1, 32]
    codes = np.packbits(rose, axis=1).view(">u4")[:, 0].astype(np.uint32)
    energy = bands.sum(1)
    loud = (energy[1:] > energy.max() * 10 ** (-GATE_DB / 10)) & (energy[1:] > 0)
    frames = np.flatnonzero(loud)
    return frames, codes[frames]
