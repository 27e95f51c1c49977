"""The wall between the splits: no speaker, room or recording may stand on both sides of it.

A copy is found by its content hash, or, where it has another level, rate, coding or cut, by its
sound: fingerprints (see `fingerprint`) say where two recordings may be the same, their waveforms
whether they are (see `alike`). Impulse responses, too short for that, are compared by the
correlation of what follows the direct path. What was compared is what is said in the end.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy import signal

from smoe.audio.acoustics import DIRECT_PATH_S
from smoe.config import SAMPLE_RATE
from smoe.corpora.alike import same_sound
from smoe.corpora.fingerprint import COARSE, FINE, RATE, Codes, fingerprint, matches
from smoe.corpora.pool import KINDS, SPLITS, Recording, Refused
from smoe.errors import UserError

DECIMATE = SAMPLE_RATE // RATE
DIRECT_PATH = round(DIRECT_PATH_S * SAMPLE_RATE)
TAIL = 1024  # samples at 4 kHz of an impulse response that are compared
SAME_TAIL = 0.7  # correlation; measured: 0.86 for a copy one sample late, 0.3 for other rooms
SHORTEST_S = 0.5  # excerpts as short as this are found; shorter ones less and less
COMPARED = 20_000  # pairs whose waveforms are compared at most, those most alike first


@dataclass(frozen=True, eq=False)
class Print:
    """What the guard keeps of a recording.

    Attributes:
        name: Of the file.
        kind: "speech", "noise" or "rir".
        unit: Speaker, room, or for noise the recording itself.
        split: Its split.
        content: Digest of the samples.
        codes: Fingerprint; every 4 ms in the later splits, every 16 ms in training.
        samples: Length at 4 kHz.
        place: Where its samples at 4 kHz stand in the scratch file.
        tail: Of an impulse response what follows the direct path, of unit energy, float32 [1024];
            zeros otherwise.
        distinct_from: Names of recordings that the corpus's owner declares to be others.
    """

    name: str
    kind: str
    unit: str
    split: str
    content: bytes
    codes: Codes
    samples: int
    place: int
    tail: np.ndarray
    distinct_from: frozenset[str]


def guarded(
    recordings: Iterable[Recording | Refused],
    scratch: Path | None = None,
    remarks: dict[str, str] | None = None,
) -> Iterator[Recording | Refused]:
    """Pass recordings through and stop at the end if two splits share something.

    Args:
        recordings: Of a whole corpus.
        scratch: Folder for a temporary file, a sixteenth of the corpus's size; None for the
            system's.
        remarks: Where what was compared is put under "guard" in the end.

    Raises:
        UserError: Names both files.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        prints = []
        for each in recordings:
            if isinstance(each, Recording) and each.kind in KINDS:
                prints.append(_print(each, file))
            yield each
        guard = Guard(prints, file)
        leak = guard.find_leak()
        if leak:
            raise UserError(leak)
    if remarks is not None:
        remarks["guard"] = guard.verdict()


def _print(recording: Recording, file: BinaryIO) -> Print:
    slow = signal.resample_poly(recording.audio, 1, DECIMATE).astype(np.float32)
    is_rir = recording.kind == "rir"
    place = file.tell()
    if not is_rir:
        peak = max(float(np.abs(slow).max(initial=0)), 1e-30)
        file.write((slow / peak).astype(np.float16).tobytes())
    return Print(
        name=recording.name,
        kind=recording.kind,
        unit=recording.name if recording.kind == "noise" else recording.group,
        split=recording.split,
        content=sha256(np.ascontiguousarray(recording.audio).data).digest(),
        codes=fingerprint(slow[: 0 if is_rir else None], COARSE if _is_first(recording) else FINE),
        samples=len(slow),
        place=place,
        tail=_tail(recording.audio) if is_rir else np.zeros(TAIL, np.float32),
        distinct_from=recording.distinct_from,
    )


def _is_first(recording: Recording) -> bool:
    return recording.split == SPLITS[0]


