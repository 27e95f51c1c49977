"""Scores estimates of the test set in further measures, in worker processes."""

import time
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from smoe.evaluation.evaluate import SCORED_AT_ONCE, Row
from smoe.evaluation.further_metrics import MEASURES, score_further
from smoe.metrics import METRICS
from smoe.mixtures.test_set import TestSet

Wave = NDArray[np.float32]


def score_further_set(
    test: TestSet, estimates: Tensor, names: tuple[str, ...], *, score_jobs: int = 1
) -> list[Row]:
    """Return `utterance`, the columns of the measures and `error` for each utterance.

    Args:
        test: The test set.
        estimates: What a system made of it, float32 [U, N] at 16 kHz.
        names: Measures, see `further_metrics.MEASURES`.
        score_jobs: Worker processes.
    """
    rows = np.arange(len(test.utterance))
    parts = np.split(rows, range(SCORED_AT_ONCE, len(rows), SCORED_AT_ONCE))
    scored: Any = joblib.Parallel(n_jobs=score_jobs)(
        joblib.delayed(_score_some)(
            test.mixture.clean[part].numpy(),
            estimates[part].numpy(),
            [test.samples[row] for row in part],
            names,
        )
        for part in parts
    )
    found = [row for part in scored for row in part]
    return [{"utterance": n, **row} for n, row in zip(test.utterance, found, strict=True)]


def _score_some(clean: Wave, estimates: Wave, samples: list[int], names: tuple[str, ...]) -> list:
    return [
        score_further(names, reference=clean[i, :length], estimate=estimates[i, :length])
        for i, length in enumerate(samples)
    ]


def seconds_per_utterance(*, reference: Wave, estimate: Wave, rounds: int) -> dict[str, float]:
    """Return the CPU time of each measure that is installed, in s; the first call is not counted.

    Args:
        reference: Clean speech of one utterance.
        estimate: Enhanced speech, same length.
        rounds: How often each is computed; the median counts.
    """
    computed: dict[str, Callable[..., Any]] = {
        **METRICS,
        **{name: measure.compute for name, measure in MEASURES.items() if measure.is_installed},
    }
    found = {}
    for name, compute in computed.items():
        times = []
        for _ in range(rounds + 1):
            started = time.process_time()
            compute(reference=reference, estimate=estimate)
            times.append(time.process_time() - started)
        found[name] = float(np.median(times[1:]))
    return found
