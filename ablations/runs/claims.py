"""Who works on a run: a claim file, so that several runners can share one results folder.

Creating a file exclusively and renaming one are atomic on every file system, network ones
included, so no locks are needed. A claim lives by its heartbeat, the file's time of change; on its
own host also by its process.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_HELD: dict[Path, "Claim"] = {}  # claims that this process has taken, by folder
STALE_S = 120.0
BEAT_S = 10.0
CLAIM = "claim.json"


class ClaimLostError(Exception):
    """Another process has taken over what this one was working on while it slept."""


@dataclass(frozen=True)
class Claim:
    """A claim file, and the token by which its owner knows it again."""

    path: Path
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _released: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def on(cls, folder: Path) -> "Claim":
        """The claim on a run folder."""
        return cls(folder / CLAIM)

    def take(self) -> bool:
        """Claims the run for this process; False where a living process has it.

        A claim whose process is gone, or which has not been renewed for two minutes, is taken over.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = self._read()
        if content is not None:
            if self._lives(content):
                return False
            self._set_aside(content)
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        owner = {"host": platform.node(), "pid": os.getpid(), "token": self.token}
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(owner, file)
        except OSError:  # no space left: an empty claim would only be in the way
            self.path.unlink(missing_ok=True)
            raise
        _HELD[self.path.parent.absolute()] = self
        return True

    def is_alive(self) -> bool:
        """Whether somebody works on the run."""
        content = self._read()
        return content is not None and self._lives(content)

    def is_mine(self) -> bool:
        """Return whether this claim still stands; asked before each write of what it guards."""
        return self._is_mine()

    def require(self) -> None:
        """Raise if another process has taken the claim over.

        Raises:
            ClaimLostError: it has.
        """
        if not self._is_mine():
            raise ClaimLostError(f"another process has taken over {self.path.parent.name}")

    def keep(self, on_lost: Callable[[], None] | None = None) -> None:
        """Renews the claim from now on, from a thread that ends with the process.

        Args:
            on_lost: Called if another process has taken the claim over, as it may after this one
                was asleep for minutes.
        """
        threading.Thread(target=self._beat, args=(on_lost,), daemon=True).start()

    def release(self) -> None:
        """Gives the run back, if it is this claim's."""
        self._released.set()
        if _HELD.get(self.path.parent.absolute()) is self:
            del _HELD[self.path.parent.absolute()]
        if self._is_mine():
            self.path.unlink(missing_ok=True)

    def _beat(self, on_lost: Callable[[], None] | None) -> None:
        while not self._released.wait(BEAT_S):
            # Asked twice, since a claim that was moved by mistake is put back in a moment.
            if not self._is_mine() and not self._released.wait(1.0) and not self._is_mine():
                if on_lost:
                    on_lost()
                return
            with contextlib.suppress(OSError):  # a network file system may be away for a while
                os.utime(self.path)

    def _read(self) -> str | None:
        try:
            return self.path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return None

    def _is_mine(self) -> bool:
        try:
            return self.token in (self._read() or "")
        except OSError:  # not readable now says nothing about whose it is
            return True

    def _lives(self, content: str) -> bool:
        try:
            age_s = time.time() - self.path.stat().st_mtime
            owner = json.loads(content)
            host, pid = owner["host"], int(owner["pid"])
        except FileNotFoundError:
            return False
        except (ValueError, TypeError, KeyError):  # being written now, or its writer died
            return age_s < BEAT_S
        return age_s < STALE_S and (host != platform.node() or process_exists(pid))

    def _set_aside(self, dead: str) -> None:
        # Of several that find the same dead claim one may be quick enough to have made its own
        # before another renames what it believes to be the dead one: that is put back.
        aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if aside.read_text("utf-8", "replace") != dead:
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.path)
        aside.unlink(missing_ok=True)


def require_held(folder: Path) -> None:
    """Raise if this process had claimed a folder and another one has taken it over since.

    A folder that this process never claimed is not asked for: its owner is another process of the
    same run.

    Raises:
        ClaimLostError: another process works there now.
    """
    claim = _HELD.get(folder.absolute())
    if claim is not None:
        claim.require()


def process_exists(pid: int) -> bool:
    """Whether a process of this host lives; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
