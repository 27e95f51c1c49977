"""Table 1 (main comparison) and table 2 (placements)."""

import numpy as np

from analysis import captions
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import (
    Comparison,
    best_of,
    differences_to,
    equal_cost_reference,
    judge,
    margin_of,
)
from analysis.render import MISSING, Column, Entry, Row, Table, Value, estimate, p_value
from analysis.samples import Sample

NOT_ABOVE_INPUT = "†"
_CONDITION_SETS = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}


def samples_of(
    bundle: Bundle, cells: list[str], metric: str, conditions: tuple[str, ...] = words.DISTORTED
) -> list[Sample | None]:
    """Scores of the cells in these conditions; None for a cell without runs."""
    mask = bundle.in_conditions(conditions)
    return [bundle.sample(c, metric).restrict(mask) if bundle.has(c) else None for c in cells]


def not_above_input(bundle: Bundle, cell: str, metric: str) -> bool:
    """Whether a cell's mean over the distorted utterances is not above the input's."""
    if cell == words.UNPROCESSED or not bundle.has(words.UNPROCESSED):
        return False
    difference = differences_to(bundle, [cell], [words.UNPROCESSED], metric)[0]
    mean = difference.mean() if difference is not None else None
    return mean is not None and bool(mean.estimate <= 0)


def quality_column(
    bundle: Bundle, cells: list[str], metric: str, conditions: tuple[str, ...] = words.DISTORTED
) -> list[Entry]:
    """Means of a metric over the cells; the best is bold, one not above the input is marked."""
    samples = samples_of(bundle, cells, metric, conditions)
    best = best_of(bundle, samples, metric, conditions)
    decimals = words.METRICS[metric].decimals
    marked = conditions == words.DISTORTED
    return [
        estimate(
            sample.mean() if sample is not None else None, decimals, bold=row == best,
            mark=NOT_ABOVE_INPUT if marked and not_above_input(bundle, cell, metric) else "",
        )
        for row, (cell, sample) in enumerate(zip(cells, samples, strict=True))
    ]  # fmt: skip


def not_above_note(bundle: Bundle, cells: list[str]) -> list[str]:
    """Footnote naming the cells whose mean is not above the unprocessed input's."""
    named = [
        f"{cell} ({', '.join(poor)})"
        for cell in cells
        if (
            poor := [
                words.METRICS[m].label for m in words.METRICS if not_above_input(bundle, cell, m)
            ]
        )
    ]
    mark = f"{NOT_ABOVE_INPUT} Mean not above the unprocessed input's: "
    return [f"{mark}{'; '.join(named)}."] if named else []


def comparison_values(comparison: Comparison | None, metric: str) -> list[Value]:
    """Difference, adjusted p-value and verdict of one comparison."""
    if comparison is None:
        return [Entry(np.nan), MISSING, MISSING]
    decimals = words.METRICS[metric].decimals
    return [
        estimate(comparison.interval, decimals, signed=True),
        p_value(comparison.p_holm),
        comparison.verdict,
    ]


def main_cells(bundle: Bundle) -> list[str]:
    """Rows of table 1: input, dense networks, the full S-MoE (without it: every S-MoE cell)."""
    known = [*bundle.planned, *bundle.cells()]
    smoe = [words.FULL_CELL] if words.FULL_CELL in known else [c for c in known if "." in c]
    fixed = [words.UNPROCESSED, words.DENSE, *words.DENSE_CONTROLS]
    cells = [c for c in fixed if c in known or bundle.has(c)] + smoe
    return sorted(dict.fromkeys(cells), key=words.cell_order)


def main_table(bundle: Bundle) -> Table:
    """Table 1: all metrics, overall and by condition, with verdicts against the dense network."""
    cells = main_cells(bundle)
    sets = {k: v for k, v in _CONDITION_SETS.items() if bundle.in_conditions(v).any()}
    rows, judged = [], []
    for metric in words.METRICS:
        columns = [quality_column(bundle, cells, metric, c) for c in sets.values()]
        others = [None if c == words.DENSE else words.DENSE for c in cells]
        comparisons = judge(bundle, differences_to(bundle, cells, others, metric), metric)
        judged += comparisons if metric == words.PRIMARY else []
        for i, cell in enumerate(cells):
            values: list[Value] = [captions.row_label(bundle, cell), *[c[i] for c in columns]]
            values += comparison_values(comparisons[i], metric)
            rows.append(Row(values, words.METRICS[metric].axis_label))
    headers = [Column("Network", "network", numeric=False)]
    headers += [Column(name, name) for name in sets]
    headers += [
        Column("Δ dense", "difference_to_dense"),
        Column("p (Holm)", "p_holm"),
        Column("verdict", "verdict", numeric=False),
    ]
    caption = f"{captions.measured(bundle)} {captions.OVERALL} Δ dense: paired, overall."
    notes = [
        captions.verdicts(judged, margin_of(words.PRIMARY)) + " " + captions.BOLD,
        *_equal_cost_note(bundle), *not_above_note(bundle, cells),
        *captions.missing(bundle, cells), *captions.unscored(bundle, cells),
    ]  # fmt: skip
    return Table("table1_main", "Table 1: main comparison", caption, headers, rows, notes)


