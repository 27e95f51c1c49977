"""How many seeds a difference needs, from a study's own variance."""

from collections.abc import Sequence

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings.compare import Comparison, differences_to, judge, noise_kinds
from analysis.statistics.clusters import Component
from analysis.statistics.hypotheses import seeds_needed


def typical_seeds_needed(
    comparisons: Sequence[Comparison], difference: float, family: int
) -> int | None:
    """Return how many seeds find a difference after Holm; None if no number of seeds does.

    Median variances of the comparisons, each with its own S - 1 degrees of freedom; 80 % power.

    Args:
        comparisons: Of at least two seeds each.
        difference: In the unit of the metric.
        family: Comparisons that Holm corrects for.
    """
    seeds = [(c.interval.components[0].variance, c.n_seeds) for c in comparisons]
    variance = np.median([float(variance) * n_seeds for variance, n_seeds in seeds])
    others = [c.interval.components[1] for c in comparisons if len(c.interval.components) > 1]
    utterances = None
    if others:
        utterances = Component(
            float(np.median([float(c.variance) for c in others])),
            float(np.median([min(float(c.df), 1e6) for c in others])),
        )
    return seeds_needed(difference, float(variance), utterances, comparisons[0].alpha, family)


def seeds_sentence(comparisons: Sequence[Comparison], metric: str, difference: float) -> str:
    """Return one sentence: a difference of this size needs so many seeds after Holm.

    Empty without at least two seeds: nothing is then known of the spread between trainings.
    """
    known = [c for c in comparisons if c.n_seeds >= 2 and len(c.interval.components) > 0]
    if not known:
        return ""
    family = max(c.n_family for c in known)
    size = f"A difference of {difference:g} {words.METRICS[metric].unit_label}"
    after = f"after Holm over {family}" if family > 1 else "in a single test"
    needed = typical_seeds_needed(known, difference, family)
    if needed is None:
        return f"{size} cannot be found {after} by more seeds: the test utterances are too few."
    return f"{size} needs {needed} seeds {after} (80 % power)."


def planned_seeds(bundle: Bundle) -> list[str]:
    """Return what `plan` says of a stored study: seeds that a difference of the margin needs.

    One sentence per metric with a margin and kind of cell (with and without late decoder), for
    differences to the dense network; empty if the study cannot tell.
    """
    cells = [c for c in bundle.cells() if "." in c]
    kinds = noise_kinds(bundle, cells)
    sentences = []
    for metric, margin in bundle.rules.margins.items():
        pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), metric)
        judged = judge(bundle, pairs, metric, kinds=kinds)
        for kind in dict.fromkeys(kinds):
            alike = [c for c, k in zip(judged, kinds, strict=True) if c is not None and k == kind]
            if sentence := seeds_sentence(alike, metric, margin):
                sentences.append(f"Cells with {kind}: {sentence}".replace("with no", "without"))
    return sentences
