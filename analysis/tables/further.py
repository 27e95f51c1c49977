"""Table 13: further measures of the networks of table 1, by condition."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.outside import outside_notes
from analysis.findings import captions
from analysis.findings.compare import differences_to, judge
from analysis.rendering.forms import Column, Row, Table, Value, estimate
from analysis.tables.conditions import marked_difference
from analysis.tables.main import main_cells, samples_of


def further_table(bundle: Bundle) -> Table:
    """Make table 13: means and differences to dense in each further measure that was computed."""
    cells = main_cells(bundle)
    rows = []
    for name, conditions in {"overall": words.DISTORTED, **_heard(bundle)}.items():
        columns = [_columns(bundle, cells, metric, conditions) for metric in bundle.further]
        for i, cell in enumerate(cells):
            values: list[Value] = [captions.row_label(bundle, cell)]
            values += [value for means, _ in columns for value in (means[i],)]
            values += [value for _, differences in columns for value in (differences[i],)]
            rows.append(Row(values, name))
    measures = {key: words.FURTHER[key] for key in bundle.further}
    heads = [Column("Network", "network", numeric=False)]
    heads += [Column(f"{m.axis_label} {_arrow(m.sign)}", key) for key, m in measures.items()]
    heads += [Column(f"Δ {m.label}", f"difference_{key}") for key, m in measures.items()]
    caption = (
        "Means and paired differences to the dense network in further measures; ↑ higher, ↓ lower "
        f"is better. {captions.measured(bundle)} {captions.OVERALL}"
    )
    notes = ["* differs from dense (Holm over the rows of a condition, for each measure)."]
    notes += [*_unmeasured(bundle, cells), *outside_notes(bundle)]
    return Table("table13_further", "Table 13: further measures", caption, heads, rows, notes)


def _heard(bundle: Bundle) -> dict[str, tuple[str, ...]]:
    return {c: (c,) for c in words.CONDITIONS if bundle.in_conditions((c,)).any()}


def _columns(
    bundle: Bundle, cells: list[str], metric: str, conditions: tuple[str, ...]
) -> tuple[list[Value], list[Value]]:
    """Return two columns over all cells: means, and differences to the dense network."""
    others = [None if cell == words.DENSE else words.DENSE for cell in cells]
    judged = judge(bundle, differences_to(bundle, cells, others, metric, conditions), metric)
    decimals = words.FURTHER[metric].decimals
    means: list[Value] = [
        estimate(sample.mean() if sample is not None else None, decimals)
        for sample in samples_of(bundle, cells, metric, conditions)
    ]
    return means, [marked_difference(comparison, metric) for comparison in judged]


def _arrow(sign: int) -> str:
    return "↑" if sign > 0 else "↓"


def _unmeasured(bundle: Bundle, cells: list[str]) -> list[str]:
    """Name the cells that lack a measure which others have."""
    absent = [
        cell
        for cell in filter(bundle.has, cells)
        if any(np.isnan(bundle.sample(cell, metric).scores).all() for metric in bundle.further)
    ]
    said = "Not scored in every measure (their outputs or weights were not at hand): "
    return [f"{said}{', '.join(map(words.short_name, absent))}."] if absent else []
