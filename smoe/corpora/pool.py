"""A prepared corpus: pools of clean speech, noise and room impulse responses.

A pool lays all recordings of one kind and split end to end in one memory-mapped float32 file;
recordings of one group (speaker, noise type, room) stand next to each other.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from smoe.errors import UserError

KINDS = ("speech", "noise", "rir")  # what mixtures are made of
PAIRED = "noisy"  # published noisy recordings of a test set, partners of clean ones; see voicebank
SPLITS = ("train", "valid", "test")
FORMAT = 2  # of the cache folder; raise it when the layout below changes


@dataclass(frozen=True)
class Recording:
    """One decoded recording on its way into a pool.

    Attributes:
        name: Relative name, unique within its corpus.
        kind: One of `KINDS`, or `PAIRED`.
        group: Speaker, type of noise or room.
        split: "train", "valid" or "test".
        audio: float32 [samples], 16 kHz mono. An impulse response starts at its onset.
        rt60_s: Reverberation time in s (NaN unless an impulse response).
        drr_db: Direct-to-reverberant ratio in dB (NaN unless an impulse response).
        clipped: Share of samples at full scale in the source file.
        notes: What was done to it, e.g. "resampled from 44100 Hz".
        distinct_from: Names of recordings that it sounds like, but is not, by its owner's word.
    """

    name: str
    kind: str
    group: str
    split: str
    audio: np.ndarray
    rt60_s: float = float("nan")
    drr_db: float = float("nan")
    clipped: float = 0.0
    notes: tuple[str, ...] = ()
    distinct_from: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refused:
    """A file that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Pool:
    """All recordings of one kind and split, laid end to end.

    Attributes:
        audio: float32 [samples], memory-mapped, 16 kHz mono.
        starts: int64 [items], first sample of each recording.
        lengths: int64 [items], in samples.
        names: Relative name of each recording.
        groups: Speaker, type of noise or room of each recording; equal groups are neighbours.
        rt60_s: float32 [items], reverberation time in s (NaN unless impulse responses).
        drr_db: float32 [items], direct-to-reverberant ratio in dB (NaN unless impulse responses).
        clipped: float32 [items], share of samples at full scale in the source.
        hashes: Hex sha256 of each recording's float32 samples.
    """

    audio: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    names: list[str]
    groups: list[str]
    rt60_s: np.ndarray
    drr_db: np.ndarray
    clipped: np.ndarray
    hashes: list[str]

    def item(self, index: int | np.integer) -> np.ndarray:
        """Samples of one recording, float32 [samples]."""
        start = self.starts[index]
        return self.audio[start : start + self.lengths[index]]


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus.

    Attributes:
        name: What the user asked for, e.g. "synthetic".
        data_hash: Hex sha256 over name, kind, group, split and content of every recording; part of
            every run's identity.
        folder: The cache folder, from which another process loads the very same corpus.
        pools: By kind and split; a split without recordings has no entry.
        notes: What was done to the files, e.g. how many were resampled.
        refused: Files left out, with the reason.
        remarks: What is to be said of the whole, e.g. under "guard" what the leakage guard found.
    """

    name: str
    data_hash: str
    folder: Path
    pools: dict[tuple[str, str], Pool]
    notes: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)


def manifest_hash(pools: dict[tuple[str, str], Pool]) -> str:
    """Hex sha256 over the sorted manifest (name, kind, group, split, content, RT60)."""
    rows = sorted(
        [name, kind, group, split, digest, round(float(rt60_s), 4)]
        for (kind, split), pool in pools.items()
        for name, group, digest, rt60_s in zip(
            pool.names, pool.groups, pool.hashes, np.nan_to_num(pool.rt60_s), strict=True
        )
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def save(
    folder: Path,
    recordings: Iterable[Recording | Refused],
    remarks: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a cache folder as a whole: under a temporary name, flushed, then renamed.

    Args:
        folder: The cache folder.
        recordings: In a reproducible order, which becomes the order within each pool; may be a
            generator, so that a corpus need not fit in memory.
        remarks: What is to be said of the whole, read once all recordings have come.

    Raises:
        OSError: The disk is full or the folder not writable; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    temporary = folder.parent / f".preparing-{uuid.uuid4().hex[:16]}"
    temporary.mkdir()  # with the rights that the umask gives: colleagues may share prepared corpora
    try:
        index = _write_pools(temporary, recordings)
        text = json.dumps({**index, "remarks": dict(remarks)}).encode()
        _write(temporary / "index.json", text)
        _write(temporary / "index.sha256", f"{FORMAT} {_sha256(text)}".encode())
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was first with the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Delete what preparations that were killed have left, untouched for an hour."""
    for left in parent.glob(".preparing-*"):
        touched = [path.stat().st_mtime for path in (left, *left.glob("*")) if path.exists()]
        if touched and max(touched) < time.time() - 3600:
            shutil.rmtree(left, ignore_errors=True)


