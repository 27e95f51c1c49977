"""What a study claims of the full S-MoE: paired differences to its references, one family."""

from dataclasses import dataclass

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import Comparison, judge
from analysis.findings.cost_curve import COSTS, CurvePoint, point_at
from analysis.rendering.forms import estimate
from analysis.statistics.samples import Sample, combine


@dataclass(frozen=True)
class Claim:
    """A cell against a reference.

    Attributes:
        cell: Its code.
        reference: What the reference is called.
        weights: The reference as cells and their weights, which sum to 1.
        comparisons: Metric to the judged difference over the distorted utterances.
    """

    cell: str
    reference: str
    weights: dict[str, float]
    comparisons: dict[str, Comparison]

    @property
    def title(self) -> str:
        """Who is compared with what."""
        return f"{words.cell_name(self.cell)} against {self.reference}"

    def sentence(self, metric: str) -> str:
        """Say effect, interval, verdict, seeds, direction of the seeds and N."""
        found = self.comparisons[metric]
        gain = estimate(found.interval, words.METRICS[metric].decimals, signed=True)
        up = sum(value > 0 for value in found.by_seed)
        return (
            f"{self.title}: {gain} {words.METRICS[metric].unit_label}, {found.verdict_text} "
            f"({up} of {captions.plural(found.n_seeds, 'seed')} above zero, "
            f"N = {found.n_utterances})."
        )


def claims(bundle: Bundle, cell: str = words.FULL_CELL) -> list[Claim]:
    """Compare a cell with its input, the dense network and the dense curve at its cost.

    For each metric all comparisons are one family. References that the study lacks are left out.
    """
    if not bundle.has(cell):
        return []
    references = _references(bundle, cell)
    judged: dict[str, dict[str, Comparison]] = {name: {} for name in references}
    for metric in words.METRICS:
        pairs: list[Sample | None] = [
            paired(bundle, cell, weights, metric).restrict(bundle.in_conditions(words.DISTORTED))
            for weights in references.values()
        ]
        for name, comparison in zip(references, judge(bundle, pairs, metric), strict=True):
            if comparison is not None:
                judged[name][metric] = comparison
    return [
        Claim(cell, name, weights, judged[name])
        for name, weights in references.items()
        if bundle.primary in judged[name]
    ]


def _references(bundle: Bundle, cell: str) -> dict[str, dict[str, float]]:
    named = {"its input": words.UNPROCESSED, "the dense network": words.DENSE}
    found = {name: {c: 1.0} for name, c in named.items() if bundle.has(c) and c != cell}
    for cost, name in COSTS.items():
        if not np.isfinite(float(bundle.cell_row(cell)[cost] or np.nan)):
            continue
        point = point_at(bundle, cell, cost)
        if isinstance(point, CurvePoint):
            found[f"the dense curve at equal {name}"] = point.weights
    return found


def paired(
    bundle: Bundle, cell: str, weights: dict[str, float], metric: str,
    counterfactual: str = "learned",
) -> Sample:  # fmt: skip
    """Subtract a reference from a cell over all utterances, paired by seed and utterance.

    Args:
        bundle: The study.
        cell: A cell with runs.
        weights: The reference as cells and their weights.
        metric: What is subtracted.
        counterfactual: How the cell is routed; the reference stays as it is.
    """
    samples = [bundle.sample(cell, metric, counterfactual)]
    samples += [bundle.sample(c, metric) for c in weights]
    return combine(samples, np.array([1.0, *(-w for w in weights.values())]))
