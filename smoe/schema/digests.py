"""Digests of a bundle's files, kept in its `study.json`, so that damage is noticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "sha256"
OWN = "study.json"


def digest(content: bytes) -> str:
    """Return the sha256 of a file's content as hex digits."""
    return hashlib.sha256(content).hexdigest()


def with_digests(description: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the content of `study.json` with the digests of the other files and its own.

    Args:
        description: The content without digests.
        files: Content of every other file by its name.
    """
    bare = {key: value for key, value in description.items() if key != KEY}
    digests = {name: digest(content) for name, content in sorted(files.items())}
    return {**bare, KEY: {**digests, OWN: _own({**bare, KEY: digests})}}


def is_own(description: Mapping[str, Any]) -> bool:
    """Return whether `study.json` is as it was written; True for old ones without digests."""
    stored = description.get(KEY)
    if stored is None:
        return True
    if not isinstance(stored, dict) or OWN not in stored:
        return False
    others = {name: value for name, value in stored.items() if name != OWN}
    return _own({**description, KEY: others}) == stored[OWN]


def _own(description: Mapping[str, Any]) -> str:
    return digest(json.dumps(description, sort_keys=True).encode())
