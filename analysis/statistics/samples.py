"""Scores of a cell over seeds and utterances, and how two cells are paired.

Nothing is imputed: an utterance that lacks a value for any seed involved leaves the comparison.
"""

from dataclasses import dataclass, replace

import numpy as np

from analysis.statistics.clusters import TestSet
from analysis.statistics.intervals import LEVEL, Interval, mean_interval


@dataclass(frozen=True)
class Sample:
    """Scores [S, U], NaN where missing.

    Attributes:
        scores: One row per seed, one column per test utterance of the study.
        seeds: The seed of each row.
        test_set: Condition and clusters of each utterance.
        any_seed: The scores depend on no seed (unprocessed input, outside systems) and pair with
            every one.
        outside: An outside system has part in it: no spread of its training is known.
        level: Coverage of the intervals made from it.
    """

    scores: np.ndarray
    seeds: tuple[int, ...]
    test_set: TestSet
    any_seed: bool = False
    outside: bool = False
    level: float = LEVEL

    def restrict(self, mask: np.ndarray) -> "Sample":
        """Keep the utterances in the mask, [U]; the others become missing."""
        return replace(self, scores=np.where(mask, self.scores, np.nan))

    def complete(self) -> np.ndarray:
        """Return the mask of the utterances that have a value for every seed, [U]."""
        return np.isfinite(self.scores).all(axis=0) & np.full(
            self.scores.shape[1], bool(self.seeds)
        )

    @property
    def n_utterances(self) -> int:
        """Utterances that enter the mean."""
        return int(self.complete().sum())

    def values(self) -> tuple[np.ndarray, TestSet]:
        """Return scores of the complete utterances, [S, U'], and what these have in common."""
        mask = self.complete()
        return self.scores[:, mask], self.test_set.take(mask)

    def mean(self) -> Interval | None:
        """Return the mean over seeds and utterances with its interval; None without any score."""
        scores, test_set = self.values()
        return mean_interval(scores, test_set, self.level) if scores.size else None


def align(samples: list[Sample]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return scores [n, S, U] of cells over the seeds that all of them have, and those seeds.

    Samples that depend on no seed are repeated for each one.
    """
    seeded = [set(s.seeds) for s in samples if not s.any_seed]
    seeds = tuple(sorted(set.intersection(*seeded))) if seeded else samples[0].seeds
    rows = [
        np.repeat(s.scores[:1], len(seeds), axis=0)
        if s.any_seed
        else s.scores[[s.seeds.index(seed) for seed in seeds]]
        for s in samples
    ]
    return np.stack(rows), seeds


def combine(samples: list[Sample], weights: np.ndarray) -> Sample:
    """Sum paired cells with weights, seed by seed and utterance by utterance."""
    scores, seeds = align(samples)
    first = samples[0]
    combined = np.tensordot(weights, scores, axes=1)
    outside = any(sample.outside for sample in samples)
    return Sample(combined, seeds, first.test_set, outside=outside, level=first.level)


def difference(first: Sample, second: Sample) -> Sample:
    """Subtract the second sample from the first, paired."""
    return combine([first, second], np.array([1.0, -1.0]))


def mean_of(samples: list[Sample]) -> Sample:
    """Average paired samples."""
    return combine(samples, np.full(len(samples), 1 / len(samples)))
