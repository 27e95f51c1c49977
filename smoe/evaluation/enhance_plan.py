"""Which files are enhanced into which: all that can be refused is refused before work begins."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from smoe.audio.decoding import AudioFile, open_audio
from smoe.audio.encoding import FORMATS, encoding_for, require_extension
from smoe.audio.reading import RefusedFileError, walk
from smoe.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A recording and what is to become of it.

    Attributes:
        source, target: The two files.
        seconds: Length as the source's header says; 0 where that is not known.
        size: Bytes that the target takes at most, and that working on it takes beside.
    """

    source: Path
    target: Path
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        pairs: Files to enhance.
        kept: Targets that stand there already and are left as they are.
    """

    pairs: list[Pair]
    kept: list[Path]


def plan_enhancement(source: Path, target: Path, *, force: bool) -> Plan:
    """Return what `enhance SOURCE TARGET` is to do.

    A folder becomes a folder with the same tree; a file becomes a file, in TARGET if that is a
    folder. Of a folder, files whose targets are there already are left out unless `force` is set.

    Raises:
        UserError: nothing to enhance, or a target that is the source, is there already, has no
            known extension, or has no room.
    """
    if source.is_dir():
        plan = _folder_plan(source, target, force=force)
    else:
        plan = Plan([_file_pair(source, target, force=force)], [])
    top = _standing(target if source.is_dir() or target.is_dir() else target.parent)
    require_room(top, sum(p.size[0] for p in plan.pairs) + max(p.size[1] for p in plan.pairs))
    return plan


def _file_pair(source: Path, target: Path, *, force: bool) -> Pair:
    target = target / source.name if target.is_dir() else target
    require_target(source, target, force=force)
    try:
        with open_audio(source) as file:
            return _measured(source, target, file)
    except RefusedFileError as error:
        raise UserError(f"{source} {error}; give a recording of speech.") from error


def _folder_plan(source: Path, target: Path, *, force: bool) -> Plan:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file and {source} a folder; name a folder to write to.")
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies in {source}; name a folder outside of it.")
    _require_writable(_standing(target))
    found = [path for path in walk(source) if path.suffix.lower() in FORMATS]
    if not found:
        raise UserError(f"{source} holds no audio files; their names end in {', '.join(FORMATS)}.")
    pairs = [Pair(path, target / path.relative_to(source)) for path in found]
    _require_no_source_lost(pairs)
    kept = [] if force else [pair.target for pair in pairs if os.path.lexists(pair.target)]
    if len(kept) == len(pairs):
        raise UserError(
            f"All {len(kept)} files are in {target} already; "
            "give --force to replace them, or name another folder."
        )
    left = set(kept)
    return Plan([_tried(pair) for pair in pairs if pair.target not in left], kept)


def _require_no_source_lost(pairs: Iterable[Pair]) -> None:
    sources = {_identity(pair.source): pair.source for pair in pairs}
    for pair in pairs:
        lost = sources.get(_identity(pair.target))
        if lost and pair.target.exists():
            raise UserError(f"{pair.target} is the input {lost}; name another folder to write to.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _tried(pair: Pair) -> Pair:
    """Return a pair with its sizes; a file that is refused has none, and is named in its turn."""
    try:
        with open_audio(pair.source) as file:
            return _measured(pair.source, pair.target, file)
    except (RefusedFileError, UserError):
        return pair


def _measured(source: Path, target: Path, file: AudioFile) -> Pair:
    encoding = encoding_for(target, file)
    size = encoding.bytes_for(file.frames), file.frames * file.channels * 4
    return Pair(source, target, file.frames / file.sample_rate, size)


def require_target(source: Path, target: Path, *, force: bool) -> None:
    """Refuse a target that is the source, or that may not or cannot be written.

    Raises:
        UserError: it is one of these.
    """
    if target.exists() and not target.is_file():
        raise UserError(f"{target} cannot be written: it is not a file.")
    if target.exists() and _identity(source) == _identity(target):
        raise UserError(f"{target} is the input itself; name another file to write to.")
    if os.path.lexists(target) and not force:
        raise UserError(f"{target} exists; give --force to replace it, or name another file.")
    require_extension(target)
    if not target.parent.is_dir():
        raise UserError(f"{target} cannot be written: there is no folder {target.parent}; make it.")
    _require_writable(target.parent)


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder} cannot be written to; change its permissions or name another place."
        )


def require_room(folder: Path, size: int) -> None:
    """Refuse work that needs more bytes than a folder's disk has left.

    Raises:
        UserError: it needs more.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{folder} has {free / 1e9:.1f} GB left, and {size / 1e9:.1f} GB are needed; "
            "make room or name another place."
        )


def _standing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder
