"""A corpus from a folder of the user's: `clean/`, `noise/`, `rir/`, or a `manifest.csv`.

Layouts:
    manifest.csv with columns path, kind, group and optionally split (seconds, source are ignored);
        beside it optionally rir_info.csv with path and any of t20_s, drr_db, onset_sample.
    clean/SPEAKER/*.wav, noise/TYPE/*.wav, rir/ROOM/*.wav, in any depth below; `speech` for `clean`.
        A file right below its kind's folder belongs to the group that its name begins with, up to
        the first "_" or "-" (speech), or is a group of its own (noise, rir).
        Folders named train, valid (dev, val) and test above or below the kind's set the split.

Where no splits are given, speakers, noise recordings and rooms are dealt out by a hash of their
names: 70 % train, 10 % valid, 20 % test, at least one each.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from joblib import Parallel, delayed

from smoe.config import SAMPLE_RATE
from smoe.corpora import acoustics
from smoe.corpora.audio import RefusedFileError, read, walk
from smoe.corpora.pool import KINDS, SPLITS, Recording, Refused
from smoe.errors import UserError

Progress = Callable[[str, int, int], None]
KIND_FOLDERS = {"clean": "speech", "speech": "speech", "noise": "noise", "rir": "rir"}
SPLIT_FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "dev": "valid", "test": "test"}
DIRECT_PATH = round(acoustics.DIRECT_PATH_S * SAMPLE_RATE)
UNITS = {"speech": "speakers", "noise": "noise recordings", "rir": "rooms"}


@dataclass(frozen=True)
class Source:
    """A file of a corpus before it is read.

    Attributes:
        path: The file.
        name: Relative to the corpus, with forward slashes.
        kind: "speech", "noise" or "rir".
        group: Speaker, type of noise or room.
        split: "train", "valid", "test", or "" where it is still to be dealt out.
        onset: Known onset of an impulse response, or None to detect it.
        rt60_s: Known reverberation time in s, or NaN to measure it.
    """

    path: Path
    name: str
    kind: str
    group: str
    split: str = ""
    onset: int | None = None
    rt60_s: float = float("nan")

    @property
    def unit(self) -> str:
        """What must not stand in two splits: speaker, noise recording or room."""
        return self.name if self.kind == "noise" else self.group


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
    if not root.is_dir():
        raise UserError(f"There is no folder {root}; give one with clean/, noise/ and rir/ in it.")
    manifest = root / "manifest.csv"
    return _from_manifest(root, manifest) if manifest.exists() else _from_tree(root)


def complete(found: list[Source], where: str, remedy: str) -> list[Source]:
    """The files in the order of the corpus, once every kind is there.

    Raises:
        UserError: A kind is missing; ends with the remedy.
    """
    for kind in KINDS:
        if not any(source.kind == kind for source in found):
            raise UserError(f"{where} holds no {kind} files; {remedy}.")
    return sorted(found, key=lambda s: (s.kind, s.group, s.name))


def _from_tree(root: Path) -> list[Source]:
    found = []
    for path in walk(root):
        parts = path.relative_to(root).parts
        below = next((i for i, p in enumerate(parts[:-1]) if p.lower() in KIND_FOLDERS), None)
        if below is None:
            continue
        kind = KIND_FOLDERS[parts[below].lower()]
        folders = [p for p in parts[below + 1 : -1] if p.lower() not in SPLIT_FOLDERS]
        split = next(
            (SPLIT_FOLDERS[p.lower()] for p in parts[:-1] if p.lower() in SPLIT_FOLDERS), ""
        )
        group = folders[0] if folders else path.stem
        if kind == "speech" and not folders:
            group = path.stem.replace("-", "_").split("_")[0]
        found.append(Source(path, "/".join(parts), kind, group, split))
    return found


def _from_manifest(root: Path, manifest: Path) -> list[Source]:
    responses = {row["path"]: row for row in _rows(root / "rir_info.csv", ("path",))}
    found, listed = [], set()
    for number, row in enumerate(_rows(manifest, ("path", "kind", "group")), start=2):
        kind, split = KIND_FOLDERS.get(row["kind"], ""), SPLIT_FOLDERS.get(row.get("split", ""), "")
        if not kind or (row.get("split") and not split):
            wrong = row["split"] if kind else row["kind"]
            raise UserError(
                f"{manifest}, line {number}: {wrong!r} is neither a kind (speech, noise, rir) "
                "nor a split (train, valid, test) in its place."
            )
        if row["path"] in listed:
            raise UserError(f"{manifest}, line {number}: {row['path']} is listed a second time.")
        listed.add(row["path"])
        known = responses.get(row["path"], {})
        found.append(
            Source(
                path=root / row["path"],
                name=row["path"],
                kind=kind,
                group=row["group"] or row["path"],
                split=split,
                onset=None if np.isnan(onset := _number(known, "onset_sample")) else int(onset),
                rt60_s=_number(known, "t20_s"),
            )
        )
    return found


def _rows(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file; none where there is no file."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as UTF-8 CSV ({error}); save it again.") from error
    for number, row in enumerate(rows, start=2):
        lacking = [column for column in required if not row.get(column)]
        if lacking:
            raise UserError(f"{path}, line {number}: the column {lacking[0]} is missing or empty.")
    return [{key: value for key, value in row.items() if key and value} for row in rows]


def _number(row: dict[str, str], column: str) -> float:
    """A number of rir_info.csv that is not negative, NaN where it is not given."""
    text = row.get(column, "nan")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0 or np.isinf(value):
        raise UserError(f"rir_info.csv gives {row['path']} a {column} of {text!r}; correct it.")
    return value


def dealt_out(found: list[Source]) -> list[Source]:
    """Give a split to every source of those kinds that have none.

    Raises:
        UserError: Fewer speakers, recordings or rooms than splits, or splits for only some files.
    """
    splits: dict[tuple[str, str], str] = {}
    for kind in KINDS:
        members = [source for source in found if source.kind == kind]
        without = [source for source in members if not source.split]
        if without and len(without) < len(members):
            raise UserError(
                f"{without[0].path} has no split, other {kind} files have; give all of them one, "
                "or none."
            )
        units = sorted({s.unit for s in without}, key=lambda u: hashlib.sha256(u.encode()).digest())
        if without and len(units) < len(SPLITS):
            raise UserError(
                f"The corpus has {len(units)} {UNITS[kind]}; train, valid and test need at least "
                f"{len(SPLITS)}, as they must not share any."
            )
        test, valid = max(1, round(0.2 * len(units))), max(1, round(0.1 * len(units)))
        for i, unit in enumerate(units):
            part = "test" if i < test else "valid" if i < test + valid else "train"
            splits[kind, unit] = part
    return [replace(s, split=s.split or splits[s.kind, s.unit]) for s in found]


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
    reading = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(
        delayed(_recording)(source) for source in found
    )
    refused = []
    for done, each in enumerate(cast(Iterator[Recording | Refused], reading), start=1):
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


def _recording(source: Source) -> Recording | Refused:
    try:
        decoded = read(source.path, source.kind)
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
        digest.update(repr(known).encode(errors="surrogateescape"))
        try:
            with source.path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            digest.update(b"cannot be opened")
    return digest.hexdigest()
