"""Errors that a user can mend, told from faults of the suite."""

import errno

from ablations.store import no_room_error
from smoe.errors import UserError
from smoe.schema.errors import BundleError

_ALLOWED = "change its permissions or name another place"
_AWAY = "see whether its disk or network is there, and give the same command again"
_SAID = {
    errno.EACCES: _ALLOWED,
    errno.EPERM: _ALLOWED,
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
    if isinstance(error, OSError) and number in _SAID and error.filename is not None:
        return f"{error.filename}: {error.strerror}; {_SAID[number]}."
    raise error
