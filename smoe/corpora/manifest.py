"""The files of a folder as its `manifest.csv` names them.

Columns: path, kind, group and optionally split and item (others are ignored). An item such as
"M4:R0" is one response of a SOFA file, which several rows may name; without it the choice is that
of `sofa`. Beside the manifest may stand rir_info.csv with path (PATH#ITEM of an item) and any of
t20_s, drr_db, onset_sample.

Any folder may have a `distinct.csv`, columns path and other: pairs that the leakage guard takes for
the same sound and that are not. It is said which of them were.
"""

import csv
import io
import os
import posixpath
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from smoe.audio.decoding import unreadable
from smoe.audio.sofa import responses
from smoe.audio.source import KIND_FOLDERS, SPLIT_FOLDERS, Source
from smoe.audio.walking import audio_by_name, summarised
from smoe.corpora.spec import comparable
from smoe.errors import UserError

MANIFEST, RESPONSES, DISTINCT = OWN = ("manifest.csv", "rir_info.csv", "distinct.csv")
UNLISTED = f"is not listed in {MANIFEST}"


def from_manifest(root: Path) -> list[Source]:
    """List the files that a folder's manifest names.

    Raises:
        UserError: The manifest cannot be read or names something wrong; says which line.
    """
    manifest = root / MANIFEST
    known = {_place(root, r["path"])[1]: r for r in _rows(root / RESPONSES, ("path",))}
    found: dict[str, Source] = {}
    for number, row in enumerate(_rows(manifest, ("path", "kind", "group")), start=2):
        kind, split = KIND_FOLDERS.get(row["kind"], ""), SPLIT_FOLDERS.get(row.get("split", ""), "")
        if not kind or (row.get("split") and not split):
            wrong = row["split"] if kind else row["kind"]
            raise UserError(
                f"{manifest}, line {number}: {wrong!r} is neither a kind (speech, noise, rir) "
                "nor a split (train, valid, test) in its place."
            )
        path, name = _place(root, row["path"])
        group, refused = comparable(row["group"]), unreadable(path) or ""
        listed = Source(path, name, kind, group, split, refused=refused)
        for each in responses(listed, row.get("item", "")):
            if each.name in found:
                raise UserError(
                    f"{manifest}, line {number}: {row['path']} is listed a second time."
                )
            found[each.name] = _measured(each, known.get(each.name, {}))
    return [*found.values(), *_unlisted(root, found)]


def declared_distinct(root: Path, found: list[Source]) -> list[Source]:
    """Add to files what `distinct.csv` says about them.

    Raises:
        UserError: It cannot be read, or names a file that is not in the corpus.
    """
    names = {source.name for source in found}
    distinct: dict[str, set[str]] = {}
    for number, row in enumerate(_rows(root / DISTINCT, ("path", "other")), start=2):
        one, other = (_place(root, row[column])[1] for column in ("path", "other"))
        for name in (one, other):
            if name not in names:
                raise UserError(f"{root / DISTINCT}, line {number}: the corpus has no file {name}.")
        distinct.setdefault(one, set()).add(other)
    return [
        replace(s, distinct_from=frozenset(distinct[s.name])) if s.name in distinct else s
        for s in found
    ]


def _measured(source: Source, known: dict[str, str]) -> Source:
    """A source with what rir_info.csv says about it."""
    onset = _number(known, "onset_sample")
    return replace(
        source,
        onset=None if np.isnan(onset) else int(onset),
        rt60_s=_number(known, "t20_s"),
    )


def _place(root: Path, text: str) -> tuple[Path, str]:
    """Where a path of a manifest leads, and the name that it has in the corpus.

    Separators may be those of Windows, and accents spelt otherwise than by the file system.
    """
    posix = text.replace("\\", "/")
    spellings = (text, posix, *(unicodedata.normalize(form, posix) for form in ("NFC", "NFD")))
    paths = [root / spelling for spelling in spellings]
    path = next((path for path in paths if _is_there(path)), paths[0])
    below = posixpath.normpath(path.as_posix() if path == paths[0] else (root / posix).as_posix())
    base = posixpath.normpath(root.as_posix()) + "/"
    return path, comparable(below.removeprefix(base if base != "./" else ""))


def _is_there(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # holds NUL
        return False


def _unlisted(root: Path, found: dict[str, Source]) -> Iterator[Source]:
    """Audio files below the folder that its manifest does not name."""
    listed = {os.path.realpath(source.path) for source in found.values() if not source.refused}
    left_out = [
        (comparable(path.relative_to(root).as_posix()), UNLISTED)
        for path in audio_by_name(root)
        if os.path.realpath(path) not in listed
    ]
    named = [each for each in left_out if each[0] not in found]
    for name, reason in summarised(named):
        yield Source(root / name, name, "", "", refused=reason)


def _rows(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file; none where there is no file."""
    if not os.path.lexists(path):
        return []
    reason = unreadable(path)
    if reason:
        raise UserError(f"{path} {reason}; a manifest is a CSV file in UTF-8.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise UserError(
                f"{path}, line {line}: holds a NUL byte, which no text has; save it again."
            )
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
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
