"""Files that are either whole or absent."""

import contextlib
import os
import uuid
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, finds the old or the new one.

    Who may read it is up to the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # the name that people know
        raise
