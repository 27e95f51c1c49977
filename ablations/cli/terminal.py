"""What reaches the terminal: text as it is, never markup, and never a reason to stop.

Titles, questions, reasons and file names come from users, so square brackets are no styles and
control characters are shown, not obeyed. A terminal of another encoding gets what it can show; one
that goes away costs the work nothing.
"""

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from smoe.errors import UserError
from smoe.schema.text import plain_lines

_ASCII = {
    "±": "+-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->",
    "Δ": "d", "†": "+", "─": "-", "━": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
    "•": "*", "\u2009": " ", "\xa0": " ", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip

LEFT = (errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.EIO)  # nobody reads any more


class PlainConsole(Console):
    """A rich console for which no text is markup; styles are given apart from it."""

    def __init__(self, **options: Any):
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text as it stands, its control characters made visible."""
        return super().render_str(plain_lines(text), **{**options, "markup": False, "emoji": False})


def say(text: object, end: str = "\n") -> None:
    """Print what was asked for, whether or not the console is quiet."""
    sys.stdout.write(plain_lines(str(text)) + end)


def complain(text: object) -> None:
    """Print to the terminal what went wrong."""
    sys.stderr.write(plain_lines(str(text)) + "\n")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What a terminal shows for a character that its encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = (_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(shown), error.end


codecs.register_error("smoe.ascii", _in_ascii)


class _Stream:
    """A text stream that goes on when nobody reads it any more."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        if self.lost is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self.lost = error
            except ValueError as error:  # the stream was closed
                self.lost = OSError(errno.EBADF, str(error))
        return len(text)

    def flush(self) -> None:
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.lost = error
            except ValueError as error:
                self.lost = OSError(errno.EBADF, str(error))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """In it, no print ends the program: not for its encoding, nor for a terminal that is gone.

    At its end the process's own streams are made such that leaving it says nothing more.

    Raises:
        UserError: what was asked for did not arrive, for another reason than that its reader left.
    """
    before = sys.stdout, sys.stderr
    streams = [_Stream(_open(stream)) for stream in before]
    sys.stdout, sys.stderr = streams  # type: ignore[assignment]
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before
        for number, stream in enumerate(streams, start=1):
            if stream.lost is not None:
                _drop(number, before[number - 1])
    lost = streams[0].lost
    if lost is not None and lost.errno not in LEFT:
        raise UserError(
            f"The output could not be written ({lost.strerror}); what was done is kept."
        )


def _open(stream: TextIO | None) -> TextIO:
    """The stream, told what to do with characters that it lacks; a closed one is replaced."""
    if stream is None or getattr(stream, "closed", False):
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    with contextlib.suppress(AttributeError, ValueError, OSError):
        stream.reconfigure(errors="smoe.ascii")  # type: ignore[attr-defined]
    return stream


def _drop(number: int, stream: TextIO | None) -> None:
    """Lets what is still in a lost stream's buffer go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if stream is not None and stream.fileno() == number:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
