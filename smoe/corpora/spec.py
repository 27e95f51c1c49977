"""Taking a corpus specification apart: `NAME:ROOT`, joined by plus signs."""

import re
import unicodedata
from pathlib import Path

from smoe.errors import UserError

# A plus sign joins only where a corpus's name follows it, for folders may have one in their names.
# Of all corpora `recordings` alone needs no root.
JOINT = re.compile(r"\+(?=[a-z0-9-]+:|recordings(?:\+|$))")


def parts(spec: str) -> list[tuple[str, str]]:
    """Return the name and the root of each corpus that a specification joins.

    A root that exists is taken as it is, whatever its name holds.
    """
    pieces = JOINT.split(spec)
    found = []
    while pieces:
        longest = len(pieces) if ":" in pieces[0] else 1  # a name alone has no root to go on
        taken = next(
            (n for n in range(longest, 1, -1) if is_folder(_root("+".join(pieces[:n])))), 1
        )
        name, _, root = "+".join(pieces[:taken]).partition(":")
        found.append((name, root))
        pieces = pieces[taken:]
    return found


def _root(piece: str) -> str:
    return piece.partition(":")[2]


def is_folder(path: str) -> bool:
    """Whether a path is a folder; also one that no file system would take is none.

    Raises:
        UserError: It may not be looked at.
    """
    try:
        return bool(path) and Path(path).expanduser().is_dir()
    except PermissionError as error:
        raise UserError(
            f"{path} may not be read ({error.strerror}); have its owner allow it."
        ) from error
    except (OSError, RuntimeError, ValueError):  # too long; no such user; holds NUL
        return False


def comparable(name: str) -> str:
    """Return a relative path as it is hashed: the same on every file system.

    File systems differ in how they spell an accent (one character or two) and in what stands
    between folders.
    """
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def folder(root: str) -> Path:
    """Return the path of a root that a user named.

    Raises:
        UserError: It begins with a user's home folder that cannot be found.
    """
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        raise UserError(f"The home folder in {root} cannot be found; write it out.") from error


def printable(text: str) -> str:
    """Return text with everything spelt out that is no printable character.

    Names may hold line breaks, control characters, and bytes that are not UTF-8.
    """
    return "".join(char if char.isprintable() else _spelt(char) for char in text)


def _spelt(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
