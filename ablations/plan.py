"""What a study still has to do: its runs, and the state of each on disk."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from ablations.claims import Claim
from ablations.estimate import Load
from ablations.grid import UNPROCESSED, resolve
from ablations.store import RunFolder
from ablations.study import Study
from smoe.config import RunConfig
from smoe.cost import cost

State = Literal["done", "running", "stale", "failed", "planned"]
STATES: tuple[State, ...] = ("done", "running", "stale", "failed", "planned")
SCORED_UNIT_S = 3.0  # of audio, whose scoring counts as one
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
        """Return the multiply-accumulates of training, backward passes included."""
        return _training(self.config)  # pyright: ignore[reportArgumentType] frozen, so hashable

    @cached_property
    def load(self) -> Load:
        """Return what the run asks of a machine."""
        return _load(self.config)  # pyright: ignore[reportArgumentType] frozen, so hashable

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
def _training(config: RunConfig) -> float:
    if config.model is None:
        return 0.0
    train = config.train.steps * config.train.batch_size * config.mix.crop_s
    return cost(config.model).macs_per_s * 3 * train


@cache
def _load(config: RunConfig) -> Load:
    """Asked about once a second of thousands of runs, which share a few hundred configurations."""
    from smoe.counterfactuals import applicable

    test = config.test
    per_condition = test.per_snr * len(test.snrs_db)
    scored = (3 * per_condition + test.clean) * test.crop_s
    if config.model is None:
        return Load(0.0, 0.0, scored / SCORED_UNIT_S)
    forced = len(applicable(config.model)) - 1  # beside what was learned
    scored += forced * 3 * min(test.counterfactual_per_condition, per_condition) * test.crop_s
    enhancing = cost(config.model).macs_per_s * scored
    return Load(_training(config), enhancing, scored / SCORED_UNIT_S)  # pyright: ignore


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
