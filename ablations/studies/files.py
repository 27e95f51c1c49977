"""Study files as users write them: their text, their name, and the seeds they list."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from smoe.config import LARGEST_SEED
from smoe.errors import UserError
from smoe.schema.text import plain

LONGEST_NAME = 100
# What else lies in a results folder.
TAKEN = ("bench", "corpus", "ui")


def _distinct(seeds: list[int]) -> list[int]:
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(f"seed {twice[0]} stands there twice")
    return seeds


Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]


def read_study_text(path: Path) -> str:
    """Return the text of a study file, UTF-8 with or without a byte order mark.

    Raises:
        UserError: it cannot be read, or is not such text; the sentence says what to do.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8."
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); name a study file that you may read."
        ) from error
    if "\0" in text:
        raise UserError(f"{path} has a NUL character in it; save it as text.")
    return text


def require_name(path: Path) -> None:
    """Refuse a study file whose name cannot name a results folder.

    Raises:
        UserError: the name is hidden, taken by something else, too long or not to be shown.
    """
    name = path.stem
    if name.startswith((".", "-")) or name.lower() in TAKEN:
        reason = "that name stands for something else in a results folder"
    elif len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        reason = f"its name is longer than {LONGEST_NAME} bytes"
    elif plain(name) != name or name != name.strip() or not name:
        reason = "its name has characters in it that cannot be shown"
    else:
        return
    raise UserError(f"{path} cannot name a study ({reason}); rename the file.")


def require_text(where: str, text: str) -> None:
    """Refuse a text with a NUL in it, which no path and no service takes.

    Raises:
        UserError: it has one.
    """
    if "\0" in text:
        raise UserError(f"{where} has a NUL character in it; remove it.")
