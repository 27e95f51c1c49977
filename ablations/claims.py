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
from dataclasses import dataclass
from pathlib import Path

import psutil

STALE_S = 120.0
BEAT_S = 10.0
CLAIM = "claim.json"


@dataclass(frozen=True)
class Claim:
    """A run's claim file."""

    path: Path

    @classmethod
    def on(cls, folder: Path) -> "Claim":
        """The claim on a run folder."""
        return cls(folder / CLAIM)

    def take(self) -> bool:
        """Claims the run for this process; False where a living process has it.

        A claim whose process is gone, or which has not been renewed for two minutes, is taken over.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.is_alive():
            self._set_aside()
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as file:
            json.dump({"host": platform.node(), "pid": os.getpid()}, file)
        return True

    def is_alive(self) -> bool:
        """Whether somebody works on the run."""
        try:
            age_s = time.time() - self.path.stat().st_mtime
            owner = json.loads(self.path.read_text() or "{}")
        except FileNotFoundError:
            return False
        except ValueError:  # another process is writing it at this moment, or died while it did
            return age_s < BEAT_S
        elsewhere = owner.get("host") != platform.node()
        return age_s < STALE_S and (elsewhere or process_exists(owner["pid"]))

    def keep(self) -> None:
        """Renews the claim from now on, from a thread that ends with the process."""
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Gives the run back."""
        self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # released
            while True:
                os.utime(self.path)
                time.sleep(BEAT_S)

    def _set_aside(self) -> None:
        # Of several that find the same dead claim only one renames it; the others lose the race.
        aside = self.path.with_name(f".{CLAIM}.{uuid.uuid4().hex}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        aside.unlink(missing_ok=True)


def process_exists(pid: int) -> bool:
    """Whether a process of this host lives; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
