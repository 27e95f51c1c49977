"""Run folders: where one run's work lives until it is bundled, and how it is known to be whole.

`results/.runs/<first 16 of the identity>/<seed>/` holds `config.json`, `progress.json` and
`checkpoint.pt` while the run works, then its results, and at the very end `done`, which lists the
sha256 of every result file. Studies that contain the same run share its folder.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoe.config import RunConfig
from smoe.errors import UserError

RUNS_FOLDER = ".runs"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one configuration and seed."""

    path: Path

    @classmethod
    def of(cls, results: Path, config: RunConfig, seed: int) -> "RunFolder":
        """The folder of a run below a results folder; it need not exist."""
        return cls(results / RUNS_FOLDER / config.identity()[:16] / str(seed))

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
            return json.loads(self.file(name).read_text())
        except (OSError, ValueError):
            return None

    def is_done(self) -> bool:
        """Whether the run has finished; cheap, trusts the marker."""
        return self.file("done").exists()

    def verify(self) -> bool:
        """Whether every result file is what the run wrote; a damaged run is no longer done.

        The marker is set aside then, so that the next start does the run again.
        """
        digests = self.read_json("done")
        whole = digests is not None and all(
            self.file(name).is_file() and _digest(self.file(name)) == digest
            for name, digest in digests.items()
        )
        if not whole and self.is_done():
            self.file("done").replace(self.file("done.damaged"))
        return whole

    def mark_done(self, names: list[str]) -> None:
        """Declares the run finished with these result files.

        Weights and example recordings are extras: a bundle is complete without them.
        """
        from smoe.checkpoint import write_atomic

        digests = {name: _digest(self.file(name)) for name in sorted(names)}
        write_atomic(self.file("done"), json.dumps(digests, indent=1).encode())
        for leftover in ("checkpoint.pt", "progress.json", "failed.json"):
            self.file(leftover).unlink(missing_ok=True)


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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
