"""Files of a report: whole or as before, and only of the bundle that the report was made from."""

import contextlib
import os
import tempfile
from pathlib import Path

from analysis.bundle.contents import Bundle
from smoe.schema.bundle import mark_of
from smoe.schema.errors import BundleError


def store(bundle: Bundle | None, path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old or the new one.

    Args:
        bundle: What the file was made from; None if from none.
        path: The file.
        content: All of it.

    Raises:
        BundleError: the bundle has been replaced since it was read, so the file would be of results
            that are no longer there.
    """
    if bundle is not None and bundle.mark != mark_of(bundle.folder):
        raise BundleError(
            f"{bundle.folder} was written anew while its report was made: give the command again."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
