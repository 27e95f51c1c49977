"""What a folder holds: every file that may be audio, and every other one with a reason."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from smoe.audio.containers import RefusedFileError
from smoe.audio.decoding import open_audio, unreadable
from smoe.errors import UserError

SUFFIXES = {
    ".wav", ".flac", ".ogg", ".oga", ".mp3", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".w64", ".rf64", ".caf", ".sph", ".nist", ".sofa",
}  # fmt: skip
# What stands beside recordings and is not to be tried: whoever calls a recording so hides it.
NO_AUDIO = {
    ".txt", ".csv", ".tsv", ".md", ".rst", ".json", ".jsonl", ".xml", ".html", ".htm", ".yaml",
    ".yml", ".toml", ".log", ".pdf", ".doc", ".docx", ".xlsx", ".png", ".jpg", ".jpeg", ".py", ".m",
    ".sh", ".lab", ".trn", ".textgrid", ".zip", ".gz", ".tar", ".bz2", ".xz", ".7z", ".parquet",
}  # fmt: skip
ALIKE = 5  # files of one folder, suffix and reason; more are named together


def walk(root: Path) -> Iterator[Path]:
    """Yield all files below a folder that are audio by their names.

    Links are followed, but never twice through one folder.

    Raises:
        UserError: A folder cannot be read.
    """
    for path in _entries(root, _stop):
        hidden = path.name.startswith(".")
        if path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir():
            yield path


def everything(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield all that a folder holds, with the reason why it is not audio, or "" where it may be.

    A file whose name does not say so is audio if it can be opened as such.

    Raises:
        UserError: A folder cannot be read.
    """
    for path in _entries(root, _stop):
        yield path, _not_audio(path)


def audio_by_name(root: Path) -> Iterator[Path]:
    """Yield what `walk` yields, but pass over folders that cannot be read."""
    for path in _entries(root, lambda _: None):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield path


def _entries(root: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    seen = set()
    for folder, children, files in os.walk(root, followlinks=True, onerror=on_error):
        real = os.path.realpath(folder)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        hidden = [child for child in children if child.startswith(".")]
        children[:] = sorted(child for child in children if not child.startswith("."))
        for child in children:
            path = Path(folder) / child
            if path.suffix.lower() in SUFFIXES and _is_empty(path):
                yield path
        for name in sorted([*files, *hidden]):
            yield Path(folder) / name


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False  # said when it is entered


def _stop(error: OSError) -> None:
    raise UserError(
        f"The folder {error.filename} cannot be read ({error.strerror}); allow it, or move it away."
    ) from error


def _not_audio(path: Path) -> str:
    if path.name.startswith("."):
        return "is hidden (its name begins with a dot)"
    reason = unreadable(path)
    if reason or path.suffix.lower() in SUFFIXES:
        return reason or ""
    if path.suffix.lower() in NO_AUDIO:
        return f"is no audio by its name ({path.suffix})"
    try:
        with open_audio(path):
            return ""
    except RefusedFileError as error:
        return str(error)


def summarised(left_out: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield names and reasons, those of many files that are alike as one.

    Args:
        left_out: Name, with forward slashes, and reason of each.
    """
    alike: dict[tuple[str, str, str], list[str]] = {}
    for name, reason in left_out:
        folder, _, file = name.rpartition("/")
        alike.setdefault((folder, Path(file).suffix, reason), []).append(name)
    for (folder, suffix, reason), names in alike.items():
        if len(names) <= ALIKE:
            yield from ((name, reason) for name in names)
        else:
            pattern = f"{folder}/*{suffix}" if folder else f"*{suffix}"
            yield f"{pattern} ({len(names)} files, first {names[0].rpartition('/')[2]})", reason
