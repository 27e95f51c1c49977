"""Table 9: where the variance comes from.

Components of the model of `statistics` and `clusters`, estimated from mean squares, for the
differences of cells to the dense network: their root mean square over the cells of one kind. A
component that comes out negative is zero.
"""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import differences_to, noise_kinds
from analysis.rendering.forms import MISSING, Column, Entry, Row, Table, Value
from analysis.statistics.clusters import TestSet, cluster_excess
from analysis.statistics.intervals import rest_variance
from analysis.statistics.samples import Sample

_KINDS = {"speaker": "speaker", "noise": "noise recording", "room": "room"}
_BETWEEN_TRAININGS = "training (seed × placement)"
_SHARE = "share of a mean difference's variance that seeds make (%)"


def difference_components(sample: Sample) -> dict[str, float]:
    """Return the variance components of one paired difference of at least two seeds.

    Between trainings, of each kind of cluster, of utterances, and of the rest (seed by utterance);
    and the share of the variance of the mean that more seeds would reduce.
    """
    scores, test_set = sample.values()
    n_seeds, n = scores.shape
    residuals = test_set.residuals(scores.mean(axis=0))
    own = float(residuals**2 @ test_set.own_weights)
    rest = float(rest_variance(scores, test_set))
    seeds = float(scores.mean(axis=1).var(ddof=1)) / n_seeds
    found = {_BETWEEN_TRAININGS: max(seeds - rest, 0.0) * n_seeds}
    total = own
    alone = (own - rest) * n
    for kind, part in cluster_excess(residuals, test_set).items():
        in_excess, in_own = _loadings(test_set, kind)
        found[_KINDS[kind]] = float(part.variance) / in_excess
        alone -= found[_KINDS[kind]] * in_own * n
        total += float(part.variance)
    found["utterance"] = max(alone, 0.0)
    found["seed × utterance (rest)"] = rest * n_seeds * n
    beyond = max(total - rest, 0.0)
    found[_SHARE] = seeds / (seeds + beyond) if seeds + beyond > 0 else np.nan
    return found


def _loadings(test_set: TestSet, kind: str) -> tuple[float, float]:
    """Return how often a variance between clusters of one kind counts in its excess and in V_own.

    Expectations over independent cluster effects of variance 1.
    """
    members = test_set.cluster_members[kind]
    sizes = members.sum(axis=0)
    squares = (test_set.residuals(members.T) ** 2).sum(axis=0) * test_set.own_weights
    in_own = float(squares.sum())
    in_total = float((sizes**2).sum()) / len(members) ** 2
    return in_total - float(squares[members.any(axis=1)].sum()), in_own


def common_to_all_cells(bundle: Bundle, metric: str) -> float:
    """Return the variance between seeds that all cells share; NaN without two of both.

    Variance of the seeds' means over the cells that have every seed, less what the cells' own
    variation adds to it.
    """
    mask = bundle.in_conditions(words.DISTORTED)
    cells = [c for c in bundle.cells() if not bundle.missing_seeds(c)]
    if len(cells) < 2 or len(bundle.seeds) < 2:
        return np.nan
    scores = [bundle.sample(c, metric).restrict(mask).values()[0] for c in cells]
    scored = [s.mean(axis=1) for s in scores if s.size]
    if len(scored) < 2:
        return np.nan
    means = np.stack(scored)  # [C, S]
    own = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    n_cells, n_seeds = means.shape
    own_variance = (own**2).sum() / ((n_cells - 1) * (n_seeds - 1))
    return max(float(means.mean(axis=0).var(ddof=1) - own_variance / n_cells), 0.0)


def variance_table(bundle: Bundle) -> Table:
    """Make table 9: standard deviations of the components, by kind of cell and metric."""
    cells = [c for c in bundle.cells() if not words.is_dense(c)]
    kinds = noise_kinds(bundle, cells)
    by_metric = {m: _components(bundle, cells, kinds, m) for m in words.METRICS}
    rows = [_alike_row(bundle), _rounding_row(bundle)]
    for kind in sorted(set(kinds), reverse=True):
        names = dict.fromkeys(name for found in by_metric.values() for name in found.get(kind, {}))
        for name in names:
            values = [by_metric[m].get(kind, {}).get(name, np.nan) for m in words.METRICS]
            rows.append(Row([name, *_entries(values, name)], f"difference to dense, {kind}"))
    columns = [Column("Component", "component", numeric=False)]
    columns += [Column(m.axis_label, f"sd_{key}") for key, m in words.METRICS.items()]
    n = int(bundle.in_conditions(words.DISTORTED).sum())
    caption = (
        "Standard deviations of what makes scores differ, over the distorted utterances, in the "
        "unit of each metric: of a cell's mean score for the first rows, then of paired "
        f"differences to the dense network (root mean square over cells). N = {n} utterances, "
        f"{captions.plural(len(bundle.seeds), 'seed')}."
    )
    notes = [text for text in (captions.clusters(bundle),) if text]
    if len(bundle.seeds) < 2:
        notes.append("With one seed the variance between trainings is not known.")
    title = "Table 9: variance components"
    return Table("table9_variance", title, caption, columns, rows, notes)


def _components(
    bundle: Bundle, cells: list[str], kinds: list[str], metric: str
) -> dict[str, dict[str, float]]:
    """Return the mean of each variance component over cells, by kind of cell."""
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), metric)
    found: dict[str, list[dict[str, float]]] = {}
    for kind, pair in zip(kinds, pairs, strict=True):
        if pair is not None and len(pair.seeds) > 1 and pair.n_utterances > 3:
            found.setdefault(kind, []).append(difference_components(pair))
    return {
        kind: {
            name: float(np.mean([c[name] for c in each if name in c]))
            for name in dict.fromkeys(name for c in each for name in c)
        }
        for kind, each in found.items()
    }


def _entries(values: list[float], name: str) -> list[Value]:
    if name == _SHARE:
        return [Entry(100 * value, decimals=0) for value in values]
    decimals = [m.decimals + 1 for m in words.METRICS.values()]
    return [Entry(float(np.sqrt(v)), decimals=d) for v, d in zip(values, decimals, strict=True)]


def _alike_row(bundle: Bundle) -> Row:
    values = [common_to_all_cells(bundle, metric) for metric in words.METRICS]
    return Row(["seed, all cells alike", *_entries(values, "")], "mean score of a cell")


def _rounding_row(bundle: Bundle) -> Row:
    """Make the row of one run's spread from rounding alone; missing if the study has none."""
    known = bundle.study.get("rounding") or {}
    values: list[Value] = [
        Entry(float(known[key]), decimals=m.decimals + 1) if key in known else MISSING
        for key, m in words.METRICS.items()
    ]
    name = "rounding, one run" if known else "rounding, one run (not measured in this study)"
    return Row([name, *values], "mean score of a cell")
