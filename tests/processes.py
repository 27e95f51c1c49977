"""Starting programs as a person at a terminal does."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil


def start(command: list[str], cwd: Path | None = None) -> psutil.Popen:
    """Start a program that Ctrl-C ends, its standard output in a pipe, as text."""
    with _interruptible():
        options: dict[str, Any] = {"cwd": cwd, "stdout": subprocess.PIPE, "text": True}
        return psutil.Popen(command, **options)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let what is started meanwhile hear Ctrl-C, even if the tests themselves may not.

    Whoever runs the tests in the background of a shell script has SIGINT ignored for them, and so
    for all programs that they start: a program that ignores it from birth goes on ignoring it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
