"""Checkpoints that are whole or absent, and are verified before they are loaded."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from smoe.atomic import write_atomic

DIGEST_BYTES = 32


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically, a sha256 of the content in front."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_atomic(path, hashlib.sha256(content).digest() + content)


def load_checkpoint(
    path: Path, device: str = "cpu", *, owner: str | None = None
) -> dict[str, Any] | None:
    """The saved state, or None where there is none.

    A damaged file is set aside as `*.damaged` and counts as none: the checksum is verified before
    torch reads a byte, since a truncated archive can abort the process. So is a file whose state
    names another `owner` than is asked for: a checkpoint of another run.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    state = None
    if hashlib.sha256(content[DIGEST_BYTES:]).digest() == content[:DIGEST_BYTES]:
        archive = io.BytesIO(content[DIGEST_BYTES:])
        state = torch.load(archive, map_location=device, weights_only=True)
    if state is None or (owner is not None and state.get("owner") != owner):
        path.replace(path.with_name(path.name + ".damaged"))
        return None
    return state
