"""A corpus from a folder of the user's: `clean/`, `noise/`, `rir/`, or a `manifest.csv`.

Layouts:
    manifest.csv with columns path, kind, group and optionally split and item (see `manifest`);
        beside it optionally rir_info.csv with path and any of t20_s, drr_db, onset_sample.
    clean/SPEAKER/*.wav, noise/TYPE/*.wav, rir/ROOM/*.wav, in any depth below; `speech` for `clean`.
        A SOFA file in rir/ gives several responses, see `sofa`.
        A file right below its kind's folder belongs to the group that its name begins with, up to
        the first "_" or "-" (speech), or is a group of its own (noise, rir).
        Folders named train, valid (dev, val) and test above or below the kind's set the split.

Where no splits are given, speakers, noise recordings and rooms are dealt out by a hash of their
names: 70 % train, 10 % valid, 20 % test, at least one each.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from smoe.audio import acoustics
from smoe.audio.decoding import unreadable
from smoe.audio.reading import RefusedFileError, read
from smoe.audio.sofa import responses
from smoe.audio.source import KIND_FOLDERS, SPLIT_FOLDERS, Source
from smoe.audio.walking import everything, summarised
from smoe.config import SAMPLE_RATE
from smoe.corpora.manifest import MANIFEST, OWN, declared_distinct, from_manifest
from smoe.corpora.pool import KINDS, SPLITS, Recording, Refused
from smoe.corpora.spec import comparable, is_folder
from smoe.errors import UserError

Progress = Callable[[str, int, int], None]
DIRECT_PATH = round(acoustics.DIRECT_PATH_S * SAMPLE_RATE)
UNITS = {"speech": "speakers", "noise": "noise recordings", "rir": "rooms"}
ELSEWHERE = "stands in no folder named clean, speech, noise or rir"


def sources(root: Path) -> list[Source]:
    """List the files of a folder with their splits.

    Raises:
        UserError: No such folder, no files of some kind, or fewer groups than splits.
    """
    remedy = "put some into a folder of that name in it, or name them in a manifest.csv"
    return dealt_out(complete(tree(root), str(root), remedy))


def tree(root: Path) -> list[Source]:
    """List the files of a folder, splits only where it gives them.

    Raises:
        UserError: No such folder, or a wrong manifest.
    """
    if not is_folder(str(root)):
        raise UserError(f"There is no folder {root}; give one with clean/, noise/ and rir/ in it.")
    found = from_manifest(root) if os.path.lexists(root / MANIFEST) else _from_tree(root)
    return declared_distinct(root, found)


def complete(found: list[Source], where: str, remedy: str) -> list[Source]:
    """The files in the order of the corpus, once every kind is there.

    Raises:
        UserError: A kind is missing; ends with the remedy.
    """
    for kind in KINDS:
        if not any(source.kind == kind and not source.refused for source in found):
            raise UserError(f"{where} holds no {kind} files{_first_refused(found)}; {remedy}.")
    return sorted(found, key=lambda s: (s.kind, s.group, s.name))


def _first_refused(found: list[Source]) -> str:
    refused = [source for source in found if source.refused]
    return f" (refused: {refused[0].name} {refused[0].refused})" if refused else ""


def _from_tree(root: Path) -> list[Source]:
    found: dict[str, Source] = {}
    left_out = []
    for path, reason in everything(root):
        parts = path.relative_to(root).parts
        place = _place(parts)
        name = comparable("/".join(parts))
        if name in found:  # another spelling of the same accents
            name = "/".join(parts)
        if reason or place is None:
            if name not in OWN:
                left_out.append((name, reason or ELSEWHERE))
        else:
            held = responses(Source(path, name, *place))
            found |= {each.name: each for each in held}
    refused = [Source(root / n, n, "", "", refused=reason) for n, reason in summarised(left_out)]
    return [*found.values(), *refused]


def _place(parts: tuple[str, ...]) -> tuple[str, str, str] | None:
    """Kind, group and split of a file by the folders that it stands in, or None."""
    below = next((i for i, p in enumerate(parts[:-1]) if p.lower() in KIND_FOLDERS), None)
    if below is None:
        return None
    kind = KIND_FOLDERS[parts[below].lower()]
    folders = [p for p in parts[below + 1 : -1] if p.lower() not in SPLIT_FOLDERS]
    splits = (SPLIT_FOLDERS[p.lower()] for p in parts[:-1] if p.lower() in SPLIT_FOLDERS)
    stem = Path(parts[-1]).stem
    group = folders[0] if folders else stem
    if kind == "speech" and not folders:
        group = stem.replace("-", "_").split("_")[0]
    return kind, comparable(group), next(splits, "")


def dealt_out(found: list[Source]) -> list[Source]:
    """Give a split to every source of those kinds that have none.

    Raises:
        UserError: Fewer speakers, recordings or rooms than splits, or splits for only some files.
    """
    splits: dict[tuple[str, str], str] = {}
    for kind in KINDS:
        members = [source for source in found if source.kind == kind and not source.refused]
        without = [source for source in members if not source.split]
        if without and len(without) < len(members):
            raise UserError(
                f"{without[0].path} has no split, other {kind} files have; give all of them one, "
                "or none."
            )
        units = sorted({s.unit for s in without}, key=_drawn)
        if without and len(units) < len(SPLITS):
            raise UserError(
                f"The corpus has {len(units)} {UNITS[kind]}; train, valid and test need at least "
                f"{len(SPLITS)}, as they must not share any."
            )
        test, valid = max(1, round(0.2 * len(units))), max(1, round(0.1 * len(units)))
        for i, unit in enumerate(units):
            part = "test" if i < test else "valid" if i < test + valid else "train"
            splits[kind, unit] = part
    return [replace(s, split=s.split or splits.get((s.kind, s.unit), "")) for s in found]


def _drawn(unit: str) -> bytes:
    """A number drawn for a unit by its name, which says nothing about where the corpus lies."""
    return hashlib.sha256(unit.encode(errors="surrogateescape")).digest()


def recordings(found: list[Source], jobs: int, progress: Progress) -> Iterator[Recording | Refused]:
    """Read every file; one that cannot serve is refused by name, the others go on.

    Args:
        found: From `sources`.
        jobs: Threads that decode.
        progress: Called with what is being done, how much is done, and of how much.

    Raises:
        UserError: A kind has no usable file left in some split.
    """
    left = {(kind, split) for kind in KINDS for split in SPLITS}
    refused = []
    for done, each in enumerate(_in_order(found, jobs), start=1):
        if isinstance(each, Refused):
            refused.append(each)
        else:
            left.discard((each.kind, each.split))
        yield each
        progress("reading audio files", done, len(found))
    for kind, split in sorted(left):
        reason = f" (refused: {refused[0].name} {refused[0].reason})" if refused else ""
        raise UserError(
            f"No usable {kind} file is left for {split}{reason}; "
            f"add {UNITS[kind]} or correct the splits."
        )


def _in_order(found: Iterable[Source], jobs: int) -> Iterator[Recording | Refused]:
    """Read files in threads, a few ahead of what is asked for, so that memory stays bounded."""
    with ThreadPoolExecutor(jobs) as threads:
        reading: deque[Future[Recording | Refused]] = deque()
        try:
            for source in found:
                reading.append(threads.submit(_recording, source))
                if len(reading) > jobs:
                    yield reading.popleft().result()
            while reading:
                yield reading.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _recording(source: Source) -> Recording | Refused:
    if source.refused:
        return Refused(source.name, source.refused)
    try:
        decoded = read(source.path, source.kind, source.item)
        audio, rt60_s, drr_db = decoded.audio, float("nan"), float("nan")
        if source.kind == "rir":
            audio, rt60_s = _response(audio, source)
            drr_db = acoustics.drr_db(audio)
    except RefusedFileError as error:
        return Refused(source.name, str(error))
    return Recording(
        name=source.name,
        kind=source.kind,
        group=source.group,
        split=source.split,
        audio=audio,
        rt60_s=rt60_s,
        drr_db=drr_db,
        clipped=decoded.clipped,
        notes=decoded.notes,
        distinct_from=source.distinct_from,
    )


def _response(audio: np.ndarray, source: Source) -> tuple[np.ndarray, float]:
    """An impulse response from its onset, and its reverberation time."""
    onset = acoustics.onset_sample(audio) if source.onset is None else source.onset
    audio = audio[onset:]
    if len(audio) < 0.02 * SAMPLE_RATE or not audio[:DIRECT_PATH].any():
        raise RefusedFileError(f"has no sound at its onset, sample {onset}")
    rt60_s = source.rt60_s if np.isfinite(source.rt60_s) else acoustics.rt60_s(audio)
    if not np.isfinite(rt60_s):
        raise RefusedFileError("shows no decay of 25 dB, so that it has no reverberation time")
    return audio, rt60_s


def content_hash(found: list[Source]) -> str:
    """Hex sha256 over every file's name, place in the corpus and bytes."""
    digest = hashlib.sha256()
    for source in found:
        known = (source.name, source.kind, source.group, source.split, source.onset, source.rt60_s)
        told = (*known, source.refused, sorted(source.distinct_from))
        digest.update(repr(told).encode(errors="surrogateescape"))
        if source.refused:
            continue
        try:
            if unreadable(source.path):  # of a public corpus; a FIFO would never end
                raise OSError
            with source.path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            digest.update(b"cannot be opened")
    return digest.hexdigest()
