"""Packs a bundle with its tables and figures into one file, the same bytes each time.

It is a tar. Its first member is `NAME/MANIFEST.json`, which names each other member with its size
and sha256. Nothing is compressed, as bundles and figures are already; so the bytes depend on no
library, and no small file can unpack to a large one. `tar -xf` opens it where this suite is not
installed.
"""

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

from ablations.bundles.replacing import FILES
from smoe.atomic import write_atomic
from smoe.errors import UserError
from smoe.schema.bundle import Stored, mark_of, read_bundle
from smoe.schema.digests import digest

MANIFEST = "MANIFEST.json"
FORMAT = "results of the S-MoE ablation suite"
VERSION = 1
# What may be in an archive beside the bundle itself.
DERIVED = re.compile(r"(tables/[\w.-]+\.(md|tex|csv)|figures/[\w.-]+\.(png|pdf))", re.ASCII)


def archive(folder: Path, target: Path) -> dict[str, Any]:
    """Write a bundle, its tables and its figures into one file, and return the manifest.

    Raises:
        BundleError: the bundle is incomplete or damaged.
        UserError: something else stands under the file's name, or the bundle was changed meanwhile.
    """
    stored = read_bundle(folder)
    files = {name: (folder / name).read_bytes() for name in archived_names(folder)}
    if mark_of(folder) != stored.mark:
        raise UserError(f"{folder} is being written; give the same command again afterwards.")
    manifest = _manifest(stored, files)
    content = _tar(stored.study["study"]["name"], manifest, files)
    if target.exists() and target.read_bytes() != content:
        raise UserError(f"{target} exists and is another file; name another one with --to.")
    write_atomic(target, content)
    return manifest


def archived_names(folder: Path) -> list[str]:
    """Return the files of a bundle's folder that go into an archive, sorted."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if is_archived(name))


def is_archived(name: str) -> bool:
    """Return whether a file of this name may be in an archive."""
    return name in FILES or DERIVED.fullmatch(name) is not None


def _manifest(stored: Stored, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "study": stored.study["study"]["name"],
        "title": stored.study["study"]["title"],
        "runs": len(stored.runs),
        "git_commit": sorted(set(stored.runs["git_commit"])),
        "data_hash": stored.runs["data_hash"].iloc[0],
        "files": {
            name: {"bytes": len(content), "sha256": digest(content)}
            for name, content in sorted(files.items())
        },
    }


def _tar(name: str, manifest: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """Return an archive without times, owners or anything else that could differ."""
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **dict(sorted(files.items()))}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in members.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
