"""What `study.json` says of a bundle: read, checked, and with every text fit to be shown."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from smoe.schema.digests import is_own
from smoe.schema.errors import BundleError
from smoe.schema.text import plain, plain_json

SCHEMA_VERSION = 1


class _Described(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Study(_Described):
    name: StrictStr
    title: StrictStr = ""
    question: StrictStr = ""
    cells: list[StrictStr] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)


class _Failed(_Described):
    cell: StrictStr
    seed: int
    reason: StrictStr = "unknown reason"


class _Description(_Described):
    schema_version: int
    study: _Study
    failed: list[_Failed] = []
    corpus: StrictStr = ""
    data_hash: StrictStr | None = None
    config: dict[str, Any] = {}
    packages: dict[str, StrictStr] = {}
    python: StrictStr = ""
    sha256: dict[str, StrictStr] | None = None


def read_description(path: Path, content: bytes) -> dict[str, Any]:
    """Return the content of a `study.json` with defaults filled in.

    Args:
        path: The file, for messages.
        content: What it holds.

    Raises:
        BundleError: it is no such file, of another version, or not as it was written.
    """
    try:
        study = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{path} is not valid JSON ({plain(str(error))}): restore it or run again."
        ) from None
    if not isinstance(study, dict):
        raise BundleError(f"{path} holds no study: restore it or run the study again.")
    version = study.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {plain(str(version)[:40])}, this release reads version "
            f"{SCHEMA_VERSION}: use the release that wrote it or run the study again."
        )
    inner = study.get("study")
    missing = {"name", "cells", "seeds"} - set(inner if isinstance(inner, dict) else {})
    if missing:
        raise BundleError(
            f"{path} lacks {', '.join(sorted(missing))} under `study`: run the study again."
        )
    if not is_own(study):
        raise BundleError(
            f"{path} is not as it was written (its sha256 differs): restore it or run the study "
            "again."
        )
    try:
        checked = _Description.model_validate(study)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(plain(str(part)) for part in first["loc"])
        raise BundleError(
            f"{path}: {name}: {plain(first['msg'])}: restore it or run the study again."
        ) from None
    shown = plain_json(checked.model_dump())
    assert isinstance(shown, dict)
    return shown