def _write_pools(folder: Path, recordings: Iterable[Recording | Refused]) -> dict:
    """Write the audio files; return the index without its checksum."""
    items: dict[tuple[str, str], list[dict]] = {}
    notes: Counter[str] = Counter()
    refused = []
    with contextlib.ExitStack() as stack:
        files: dict[tuple[str, str], BinaryIO] = {}
        for each in recordings:
            if isinstance(each, Refused):
                refused.append(asdict(each))
                continue
            key = (each.kind, each.split)
            if key not in files:
                path = folder / f"{each.kind}-{each.split}.f32"
                files[key] = stack.enter_context(path.open("wb"))
            content = np.ascontiguousarray(each.audio, dtype="<f4").data.cast("B")
            files[key].write(content)
            items.setdefault(key, []).append(_entry(each, content))
            notes.update(f"{each.kind} {note}" for note in each.notes)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return {
        "pools": [{"kind": k, "split": s, "items": items[k, s]} for k, s in sorted(items)],
        "notes": [f"{count} x {note}" for note, count in sorted(notes.items())],
        "refused": refused,
    }


def _entry(recording: Recording, content: memoryview) -> dict:
    return {
        "name": recording.name,
        "group": recording.group,
        "samples": len(recording.audio),
        "sha256": _sha256(content),
        "rt60_s": _finite_or_none(recording.rt60_s),
        "drr_db": _finite_or_none(recording.drr_db),
        "clipped": float(recording.clipped),
    }


def load(folder: Path, name: str) -> Corpus | None:
    """Open a cache folder, or return None where there is none or it is damaged.

    Raises:
        UserError: It is another user's, who does not allow it to be read.
    """
    try:
        text = (folder / "index.json").read_bytes()
        mark = (folder / "index.sha256").read_text()
        if mark != f"{FORMAT} {_sha256(text)}":
            return None
        index = json.loads(text)
        pools = {(p["kind"], p["split"]): _open_pool(folder, p) for p in index["pools"]}
    except PermissionError as error:
        raise UserError(
            f"The prepared corpus in {folder} may not be read ({error.strerror}); have its owner "
            "allow it (chmod -R a+rX), or choose another folder for results."
        ) from error
    except (OSError, ValueError):
        return None
    refused = [Refused(**each) for each in index["refused"]]
    return Corpus(
        name, manifest_hash(pools), folder, pools, index["notes"], refused, index["remarks"]
    )


def _open_pool(folder: Path, entry: dict) -> Pool:
    items = entry["items"]
    lengths = np.array([item["samples"] for item in items], dtype=np.int64)
    path = folder / f"{entry['kind']}-{entry['split']}.f32"
    if path.stat().st_size != 4 * lengths.sum():
        raise ValueError(f"{path} has been cut short")
    return Pool(
        audio=np.memmap(path, dtype="<f4", mode="r"),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        names=[item["name"] for item in items],
        groups=[item["group"] for item in items],
        rt60_s=_column(items, "rt60_s"),
        drr_db=_column(items, "drr_db"),
        clipped=_column(items, "clipped"),
        hashes=[item["sha256"] for item in items],
    )


def _column(items: list[dict], key: str) -> np.ndarray:
    return np.array([np.nan if i[key] is None else i[key] for i in items], dtype=np.float32)


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sha256(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
