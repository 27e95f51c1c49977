"""What a study still has to do: its runs, and the state of each on disk."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from ablations.claims import Claim
from ablations.grid import UNPROCESSED, resolve
from ablations.store import RunFolder
from ablations.study import Study
from smoe.config import RunConfig
from smoe.cost import cost

State = Literal["done", "running", "stale", "failed", "planned"]
STATES: tuple[State, ...] = ("done", "running", "stale", "failed", "planned")
UNKNOWN_HASH = "unknown until the corpus is prepared"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        cell: Cell code.
        seed: Seed; 0 for the unprocessed input, which has none.
        config: The resolved run.
        folder: Where it lives.
    """

    cell: str
    seed: int
    config: RunConfig
    folder: RunFolder

    @cached_property
    def work(self) -> float:
        """Expected effort in arbitrary units: multiply-accumulates of training and evaluation."""
        return _work(self.config)  # pyright: ignore[reportArgumentType] frozen, so hashable

    def has_begun(self) -> bool:
        """Whether the run was started at least once."""
        return self.folder.file("config.json").exists()

    def state(self) -> State:
        """Done, working now, stale (killed on the way, resumable), failed, or not begun."""
        if self.folder.is_done():
            return "done"
        if not self.folder.path.exists():
            return "planned"
        if Claim.on(self.folder.path).is_alive():
            return "running"
        if self.folder.file("failed.json").exists():
            return "failed"
        return "stale" if self.folder.file("progress.json").exists() else "planned"


@cache
def _work(config: RunConfig) -> float:
    """Asked about once a second of thousands of runs, which share a few hundred configurations."""
    if config.model is None:
        return 0.0
    train = config.train.steps * config.train.batch_size * config.mix.crop_s
    return cost(config.model).macs_per_s * 3 * train


def plan(study: Study, results: Path, data_hash: str = UNKNOWN_HASH) -> list[PlannedRun]:
    """All runs of a study, the unprocessed input first, then seed by seed in the grid's order.

    Raises:
        UserError: a setting has an impossible value.
    """
    base = study.base(data_hash)
    cells = [(UNPROCESSED, 0)] + [(cell, seed) for seed in study.seeds for cell in study.cells]
    resolved = {cell: resolve(cell, base) for cell in {cell for cell, _ in cells}}
    above = {cell: RunFolder.above(results, config) for cell, config in resolved.items()}
    return [
        PlannedRun(cell, seed, resolved[cell], RunFolder(above[cell] / str(seed)))
        for cell, seed in cells
    ]
