"""Errors that a user can mend, told from faults of the suite."""

import errno
from pathlib import Path

from ablations.cli.packages import refused_import
from ablations.runs.run_folder import FORBIDDEN, no_room_error
from smoe.errors import UserError
from smoe.schema.errors import BundleError

_ALLOWED = "change its permissions or name another place"
_AWAY = "see whether its disk or network is there, and give the same command again"
_SAID = {
    **dict.fromkeys(FORBIDDEN, _ALLOWED),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a file stands where a folder should be; move it or name another place",
    errno.EISDIR: "a folder stands where a file should be; move it or name another place",
    errno.EEXIST: "something else stands there; move it or name another place",
    errno.ELOOP: "its links go round in a circle; mend them or name another place",
    errno.EIO: _AWAY,
    errno.ESTALE: _AWAY,
    errno.ENOTCONN: _AWAY,
    errno.EHOSTDOWN: _AWAY,
}


def refusal(error: Exception) -> str:
    """Return the sentence for an error that a user can mend.

    Raises:
        Exception: the error itself, where it is none of these.
    """
    number = getattr(error, "errno", None)
    known = no_room_error(None, number) or error
    if isinstance(known, UserError | BundleError):
        return str(known)
    if isinstance(error, ImportError) and (said := refused_import(error)):
        return said
    if isinstance(error, OSError) and number in _SAID and error.filename is not None:
        place = _standing(error.filename) if number in FORBIDDEN else error.filename
        return f"{place}: {error.strerror}; {_SAID[number]}."
    raise error


def _standing(name: str | bytes | int) -> str | bytes | int:
    """Return what of a path is there, whose permissions count; a file of its own if it is there."""
    if not isinstance(name, str):
        return name
    path = Path(name)
    for place in (path, *path.parents):
        try:
            place.lstat()
        except OSError:
            continue
        return str(place)
    return name
