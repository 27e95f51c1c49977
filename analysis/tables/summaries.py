"""Every cell's means with their intervals as plain numbers, for other views of the results."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.tables.main import samples_of

COSTS = ("params", "macs")


def cell_summaries(bundle: Bundle) -> dict[str, dict[str, float]]:
    """Cell to metrics: `pesq_wb` over the distorted utterances, `pesq_wb_reverb` and so on.

    Each mean comes with `_low` and `_high`, the bounds of its 95 % interval, where there is one.
    What a network costs (`params`, `macs` per second of audio) stands beside them.
    """
    cells = (
        [words.UNPROCESSED, *bundle.cells()] if bundle.has(words.UNPROCESSED) else bundle.cells()
    )
    sets = {"": words.DISTORTED, **{f"_{c}": (c,) for c in words.CONDITIONS}}
    summaries: dict[str, dict[str, float]] = {cell: {} for cell in cells}
    for metric in words.METRICS:
        for suffix, conditions in sets.items():
            for cell, sample in zip(
                cells, samples_of(bundle, cells, metric, conditions), strict=True
            ):
                mean = sample.mean() if sample is not None else None
                if mean is None:
                    continue
                values = {"": mean.estimate, "_low": mean.low, "_high": mean.high}
                summaries[cell] |= {
                    f"{metric}{suffix}{end}": float(value)
                    for end, value in values.items()
                    if np.isfinite(value)
                }
    for cell in cells:
        costs = {name: float(bundle.cell_row(cell)[name] or np.nan) for name in COSTS}
        summaries[cell] |= {name: value for name, value in costs.items() if np.isfinite(value)}
    return summaries
