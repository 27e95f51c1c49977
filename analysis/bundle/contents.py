"""A study's stored results: the only thing that the reports know.

Scores are arrays over [counterfactual, run, utterance], NaN where a value is missing.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from analysis.bundle.verdict_rules import VerdictRules, verdict_rules
from analysis.statistics.clusters import TestSet
from analysis.statistics.samples import Sample
from smoe.schema.cells import is_outside, is_trained


@dataclass(frozen=True, eq=False)  # a bundle is equal to itself alone and hashable
class Bundle:
    """One study's results.

    Attributes:
        folder: Where they were read from.
        study: Contents of `study.json`.
        runs: One row per finished run, in the order of cells and seeds.
        utterances: One row per test utterance: `utterance, condition, snr_db, rt60_s`, and where
            the study stored them `speaker, noise, noise_type, room`.
        scores: Metric to [counterfactual, run, utterance]; NaN is missing.
        errors: One row per score that failed: `run, utterance, counterfactual, error`.
        routing: As stored, with `run` and `position` (row numbers of the two frames above).
        history: As stored.
        examples: Spectrograms of the example triplet; empty if none were stored.
        mark: Tells whether the folder still holds this bundle, see `smoe.schema.bundle.mark_of`.
        left_out: One sentence on runs that are not counted, see `parts`; empty if all are.
        counted: The seeds that reports speak of; none given: all that the study plans.
        levels: Every level of the settings that the study varies, with its runs; empty if none.
        level: The level that this bundle is, in words; empty if the study varies none.
    """

    folder: Path
    study: dict
    runs: pd.DataFrame
    utterances: pd.DataFrame
    scores: dict[str, np.ndarray]
    errors: pd.DataFrame
    routing: pd.DataFrame
    history: pd.DataFrame
    examples: dict[str, np.ndarray] = field(default_factory=dict)
    mark: str = ""
    left_out: str = ""
    counted: tuple[int, ...] = ()
    levels: tuple[tuple[dict, "Bundle"], ...] = ()
    level: str = ""

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.study["study"]["name"]

    @property
    def planned(self) -> list[str]:
        """Cells that the study plans, without the unprocessed input."""
        return [c for c in self.study["study"]["cells"] if c != words.UNPROCESSED]

    @property
    def seeds(self) -> list[int]:
        """Seeds that reports speak of: those counted, else all that the study plans."""
        return list(self.counted) or self.study["study"]["seeds"]

    @cached_property
    def rules(self) -> VerdictRules:
        """How the study's differences are judged, at the look that is reported."""
        return verdict_rules(self.study).at_look(len(self.seeds))

    @property
    def primary(self) -> str:
        """Metric of the primary endpoint."""
        return self.rules.primary

    @cached_property
    def run_rows(self) -> dict[str, np.ndarray]:
        """Rows of `runs` that belong to each cell."""
        groups = self.runs.groupby("cell").indices
        return {str(cell): np.asarray(rows) for cell, rows in groups.items()}

    @cached_property
    def further(self) -> list[str]:
        """Further measures that some run was scored in."""
        return [m for m in words.FURTHER if m in self.scores and np.isfinite(self.scores[m]).any()]

    @cached_property
    def own_runs(self) -> pd.DataFrame:
        """Runs of the study itself, the unprocessed input among them: all but outside systems."""
        return self.runs[~self.runs["cell"].map(is_outside).astype(bool)]

    @cached_property
    def run_seeds(self) -> np.ndarray:
        """Seed of each run."""
        return self.runs["seed"].to_numpy()

    @cached_property
    def strata(self) -> np.ndarray:
        """Condition of each test utterance, as its number in `vocabulary.CONDITIONS`."""
        return self.utterances["stratum"].to_numpy()

    @cached_property
    def has_times(self) -> bool:
        """Whether the runs' times say what their cells cost.

        On a GPU networks are trained side by side and share its time; unlike machines differ.
        """
        devices = self.own_runs["device"].dropna().unique()
        return len(devices) == 1 and str(devices[0]).startswith("cpu")

    @cached_property
    def test_set(self) -> TestSet:
        """Condition, speaker, noise and room of each test utterance.

        A bundle without rooms tells them apart by their RT60.
        """
        clusters = {k: self.utterances[k] for k in words.CLUSTERS if k in self.utterances}
        clusters.setdefault("room", self.utterances["rt60_s"])
        return TestSet(self.strata, {k: pd.factorize(v)[0] for k, v in clusters.items()})

    def cells(self) -> list[str]:
        """Return the study's networks with finished runs, in table order."""
        return sorted(filter(is_trained, self.run_rows), key=words.cell_order)

    def outside_systems(self) -> list[str]:
        """Return the outside systems that were scored on the study's test set, in table order."""
        return sorted(filter(is_outside, self.run_rows), key=words.cell_order)

    def cell_row(self, cell: str) -> pd.Series:
        """Return what all runs of a cell have in common (the row of its first run)."""
        return self.runs.iloc[self.run_rows[cell][0]]

    def has(self, cell: str) -> bool:
        """Return whether a cell has finished runs."""
        return cell in self.run_rows

    def missing_seeds(self, cell: str) -> list[int]:
        """Return planned seeds of a planned cell that have no finished run."""
        done = set(self.run_seeds[self.run_rows[cell]]) if self.has(cell) else set()
        return [seed for seed in self.seeds if seed not in done]

    def in_conditions(self, conditions: tuple[str, ...]) -> np.ndarray:
        """Return the mask of the utterances in these conditions, [U]."""
        return np.isin(self.strata, [words.CONDITIONS.index(c) for c in conditions])

    def sample(self, cell: str, metric: str, counterfactual: str = "learned") -> Sample:
        """Return scores of a cell over its seeds and all test utterances."""
        rows = self.run_rows[cell]
        index = words.COUNTERFACTUALS.index(counterfactual)
        return Sample(
            scores=self.scores[metric][index][rows],
            seeds=tuple(int(seed) for seed in self.run_seeds[rows]),
            test_set=self.test_set,
            any_seed=not is_trained(cell),
            outside=is_outside(cell),
            level=self.rules.coverage,
        )
