"""Every cell's means with their intervals as plain numbers, for other views of the results."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings.compare import Comparison, differences_to, judge, noise_kinds
from analysis.tables.main import samples_of

COSTS = ("params", "macs")
DECIMALS = 4  # what a column of a list has room for
DIFFERENCE = "pesq_wb"  # the metric whose difference to dense is listed, with its verdict


def cell_summaries(bundle: Bundle) -> dict[str, dict[str, float]]:
    """Return each cell's metrics: `pesq_wb` over distorted utterances, `pesq_wb_reverb` and so on.

    Each mean comes with `_low` and `_high`, the bounds of its 95 % interval, where there is one.
    What a network costs (`params`, `macs` per second of audio) stands beside them.
    """
    fixed = [words.UNPROCESSED] if bundle.has(words.UNPROCESSED) else []
    cells = [*fixed, *bundle.cells(), *bundle.outside_systems()]
    sets = {"": words.DISTORTED, **{f"_{c}": (c,) for c in words.CONDITIONS}}
    summaries: dict[str, dict[str, float]] = {cell: {} for cell in cells}
    for metric in [*words.METRICS, *bundle.further]:
        for suffix, conditions in sets.items():
            for cell, sample in zip(
                cells, samples_of(bundle, cells, metric, conditions), strict=True
            ):
                mean = sample.mean() if sample is not None else None
                if mean is None:
                    continue
                values = {"": mean.estimate, "_low": mean.low, "_high": mean.high}
                summaries[cell] |= {
                    f"{metric}{suffix}{end}": round(float(value), DECIMALS)
                    for end, value in values.items()
                    if np.isfinite(value)
                }
    for cell in cells:
        costs = {name: float(bundle.cell_row(cell)[name] or np.nan) for name in COSTS}
        summaries[cell] |= {
            name: float(round(value)) for name, value in costs.items() if np.isfinite(value)
        }
    return summaries


def add_differences(bundle: Bundle, summaries: dict[str, dict[str, float]]) -> dict[str, str]:
    """Add each cell's difference to the dense network, as `delta_pesq`; return the verdicts.

    Holm corrects over the S-MoE networks, as in the answer, and apart over all other networks.
    """
    if not bundle.has(words.DENSE):
        return {}
    verdicts = {}
    smoe = [cell for cell in bundle.cells() if "." in cell]
    others = [cell for cell in bundle.cells() if "." not in cell and cell != words.DENSE]
    for family in (smoe, others):
        pairs = differences_to(bundle, family, [words.DENSE] * len(family), DIFFERENCE)
        kinds = noise_kinds(bundle, family) if family is smoe else None
        for cell, found in zip(family, judge(bundle, pairs, DIFFERENCE, kinds=kinds), strict=True):
            if found is not None:
                summaries[cell] |= _difference(found)
                verdicts[cell] = found.verdict_text
    return {**verdicts, words.DENSE: "reference"}


def _difference(found: Comparison) -> dict[str, float]:
    ends = {
        "delta_pesq": found.interval.estimate,
        "delta_from": found.interval.low,
        "delta_to": found.interval.high,
    }
    values = {name: round(float(value), DECIMALS) for name, value in ends.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}
