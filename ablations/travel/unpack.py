"""Takes an archive apart: everything in it is checked before anything of it is in its place."""

import shutil
import tarfile
import uuid
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ablations.travel.archive import MANIFEST, VERSION, is_archived
from ablations.travel.stored import results_folder
from smoe.atomic import write_atomic
from smoe.errors import UserError
from smoe.schema.bundle import read_bundle
from smoe.schema.digests import digest
from smoe.schema.errors import BundleError
from smoe.schema.text import plain

LARGEST_MANIFEST = 2**22  # bytes
LARGEST_FILE = 2**32
LARGEST_ARCHIVE = 2**34
AGAIN = "fetch or make the archive again"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    bytes: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    sha256: str


class Manifest(BaseModel):
    """What an archive says of itself."""

    model_config = ConfigDict(strict=True)

    format: Literal["results of the S-MoE ablation suite"]
    version: int
    study: str
    files: dict[str, _File]


def unpack(path: Path, results: Path, name: str | None = None) -> tuple[Path, bool]:
    """Unpack an archive into the results folder.

    Args:
        path: The archive.
        results: Results folder.
        name: Folder in it; None for the name of the study.

    Returns:
        The folder, and whether it was written; False where it held the same already.

    Raises:
        UserError: it is no archive, is damaged, has in it what no archive has, or the folder holds
            something else; the sentence says what.
    """
    if not path.is_file():
        raise UserError(f"There is no archive {path}; name a file of `results archive`.")
    size = path.stat().st_size
    if size > LARGEST_ARCHIVE:
        raise UserError(f"{path} has {size / 2**30:.0f} GiB, more than any archive; {AGAIN}.")
    scratch = results / f".unpacking-{uuid.uuid4().hex[:8]}"
    try:
        manifest = _unpack_into(path, scratch)
        folder = results_folder(results, name or manifest.study)
        read_bundle(scratch)
        return folder, _move(scratch, folder, manifest)
    except BundleError as error:
        said = str(error).replace(f"{scratch}/", "")
        raise UserError(f"{path} holds no whole bundle: {said}") from error
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path} cannot be read as an archive ({plain(str(error))}); {AGAIN}."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack_into(path: Path, scratch: Path) -> Manifest:
    """Write the members of an archive into a new folder, each of which has been checked."""
    with tarfile.open(path, "r:") as tar:
        first = tar.next()
        manifest = _read_manifest(path, tar, first)
        top, left = f"{manifest.study}/", dict(manifest.files)
        while member := tar.next():
            name = member.name.removeprefix(top)
            _require_plain_file(path, member, top, name)
            declared = left.pop(name, None)
            if declared is None:
                raise UserError(
                    f"{path} has {plain(member.name)}, which its manifest does not name or names "
                    f"once only; {AGAIN}."
                )
            write_atomic(scratch / name, _content(path, tar, member, declared))
    if left:
        raise UserError(f"{path} lacks {plain(min(left))}, which its manifest names; {AGAIN}.")
    return manifest


def _read_manifest(path: Path, tar: tarfile.TarFile, first: tarfile.TarInfo | None) -> Manifest:
    """Read the first member, which has to be the manifest."""
    if first is None or not first.isreg() or not first.name.endswith(f"/{MANIFEST}"):
        raise UserError(f"{path} does not begin with {MANIFEST}: it is no archive of results.")
    if first.issparse() or first.size > LARGEST_MANIFEST:
        raise UserError(f"{path} has a manifest of {first.size} bytes, too large for one; {AGAIN}.")
    try:
        manifest = Manifest.model_validate_json(_opened(tar, first).read())
    except ValidationError as error:
        known = error.errors()[0]
        where = plain(".".join(str(part) for part in known["loc"]))
        raise UserError(
            f"{path} has a manifest that cannot be used ({where}: {plain(known['msg'])}); {AGAIN}."
        ) from None
    if manifest.version != VERSION:
        raise UserError(
            f"{path} is an archive of version {manifest.version}, this release reads version "
            f"{VERSION}; unpack it with the release that made it."
        )
    if first.name != f"{manifest.study}/{MANIFEST}":
        raise UserError(f"{path} has a manifest of another study than its folder; {AGAIN}.")
    return manifest


def _require_plain_file(path: Path, member: tarfile.TarInfo, top: str, name: str) -> None:
    """Refuse links, devices, folders, and names that lead elsewhere or are not of a bundle."""
    shown = plain(member.name)
    if not member.isreg() or member.issparse():
        raise UserError(f"{path} has {shown}, which is no plain file; {AGAIN}.")
    if not member.name.startswith(top) or not is_archived(name):
        raise UserError(f"{path} has {shown}, which is no file of a bundle; {AGAIN}.")
    if member.size > LARGEST_FILE:
        raise UserError(f"{path} has {shown} of {member.size} bytes, too large; {AGAIN}.")


def _content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, declared: _File) -> bytes:
    if member.size != declared.bytes:
        raise UserError(
            f"{path} has {member.size} bytes of {plain(member.name)}, its manifest says "
            f"{declared.bytes}; {AGAIN}."
        )
    content = _opened(tar, member).read()
    if digest(content) != declared.sha256:
        raise UserError(
            f"{path} has {plain(member.name)} damaged (its sha256 is not the manifest's); {AGAIN}."
        )
    return content


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    opened = tar.extractfile(member)
    if opened is None:
        raise tarfile.TarError(f"{member.name} has no content")
    return opened


def _move(scratch: Path, folder: Path, manifest: Manifest) -> bool:
    """Put the unpacked folder in its place; return False where that holds the same already."""
    if not folder.exists():
        scratch.rename(folder)
        return True
    for name, declared in manifest.files.items():
        there = folder / name
        if not there.is_file() or digest(there.read_bytes()) != declared.sha256:
            raise UserError(
                f"{folder} exists and its {name} is not the archive's, so nothing is unpacked; "
                "name another folder with --into, or merge the two afterwards."
            )
    return False
