"""Fetching files over HTTP: what was cut off goes on, and what has other bytes is refused."""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

CONNECTIONS = 8
TIMEOUT_S = 30.0
PAUSES_S = (1.0, 4.0)  # before a further try, where the server is busy or the connection broke
BUSY = (429, 500, 502, 503, 504)
REST_FOLLOWS = 206  # HTTP status: the server goes on where it was asked to
CHUNK = 1 << 16


class WrongBytesError(Exception):
    """A server sent other bytes than were expected; the message is the reason."""


@dataclass(frozen=True)
class Wanted:
    """A file that is to be fetched.

    Attributes:
        address: Where it comes from.
        path: Where it shall stand.
        bytes: Its size.
        sha256: Hex digest of its bytes.
    """

    address: str
    path: Path
    bytes: int
    sha256: str

    @property
    def partial(self) -> Path:
        """Where the bytes stand until all have come and were verified."""
        return self.path.with_name(f"{self.path.name}.partial")


def fetch_all(wanted: Sequence[Wanted], on_done: Callable[[int], None]) -> None:
    """Fetch files side by side, and stop at the first that cannot be had.

    Args:
        wanted: What to fetch.
        on_done: Called with how many files have come.

    Raises:
        OSError: No network, no such file, no room on the disk; files that have come are kept.
        WrongBytesError: The server's file is another one.
    """
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            fetched = [pool.submit(fetch, each) for each in wanted]
            for done, each in enumerate(as_completed(fetched), start=1):
                each.result()
                on_done(done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def fetch(wanted: Wanted) -> None:
    """Fetch one file, or the rest of it, verify it, and move it to its place.

    Raises:
        OSError: As for `fetch_all`; what has come of the file is kept and taken up again.
        WrongBytesError: The server's file is another one.
    """
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    begun = wanted.partial.exists()
    _complete(wanted)
    if begun and sha256_of(wanted.partial) != wanted.sha256:
        wanted.partial.unlink()  # the part from an earlier call was damaged
        _complete(wanted)
    if sha256_of(wanted.partial) != wanted.sha256:
        wanted.partial.unlink()
        raise WrongBytesError(f"{wanted.address} holds other bytes than it did")
    wanted.partial.replace(wanted.path)


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: Exception) -> str:
    """Return the cause in a few words: what urllib and the operating system wrap, unwrapped."""
    if isinstance(error, HTTPError):
        return f"{error.url}: {error.code} {error.reason}"
    inner = getattr(error, "reason", error)
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return text.splitlines()[0]


def _complete(wanted: Wanted) -> None:
    """Append what a partial file lacks, with a few tries where another one may help."""
    for pause_s in (*PAUSES_S, None):
        try:
            _append(wanted)
            return
        except OSError as error:
            if pause_s is None or not _may_pass(error):
                raise
            time.sleep(pause_s)


def _append(wanted: Wanted) -> None:
    have = wanted.partial.stat().st_size if wanted.partial.exists() else 0
    if have >= wanted.bytes:
        return
    request = Request(wanted.address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with build_opener().open(request, timeout=TIMEOUT_S) as answer:
            goes_on = answer.status == REST_FOLLOWS
            with wanted.partial.open("ab" if goes_on else "wb") as file:
                shutil.copyfileobj(answer, file, CHUNK)
    except HTTPException as error:
        raise ConnectionError(f"{wanted.address}: {type(error).__name__}") from error
    have = wanted.partial.stat().st_size
    if have < wanted.bytes:
        raise ConnectionError(f"only {have} of {wanted.bytes} bytes of {wanted.address} came")


def _may_pass(error: OSError) -> bool:
    """Return whether the next try may succeed: the server is busy, or the connection broke."""
    if isinstance(error, HTTPError):
        return error.code in BUSY
    inner = error.reason if isinstance(error, URLError) else error
    return isinstance(inner, TimeoutError | ConnectionResetError | ConnectionAbortedError) or (
        type(inner) is ConnectionError
    )
