"""Run folders: where one run's work lives until it is bundled, and how it is known to be whole.

`results/.runs/<first 16 of the identity>/<seed>/` holds `config.json`, `progress.json` and
`checkpoint.pt` while the run works, then its results, and at the very end `done`, which lists the
sha256 of every result file. Studies that contain the same run share its folder.
"""

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smoe.atomic import write_atomic
from smoe.config import RunConfig
from smoe.errors import UserError

RUNS_FOLDER = ".runs"
Failure = Literal["error", "out of memory", "diverged", "timeout"]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one configuration and seed."""

    path: Path

    @staticmethod
    def above(results: Path, config: RunConfig) -> Path:
        """Where the folders of a configuration's runs are, named by their seeds."""
        return results / RUNS_FOLDER / config.identity()[:16]

    @classmethod
    def known_as(cls, results: Path, run_id: str) -> "RunFolder":
        """The folder of the run that a bundle names so; it need not exist."""
        identity, _, seed = run_id.rpartition("-")
        return cls(results / RUNS_FOLDER / identity / seed)

    @property
    def results(self) -> Path:
        """The results folder that it is below."""
        return self.path.parents[2]

    @property
    def run_id(self) -> str:
        """First 16 digits of the identity, and the seed."""
        return f"{self.path.parent.name}-{self.path.name}"

    @property
    def checkpoint(self) -> Path:
        """Training state."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Weights after the last step, in the format of a checkpoint."""
        return self.path / "weights.pt"

    def file(self, name: str) -> Path:
        """A file of this run."""
        return self.path / name

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of this run; None where it is absent or damaged."""
        try:
            content = json.loads(self.file(name).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def is_done(self) -> bool:
        """Whether the run has finished; cheap, trusts the marker."""
        return self.file("done").exists()

    def set_aside_damage(self, config: RunConfig) -> list[Path]:
        """Looks whether a finished run's files are what the run wrote, and renames what is not.

        The run is then no longer done, and the next start makes again what is missing. A folder
        that holds another run than its name says is set aside as a whole.

        Args:
            config: What the run is meant to be.

        Returns:
            The damaged files under their new names, and the missing ones; none if the run is whole
            or not done.
        """
        if not self.is_done():
            return []
        digests = self.read_json("done")
        if not digests:
            return [set_aside(self.file("done"))]
        damaged = [
            path
            for path, digest in ((self.file(name), digest) for name, digest in digests.items())
            if not path.is_file() or _digest(path) != digest
        ]
        stored = self.read_json("config.json") or {}
        if not damaged and any(stored.get(key) != value for key, value in _fields(config).items()):
            return [set_aside(self.path)]
        aside = [set_aside(path) if path.exists() else path for path in damaged]
        if damaged:
            self.file("done").unlink(missing_ok=True)
        return aside

    def sweep(self) -> None:
        """Deletes what killed writers have left; only for the owner of the run's claim."""
        for left in self.path.glob(".*.*"):
            left.unlink(missing_ok=True)

    def mark_done(self, names: list[str]) -> None:
        """Declares the run finished with these result files.

        Weights and example recordings are extras: a bundle is complete without them.
        """
        digests = {name: _digest(self.file(name)) for name in sorted(names)}
        write_atomic(self.file("done"), json.dumps(digests, indent=1).encode())
        self.drop_leftovers()

    def drop_leftovers(self) -> None:
        """Deletes what only an unfinished run needs."""
        for leftover in ("checkpoint.pt", "progress.json", "failed.json"):
            self.file(leftover).unlink(missing_ok=True)

    def mark_failed(self, kind: Failure, reason: str) -> None:
        """Notes why the run failed; it is not tried again unless asked for."""
        content = json.dumps({"class": kind, "reason": reason})
        write_atomic(self.file("failed.json"), content.encode())


def prepare_results(results: Path) -> None:
    """Creates the results folder.

    Raises:
        UserError: it cannot be written to.
    """
    probe = results / RUNS_FOLDER / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"The results folder {results} cannot be written to ({error.strerror}); "
            "name another one with --results."
        ) from error


def set_aside(path: Path) -> Path:
    """Renames a damaged file or folder to `*.damaged`, or `*.damaged-2` and so on."""
    target, count = path.with_name(f"{path.name}.damaged"), 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.damaged-{count}")
    return path.rename(target)


FORBIDDEN = (errno.EACCES, errno.EPERM)
NO_ROOM = {  # what happened, and what to do
    errno.ENOSPC: ("no space is left on its disk", "make room"),
    errno.EDQUOT: ("its disk quota is used up", "make room"),
    errno.EROFS: ("its file system has become read-only", "mount it for writing"),
}


def no_room_error(results: Path | None, number: int | None) -> UserError | None:
    """Return what to tell a user when writing failed with this `errno`; None for other errors."""
    if number not in NO_ROOM:
        return None
    where = f"results folder {results}" if results else "results folder"
    reason, remedy = NO_ROOM[number]
    return UserError(
        f"The {where} cannot be written to: {reason}. "
        f"What is finished is kept; {remedy} and give the same command again."
    )


def forbidden_error(folder: Path, corpus_folder: Path) -> UserError:
    """Return what to tell a user when a run may not read or write what it has to.

    Args:
        folder: Of the run.
        corpus_folder: The corpus that it reads.
    """
    for top, may in ((folder, os.R_OK | os.W_OK), (corpus_folder, os.R_OK)):
        for place in (*reversed(top.parents), top, *sorted(top.glob("*"))):
            asked = may | os.X_OK if place == top else os.X_OK if place in top.parents else may
            if place.exists() and not os.access(place, asked):
                return UserError(
                    f"{place} may not be {'written' if may & os.W_OK else 'read'}; change its "
                    "permissions, or name another folder with --results, and give the same "
                    "command again."
                )
    return UserError(
        f"A run may not read or write a file that {folder / 'log.txt'} names; change the file's "
        "permissions and give the same command again."
    )


def _fields(config: RunConfig) -> dict[str, Any]:
    """A configuration as `config.json` stores it; that file also names a cell and a seed."""
    return json.loads(config.model_dump_json())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