def _tail(rir: np.ndarray) -> np.ndarray:
    slow = signal.resample_poly(rir[DIRECT_PATH:], 1, DECIMATE)[:TAIL]
    tail = np.pad(slow, (0, TAIL - len(slow))).astype(np.float32)
    return tail / max(float(np.linalg.norm(tail)), 1e-9)


class Guard:
    """Looks for what two splits share, and remembers what it has compared."""

    def __init__(self, prints: list[Print], file: BinaryIO) -> None:
        self._prints, self._file = prints, file
        self._alike = self._compared = 0
        self._declared: dict[tuple[str, str], None] = {}

    def find_leak(self) -> str | None:
        """The first thing that two splits share, as a sentence, or None."""
        for kind in KINDS:
            members = [p for p in self._prints if p.kind == kind]
            leak = _shared_unit(members) or _shared_content(members)
            leak = leak or (
                self._shared_response(members) if kind == "rir" else self._shared_sound(members)
            )
            if leak:
                return leak
        return None

    def verdict(self) -> str:
        """What was compared and found different, and what was not compared."""
        sounding = [p for p in self._prints if p.kind != "rir"]
        short = sum(p.samples < SHORTEST_S * RATE for p in sounding)
        said = (
            "leakage: none found. No speaker, room or recording stands in two splits by name or by "
            f"identical samples. Where fingerprints of two splits agree ({self._compared} pairs), "
            f"the sound was compared and is not the same; this finds most copied parts of "
            f"{SHORTEST_S} s and more, not every one."
        )
        if self._alike > self._compared:
            said += f" {self._alike - self._compared} further pairs were not compared."
        if short:
            said += f" {short} recordings under {SHORTEST_S} s may be copies unnoticed."
        bare = sum(p.kind == "rir" and not p.tail.any() for p in self._prints)
        if bare:
            said += (
                f" {bare} impulse responses of {1e3 * DIRECT_PATH_S:g} ms and less have nothing to "
                "compare beyond identical samples and may be copies unnoticed."
            )
        for one, other in self._declared:
            said += f" {one} and {other} are alike and count as distinct, as distinct.csv says."
        return said

    def _shared_sound(self, members: list[Print]) -> str | None:
        for place, split in enumerate(SPLITS):
            here = [p for p in members if p.split == split]
            there = [p for p in members if p.split in SPLITS[place + 1 :]]
            coarse, fine = [p.codes.every(COARSE) for p in here], [p.codes for p in there]
            found, pairs = matches(coarse, fine, max(0, COMPARED - self._compared))
            self._alike += pairs
            for match in found:
                one, other = here[match.one], there[match.other]
                self._compared += 1
                sounds = self._slow(one), self._slow(other)
                if same_sound(*sounds, match.delay, match.start):
                    what = "hold the same sound (another level, rate, coding or cut of it)"
                    if not self._is_declared(one, other):
                        first, second = sorted((one, other), key=members.index)
                        return _same(first, second, what)
        return None

    def _slow(self, each: Print) -> np.ndarray:
        self._file.seek(each.place)
        return np.frombuffer(self._file.read(2 * each.samples), np.float16)

    def _is_declared(self, one: Print, other: Print) -> bool:
        declared = other.name in one.distinct_from or one.name in other.distinct_from
        if declared:
            self._declared[one.name, other.name] = None
        return declared

    def _shared_response(self, members: list[Print]) -> str | None:
        for place, split in enumerate(SPLITS):
            here = [p for p in members if p.split == split and p.tail.any()]
            there = [p for p in members if p.split in SPLITS[place + 1 :] and p.tail.any()]
            tails = np.array([p.tail for p in there])
            for each in here if there else []:
                for index in np.flatnonzero(tails @ each.tail > SAME_TAIL):
                    if not self._is_declared(each, there[index]):
                        return _same(each, there[index], "hold the same impulse response")
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


def _same(one: Print, other: Print, what: str) -> str:
    remedy = "remove one of them"
    if "samples" not in what:
        remedy += ", or name the pair in distinct.csv (path,other) if they are not"
    return f"{_where(one)} and {_where(other)} {what}; {remedy}."


def _where(each: Print) -> str:
    return f"{each.name} ({each.split})"
