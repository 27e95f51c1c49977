"""The corpus `recordings`: raw files out of public repositories, named one by one in a manifest.

`recordings.csv` beside this file says of each what it is, its sha256, its licence, and its address
at a pinned commit. The files stand in a folder, ./recordings unless another one is named, which can
be carried to a machine that has no network.
"""

import csv
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smoe.audio.sofa import responses
from smoe.audio.source import Source
from smoe.corpora.fetching import Wanted, WrongBytesError, fetch_all, reason, sha256_of
from smoe.errors import UserError

Progress = Callable[[str, int, int], None]
NAME = "recordings"
MANIFEST = Path(__file__).with_name("recordings.csv")
COPY = "manifest.csv"  # beside the files, so that they are the same corpus as a plain folder
PUBLIC = "https://raw.githubusercontent.com"
MIRROR = "SMOE_RECORDINGS_FROM"  # environment variable: another server with the same paths


@dataclass(frozen=True)
class RawFile:
    """A row of the manifest: a file, or one item of it.

    Attributes:
        path: Place below the corpus's folder, with forward slashes; several rows may share it.
        item: Which response of a SOFA file, as in "M4:R0"; "" for a whole file.
        kind: "speech", "noise" or "rir".
        group: Speaker, type of noise or room.
        split: "train", "valid" or "test".
        bytes: Size.
        sha256: Hex digest of the bytes.
        licence: Of the recording.
        attribution: Whom to name.
        address: Where it comes from.
    """

    path: str
    item: str
    kind: str
    group: str
    split: str
    bytes: int
    sha256: str
    licence: str
    attribution: str
    address: str

    def is_whole(self, place: Path) -> bool:
        """Return whether the file stands below a folder with the bytes that the manifest names."""
        path = place / self.path
        whole = path.is_file() and path.stat().st_size == self.bytes
        return whole and sha256_of(path) == self.sha256


def raw_files() -> list[RawFile]:
    """Return the rows of the manifest, in its order, one for each file."""
    return list({row.path: row for row in rows()}.values())


def rows() -> list[RawFile]:
    """Return the rows of the manifest, in its order."""
    with MANIFEST.open(newline="", encoding="utf-8") as file:
        return [
            RawFile(**{**row, "bytes": int(row["bytes"])})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]


def sources(root: str) -> list[Source]:
    """List the files of the corpus, once all of them are there.

    Args:
        root: The corpus's folder, or "" for ./recordings.

    Raises:
        UserError: Files are missing or hold other bytes than the manifest names.
    """
    place, files = _place(root), raw_files()
    lacking = [file for file in files if not file.is_whole(place)]
    if lacking:
        yours = ""
        if _is_another(place, files):
            yours = f"; a folder of your own is named by its path, --data {_by_path(place)}"
        raise UserError(
            f"{_missing(lacking, files, place)}; `python run_all.py data prepare --data "
            f"{_spec(root)}` fetches them, or copy the folder from where they are{yours}."
        )
    return [
        each
        for row in rows()
        for each in responses(
            Source(place / row.path, row.path, row.kind, row.group, row.split), row.item
        )
    ]


def fetched(root: str, progress: Progress) -> list[str]:
    """Fetch the files that are missing or damaged, and verify them.

    What an interrupted call has fetched is kept, also the first part of a file.

    Args:
        root: The corpus's folder, or "" for ./recordings.
        progress: Called with what is being done, how many files have come, and of how many.

    Returns:
        A sentence for each damaged file that was replaced, and one about the corpus.

    Raises:
        UserError: A file could not be fetched or written; says how many are missing and where to
            put them.
    """
    place, files = _place(root), raw_files()
    lacking = [file for file in files if not file.is_whole(place)]
    damaged = [file.path for file in lacking if (place / file.path).exists()]
    wanted = [Wanted(_address(f), place / f.path, f.bytes, f.sha256) for f in lacking]
    try:
        _copy_manifest(place, files)
        fetch_all(wanted, lambda done: progress("fetching", done, len(lacking)))
    except (OSError, WrongBytesError) as error:
        left = [file for file in files if not file.is_whole(place)]
        raise UserError(
            f"{_missing(left, files, place)}, and could not be fetched from {_server()} "
            f"({reason(error)}); try again, which goes on from here, or do so where there is a "
            f"network and copy the folder to {place.resolve()}."
        ) from error
    said = [f"{path} held other bytes than it should and was fetched again." for path in damaged]
    came = f"{len(lacking)} fetched from {_server()}" if lacking else "none had to be fetched"
    said.append(
        f"{NAME}: {len(files)} files, {_mb(files)}, verified in {place.resolve()}, {came}; "
        f"{COPY} there names the source and licence of each."
    )
    return said


def _place(root: str) -> Path:
    return Path(root or NAME).expanduser()


def _spec(root: str) -> str:
    return f"{NAME}:{root}" if root else NAME


def _by_path(place: Path) -> Path | str:
    return place if place.is_absolute() else f"./{place}"


def _server() -> str:
    return os.environ.get(MIRROR, PUBLIC).rstrip("/")


def _address(file: RawFile) -> str:
    return _server() + file.address.removeprefix(PUBLIC)


def _mb(files: list[RawFile]) -> str:
    return f"{sum(file.bytes for file in files) / 1e6:.1f} MB"


def _missing(lacking: list[RawFile], files: list[RawFile], place: Path) -> str:
    """What a folder lacks, as the beginning of a sentence."""
    damaged = [file.path for file in lacking if (place / file.path).exists()]
    absent = [file.path for file in lacking if not (place / file.path).exists()]
    parts = [f"{len(absent)} missing (first {absent[0]})"] if absent else []
    parts += [f"{len(damaged)} damaged (first {damaged[0]})"] if damaged else []
    return f"Of the {len(files)} files of {NAME} in {place}, {' and '.join(parts)}, {_mb(lacking)}"


def _copy_manifest(place: Path, files: list[RawFile]) -> None:
    """Put the manifest beside the files.

    Raises:
        UserError: The folder holds another corpus.
    """
    if _is_another(place, files):
        raise UserError(
            f"{place} holds files of your own; use them as --data {_by_path(place)}, and put "
            f"{NAME} elsewhere, as in --data {NAME}:/another/folder."
        )
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(MANIFEST, place / COPY)


def _is_another(place: Path, files: list[RawFile]) -> bool:
    """Return whether a folder holds something, but neither this manifest nor any of its files."""
    if not place.is_dir() or not any(place.iterdir()):
        return False
    copy = place / COPY
    if copy.is_file():
        return "address" not in copy.read_text("utf-8", "replace").split("\n")[0]
    return not any((place / file.path).exists() for file in files)