def _equal_cost_note(bundle: Bundle) -> list[str]:
    if not bundle.has(words.FULL_CELL):
        return []
    reference = equal_cost_reference(bundle, words.FULL_CELL)
    if reference is None:
        return ["No dense network of the full S-MoE's cost has been trained: Δ dense is unmatched."]
    pair = differences_to(bundle, [words.FULL_CELL], [reference], words.PRIMARY)
    comparison = judge(bundle, pair, words.PRIMARY)[0]
    if comparison is None:
        return []
    difference = estimate(comparison.interval, 3, signed=True)
    return [
        f"Full S-MoE against the dense network of equal cost ({reference}): "
        f"{difference} PESQ-WB, p {p_value(comparison.p)}, {comparison.verdict}."
    ]


def placement_table(bundle: Bundle) -> Table:
    """Table 2: the 32 placements with multiple experts, supervised global routing."""
    every = [words.cell_code(p) for p in words.placements()]
    cells = [c for c in every if c in bundle.planned or bundle.has(c)]
    absent = len(every) - len(cells)
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), words.PRIMARY)
    dense = judge(bundle, pairs, words.PRIMARY)
    references = [
        equal_cost_reference(bundle, c) if c != words.DENSE and bundle.has(c) else None
        for c in cells
    ]
    pairs = differences_to(bundle, cells, list(references), words.PRIMARY)
    matched = judge(bundle, pairs, words.PRIMARY)
    columns = [quality_column(bundle, cells, metric) for metric in words.METRICS]
    rows = []
    for i, cell in enumerate(cells):
        no_verdict = "reference" if bundle.has(cell) and cell == words.DENSE else MISSING
        placement = words.NO_PLACEMENT if cell == words.DENSE else cell.split(".")[0]
        verdict = dense[i].verdict if dense[i] is not None else no_verdict  # pyright: ignore
        values: list[Value] = [captions.row_label(bundle, cell, placement)]
        values += [column[i] for column in columns]
        values += [*comparison_values(dense[i], words.PRIMARY)[:2], verdict]
        values += [references[i] or MISSING, *comparison_values(matched[i], words.PRIMARY)[::2]]
        rows.append(Row(values))
    caption = (
        f"Multiple experts, supervised global routing. {captions.measured(bundle)} "
        f"{captions.OVERALL} Δ: paired difference in PESQ-WB, to the dense network and to the "
        "cheapest plain network that costs at least as many MACs."
    )
    notes = [
        "Letters: " + ", ".join(f"{x} {n}" for x, n in _legend()) + ".",
        captions.verdicts(dense, margin_of(words.PRIMARY)) + " " + captions.BOLD,
        *not_above_note(bundle, cells), *captions.missing(bundle, cells),
        *captions.unscored(bundle, cells),
    ]  # fmt: skip
    if absent:
        notes.append(f"{absent} of the 32 placements are not in this study.")
    title = "Table 2: placements of the experts"
    return Table("table2_placements", title, caption, _placement_columns(), rows, notes)


def _legend() -> list[tuple[str, str]]:
    return list(zip(words.LETTERS, words.POSITION_NAMES, strict=True))


def _placement_columns() -> list[Column]:
    quality = [Column(m.label, key) for key, m in words.METRICS.items()]
    return [
        Column("Placement", "placement", numeric=False), *quality,
        Column("Δ dense", "difference_to_dense"), Column("p (Holm)", "p_holm"),
        Column("verdict", "verdict", numeric=False),
        Column("equal cost", "equal_cost_reference", numeric=False),
        Column("Δ equal cost", "difference_to_equal_cost"),
        Column("verdict", "verdict_equal_cost", numeric=False),
    ]  # fmt: skip
