"""Keeps stored results: a bundle is never replaced by one that holds less, or by another study's.

A study is known by its content, its corpus and settings, and not by the name of its file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ablations.runs.plan import PlannedRun
from ablations.studies.study import Study
from smoe.atomic import write_atomic
from smoe.config import RunConfig
from smoe.errors import UserError
from smoe.schema.bundle import EXAMPLES, describe_bundle, read_bundle, read_runs
from smoe.schema.cells import is_outside
from smoe.schema.columns import TABLES
from smoe.schema.digests import digest
from smoe.schema.errors import BundleError
from smoe.schema.text import plain

REPLACED = ".replaced"  # folder below the results for bundles that others have taken the place of
FILES = ("study.json", *TABLES, EXAMPLES)
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Kept:
    """What lies where a study's bundle goes.

    Attributes:
        folder: `results/<study>`.
        study: Its description; None where no bundle is, or one that nobody can read.
        runs: Its finished runs by id, each with its cell, seed and varied settings; without
            outside systems, which no plan has.
    """

    folder: Path
    study: dict[str, Any] | None
    runs: dict[str, Key]

    def lost(self, runs: Iterable[PlannedRun]) -> list[Key]:
        """Return the finished runs of the bundle for which none of these could stand."""
        at_hand = {key_of(run) for run in runs}
        return sorted({key for key in self.runs.values() if key not in at_hand}, key=str)

    def differs(self, runs: Iterable[PlannedRun]) -> bool:
        """Return whether the bundle holds a run that is none of these to the letter."""
        return bool(set(self.runs) - {run.folder.run_id for run in runs})


def look(folder: Path) -> Kept:
    """Look at the bundle in a folder, if there is one."""
    try:
        stored = read_bundle(folder)
    except BundleError:
        return Kept(folder, None, {})
    keys = _keys(stored.runs, stored.study)
    return Kept(folder, stored.study, dict(keys))


def stored_keys(folder: Path, study: Study) -> set[Key]:
    """Return the finished runs of a bundle as `key_of` knows them; none of another study's."""
    try:
        described, runs = describe_bundle(folder), read_runs(folder)
    except BundleError:
        return set()
    if _other_setting(described, study, None):
        return set()
    return {key for _, key in _keys(runs, described)}


def _keys(runs: pd.DataFrame, study: dict[str, Any]) -> list[tuple[str, Key]]:
    """Return the id of each run of a bundle with its cell, seed and varied settings."""
    varied = [name for name in study["study"].get("vary") or {} if name in runs]
    columns = ["cell", "seed", *varied]
    return [
        (str(row["run_id"]), tuple(_value(row[name]) for name in columns))
        for row in runs.to_dict("records")
        if not is_outside(row["cell"])
    ]


def require_same_study(kept: Kept, study: Study, data_hash: str | None) -> None:
    """Refuse a study whose name stands for another one in the results folder.

    Args:
        kept: What is stored.
        study: The study to be run.
        data_hash: Of its corpus; None while that is not prepared, and then not compared.

    Raises:
        UserError: the bundle was made with other settings, or from another corpus.
    """
    if kept.study is None:
        return
    other = _other_setting(kept.study, study, data_hash)
    if other:
        raise UserError(
            f"{kept.folder} holds another study of the name {study.name} ({other}); "
            "give your study's file another name, or name another folder with --results."
        )


def require_nothing_lost(
    kept: Kept, planned: list[PlannedRun], at_hand: list[PlannedRun], *, from_bundle: bool
) -> None:
    """Refuse a part of a study whose bundle would lack what the stored one holds.

    Args:
        kept: What is stored.
        planned: All runs of the study.
        at_hand: Those that are done or are to be done now.
        from_bundle: Whether the bundle's runs were taken over already.

    Raises:
        UserError: finished runs would be lost.
    """
    if strange := kept.lost(planned):
        raise UserError(
            f"{_held(kept, strange, 'this study has not')}; give the changed study's file "
            "another name, or name another folder with --results."
        )
    if lost := kept.lost(at_hand):
        known = set(kept.runs) & {run.folder.run_id for run in planned}
        first = "take them over with --from-bundle, " if known and not from_bundle else ""
        raise UserError(
            f"{_held(kept, lost, 'are not at hand')}; {first}run the whole study, "
            "or name another folder with --results."
        )


def kept_note(kept: Kept, done: Iterable[PlannedRun]) -> str | None:
    """Return why a study's bundle is left as it is; None if the new one may take its place."""
    lost = kept.lost(done)
    return f"{_held(kept, lost, 'are not at hand')}, so it stays as it is." if lost else None


def set_aside_bundle(kept: Kept, done: Iterable[PlannedRun]) -> Path | None:
    """Copy a bundle whose runs are others than the new one's; return where to, None if not needed.

    Damaged files are copied as well.

    Raises:
        UserError: a file of the bundle may not be read.
    """
    if kept.study is not None and not kept.differs(done):
        return None
    return copy_aside(kept.folder)


def copy_aside(folder: Path) -> Path | None:
    """Copy a bundle's files as they are; return where to, None if there are none.

    Raises:
        UserError: a file of the bundle may not be read.
    """
    files = [folder / name for name in FILES if (folder / name).exists()]
    if not files:
        return None
    try:
        contents = {path.name: path.read_bytes() for path in files}
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}), so the bundle is not replaced; "
            "move it away or make it readable."
        ) from error
    known = digest(b"".join(digest(content).encode() for content in contents.values()))[:8]
    target = folder.parent / REPLACED / f"{folder.name}-{known}"
    for name, content in contents.items():
        write_atomic(target / name, content)
    return target


def _other_setting(stored: dict[str, Any], study: Study, data_hash: str | None) -> str | None:
    """What differs between a stored study and one of the same name; None if nothing does."""
    if data_hash and stored["corpus"] != plain(study.data) and stored["data_hash"] != data_hash:
        return f"its corpus is {stored['corpus']}"
    here = study.base("").model_dump(mode="json")
    try:
        there = RunConfig(**{**stored["config"], "data_hash": ""}).model_dump(mode="json")
    except (ValidationError, TypeError):
        return "its settings are of another version"
    for section, fields in here.items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            found = (there[section] or {}).get(name)
            if found != value:
                return f"its {section}.{name} is {found}, not {value}"
    return None


def _held(kept: Kept, lost: list[Key], why: str) -> str:
    cell, seed = lost[0][:2]
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"{kept.folder} holds finished runs that {why} ({cell} seed {seed:.0f}{more})"


def key_of(run: PlannedRun) -> Key:
    """Return a run as its study sees it; varied settings are part of it where the plan has them."""
    return (run.cell, run.seed, *map(_value, getattr(run, "level", {}).values()))


def _value(value: Any) -> Any:
    """A value of a table, as equal to the plan's."""
    if isinstance(value, list | tuple):
        return str(list(value))
    if value is None or pd.isna(value):
        return None
    return float(value) if isinstance(value, int | float) else value
