"""What a study still has to do: its runs, and the state of each on disk."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ablations.runs.claims import Claim
from ablations.runs.estimate import Load
from ablations.runs.run_folder import RunFolder
from ablations.studies.grid import UNPROCESSED, resolve
from ablations.studies.impossible import impossible
from ablations.studies.study import Study
from ablations.studies.variation import Level, at_level, effective, levels_of
from smoe.config import RunConfig
from smoe.errors import UserError
from smoe.network.cost import cost

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
        level: The varied settings of the study as they are here; None where one has no effect.
    """

    cell: str
    seed: int
    config: RunConfig
    folder: RunFolder
    level: Level = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """Cell and level as a person reads them: "dense, steps=4000"."""
        settings = [f"{k.split('.')[1]}={v}" for k, v in self.level.items() if v is not None]
        return ", ".join([self.cell, *settings])

    @property
    def name(self) -> str:
        """The variant with its seed; the unprocessed input has none."""
        return self.variant if self.config.model is None else f"{self.variant}, seed {self.seed}"

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
    from smoe.evaluation.counterfactuals import applicable

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
    """Return all runs of a study: the unprocessed input, then seed by seed in the grid's order.

    Whatever is trained when time runs out is then whole seeds, but for the last one.

    Raises:
        UserError: a setting has an impossible value.
    """
    base, varied = study.base(data_hash), study.varied
    bare = resolve(UNPROCESSED, base)
    first = PlannedRun(
        UNPROCESSED,
        0,
        bare,
        RunFolder(RunFolder.above(results, bare) / "0"),
        effective(bare, varied),
    )
    configs = [(c, config) for c in study.cells for config in _configurations(study, c, base)]
    variants = [
        (cell, config, RunFolder.above(results, config), effective(config, varied))
        for cell, config in configs
    ]
    return [first] + [
        PlannedRun(cell, seed, config, RunFolder(above / str(seed)), level)
        for seed in study.seeds
        for cell, config, above, level in variants
    ]


def by_level(runs: list[PlannedRun]) -> list[PlannedRun]:
    """Return a plan's runs with every cell of a seed at its first level, then at the second.

    A part of a study that varies settings then compares cells, and not the levels of the first one.
    """
    met: Counter[tuple[int, str]] = Counter()
    ranks = []
    for run in runs:
        ranks.append((run.config.model is not None, run.seed, met[run.seed, run.cell]))
        met[run.seed, run.cell] += 1
    return [runs[place] for place in sorted(range(len(runs)), key=lambda place: ranks[place])]


def _configurations(study: Study, cell: str, base: RunConfig) -> list[RunConfig]:
    """Return a cell's configuration at each of its levels; levels without effect are one."""
    found: dict[str, RunConfig] = {}
    for level in levels_of(study.variations, cell):
        try:
            config = resolve(cell, at_level(base, level))
        except ValidationError as error:
            raise UserError(
                f"Study {study.name} varies a setting to an impossible value: "
                f"{impossible(error, RunConfig)}."
            ) from error
        found.setdefault(config.identity(), config)
    return list(found.values())
