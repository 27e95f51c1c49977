"""Table 11: the same weights with the learned probabilities under either mapping.

`paper` adds the probability of both distortions to each expert's weight in full, `normalized` by
half. A network is trained with one of them; its routing is also scored under the other.
"""

from typing import NamedTuple

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions, routing
from analysis.findings.compare import judge, noise_kinds
from analysis.rendering.forms import Column, Row, Table, Value
from analysis.statistics.samples import Sample, difference
from analysis.tables.main import comparison_values

METRICS = ("pesq_wb", "stoi", "si_sdr_db")
_MAPPINGS = ("paper", "normalized")


class Mapped(NamedTuple):
    """Scores of a cell under both mappings, on the utterances that have both."""

    trained_with: str
    paper: Sample
    normalized: Sample


def mapped(bundle: Bundle, cell: str, metric: str) -> Mapped | None:
    """Return a cell's distorted utterances under both mappings; None if one was not scored."""
    learned = bundle.sample(cell, metric)
    for trained_with, other in zip(_MAPPINGS, _MAPPINGS[::-1], strict=True):
        sample = bundle.sample(cell, metric, f"learned-{other}")
        mask = sample.complete() & learned.complete() & bundle.in_conditions(words.DISTORTED)
        if mask.any():
            by_name = {trained_with: learned.restrict(mask), other: sample.restrict(mask)}
            return Mapped(trained_with, *(by_name[m] for m in _MAPPINGS))
    return None


def mapping_table(bundle: Bundle) -> Table:
    """Make table 11: differences to dense under each mapping, and what the mapping changes."""
    rows, n = [], 0
    for metric in METRICS:
        found = {c: m for c in routing.router_cells(bundle) if (m := mapped(bundle, c, metric))}
        rows += _rows(bundle, found, metric)
        n = max([n, *(m.paper.n_utterances for m in found.values())])
    columns = [
        Column("Network", "network", numeric=False),
        Column("trained with", "trained_with", numeric=False),
        Column("Δ dense, paper", "difference_to_dense_paper"),
        Column("verdict", "verdict_paper", numeric=False),
        Column("Δ dense, normalized", "difference_to_dense_normalized"),
        Column("verdict", "verdict_normalized", numeric=False),
        Column("normalized − paper", "normalized_minus_paper"),
        Column("p (Holm)", "p_holm"), Column("verdict", "verdict", numeric=False),
    ]  # fmt: skip
    caption = (
        "The same trained weights, routed by their learned probabilities under the mapping of the "
        "paper (weights p0 + p2 and p1 + p2) and under the normalized one (p2 in halves, weights "
        f"sum to 1). N = {n} distorted utterances that were scored under both, "
        f"{captions.seeds_and_extent(bundle)}"
    )
    if rows:
        notes = [
            "Verdicts: Holm over the networks for each column and metric.",
            *[text for text in (captions.clusters(bundle),) if text],
        ]
    else:
        notes = ["No network of this bundle was scored under the other mapping."]
        caption = "The same trained weights under the mapping of the paper and the normalized one."
    return Table("table11_mapping", "Table 11: mapping", caption, columns, rows, notes)


def _rows(bundle: Bundle, found: dict[str, Mapped], metric: str) -> list[Row]:
    cells = list(found)
    dense = bundle.sample(words.DENSE, metric) if bundle.has(words.DENSE) else None
    pairs: list[list[Sample | None]] = [
        [difference(m.paper, dense) if dense else None for m in found.values()],
        [difference(m.normalized, dense) if dense else None for m in found.values()],
        [difference(m.normalized, m.paper) for m in found.values()],
    ]
    kinds = noise_kinds(bundle, cells)
    judged = [judge(bundle, column, metric, kinds=kinds) for column in pairs]
    rows = []
    for i, cell in enumerate(cells):
        values: list[Value] = [captions.row_label(bundle, cell, cell), found[cell].trained_with]
        for column in judged[:2]:
            values += comparison_values(column[i], metric)[::2]
        values += comparison_values(judged[2][i], metric)
        rows.append(Row(values, words.METRICS[metric].axis_label))
    return rows
