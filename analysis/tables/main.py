"""Table 1 (main comparison) and table 2 (placements)."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.outside import outside_notes
from analysis.findings import captions
from analysis.findings.compare import (
    UNTESTED,
    Comparison,
    best_of,
    differences_to,
    judge,
    noise_kinds,
)
from analysis.findings.cost_curve import COSTS, curve_differences, point_at, range_sentence
from analysis.rendering.forms import MISSING, Column, Entry, Row, Table, Value, estimate, p_value
from analysis.statistics.samples import Sample

PLACEMENTS = "table2_placements"
NOT_ABOVE_INPUT = "†"
_CONDITION_SETS = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}


def samples_of(
    bundle: Bundle, cells: list[str], metric: str, conditions: tuple[str, ...] = words.DISTORTED
) -> list[Sample | None]:
    """Return scores of the cells in these conditions; None for a cell without runs."""
    mask = bundle.in_conditions(conditions)
    return [bundle.sample(c, metric).restrict(mask) if bundle.has(c) else None for c in cells]


def not_above_input(bundle: Bundle, cell: str, metric: str) -> bool:
    """Return whether a cell's mean over the distorted utterances is not better than the input's."""
    if cell == words.UNPROCESSED or not bundle.has(words.UNPROCESSED):
        return False
    difference = differences_to(bundle, [cell], [words.UNPROCESSED], metric)[0]
    mean = difference.mean() if difference is not None else None
    return mean is not None and bool(words.measure(metric).sign * mean.estimate <= 0)


def quality_column(
    bundle: Bundle, cells: list[str], metric: str, conditions: tuple[str, ...] = words.DISTORTED
) -> list[Entry]:
    """Return a metric's means; the best is bold, one not above the input is marked."""
    samples = samples_of(bundle, cells, metric, conditions)
    best = best_of(bundle, samples, metric)
    decimals = words.measure(metric).decimals
    marked = conditions == words.DISTORTED
    return [
        estimate(
            sample.mean() if sample is not None else None, decimals, bold=row == best,
            mark=NOT_ABOVE_INPUT if marked and not_above_input(bundle, cell, metric) else "",
        )
        for row, (cell, sample) in enumerate(zip(cells, samples, strict=True))
    ]  # fmt: skip


def not_above_note(bundle: Bundle, cells: list[str]) -> list[str]:
    """Name the cells whose mean is not above the unprocessed input's."""
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
    """Return difference, adjusted p-value and verdict of one comparison."""
    if comparison is None:
        return [Entry(np.nan), MISSING, MISSING]
    decimals = words.measure(metric).decimals
    return [
        estimate(comparison.interval, decimals, signed=True),
        MISSING if comparison.verdict in UNTESTED else p_value(comparison.p_holm),
        comparison.verdict_text,
    ]


def clean_values(comparison: Comparison | None, metric: str) -> list[Value]:
    """Return difference to dense and verdict on clean speech."""
    return comparison_values(comparison, metric)[::2]


def clean_headers(bundle: Bundle) -> list[Column]:
    """Return the headers of `clean_values`; none if no clean speech was tested."""
    if not bundle.in_conditions(("clean",)).any():
        return []
    return [
        Column("clean: Δ dense", "difference_to_dense_clean"),
        Column("clean: verdict", "verdict_clean", numeric=False),
    ]


def main_cells(bundle: Bundle) -> list[str]:
    """Return the rows of table 1: input, dense networks, full S-MoE or else all, other systems."""
    known = [*bundle.planned, *bundle.cells()]
    smoe = [words.FULL_CELL] if words.FULL_CELL in known else [c for c in known if "." in c]
    fixed = [words.UNPROCESSED] if bundle.has(words.UNPROCESSED) else []
    plain = [c for c in known if words.is_dense(c)]
    cells = [*fixed, *plain, *smoe, *bundle.outside_systems()]
    return sorted(dict.fromkeys(cells), key=words.cell_order)


def main_table(bundle: Bundle) -> Table:
    """Make table 1: all metrics, overall and by condition, with verdicts against dense."""
    cells = main_cells(bundle)
    sets = {k: v for k, v in _CONDITION_SETS.items() if bundle.in_conditions(v).any()}
    rows, judged = [], []
    for metric in words.METRICS:
        columns = [quality_column(bundle, cells, metric, c) for c in sets.values()]
        others = [None if c == words.DENSE else words.DENSE for c in cells]
        comparisons = judge(bundle, differences_to(bundle, cells, others, metric), metric)
        on_clean = judge(bundle, differences_to(bundle, cells, others, metric, ("clean",)), metric)
        judged += comparisons if metric == bundle.primary else []
        for i, cell in enumerate(cells):
            values: list[Value] = [captions.row_label(bundle, cell), *[c[i] for c in columns]]
            values += comparison_values(comparisons[i], metric)
            values += clean_values(on_clean[i], metric) if clean_headers(bundle) else []
            rows.append(Row(values, words.METRICS[metric].axis_label))
    headers = [Column("Network", "network", numeric=False)]
    headers += [Column(name, name) for name in sets]
    headers += [
        Column("Δ dense", "difference_to_dense"),
        Column("p (Holm)", "p_holm"),
        Column("verdict", "verdict", numeric=False),
        *clean_headers(bundle),
    ]
    caption = (
        f"{captions.measured(bundle)} {captions.OVERALL} Δ dense: paired, overall and on clean "
        "speech, where Holm corrects apart."
    )
    notes = [
        *captions.verdicts(bundle, judged, tuple(words.METRICS)), captions.BOLD,
        *_equal_cost_note(bundle), *not_above_note(bundle, cells),
        *captions.missing(bundle, cells), *captions.unscored(bundle, cells),
        *captions.unmeasured(bundle),
        *outside_notes(bundle),
    ]  # fmt: skip
    return Table("table1_main", "Table 1: main comparison", caption, headers, rows, notes)


def _equal_cost_note(bundle: Bundle) -> list[str]:
    """Return notes on the full S-MoE against the dense width curve at its MACs and parameters."""
    if not bundle.has(words.FULL_CELL):
        return []
    metric, notes = bundle.primary, []
    for cost, name in COSTS.items():
        found = curve_differences(bundle, [words.FULL_CELL], cost, metric)[0]
        if not isinstance(found, Sample):
            notes.append(f"No comparison of the full S-MoE at equal {name}: {found}.")
        elif (comparison := judge(bundle, [found], metric)[0]) is not None:
            values = comparison_values(comparison, metric)
            at = getattr(point_at(bundle, words.FULL_CELL, cost), "name", "")
            notes.append(
                f"Full S-MoE against the dense curve at equal {name} ({at}): {values[0]} "
                f"{words.METRICS[metric].label}, p {values[1]}, {values[2]}."
            )
    return notes


def placement_table(bundle: Bundle) -> Table:
    """Make table 2: the 32 placements with multiple experts, supervised global routing."""
    every = [words.cell_code(p) for p in words.placements()]
    cells = [c for c in every if c in bundle.planned or bundle.has(c)]
    absent, kinds = len(every) - len(cells), noise_kinds(bundle, cells)
    judged = {
        metric: judge(
            bundle, differences_to(bundle, cells, [words.DENSE] * len(cells), metric), metric,
            kinds=kinds,
        )
        for metric in words.METRICS
    }  # fmt: skip
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), bundle.primary, ("clean",))
    on_clean = judge(bundle, pairs, bundle.primary, kinds=kinds)
    clean = clean_headers(bundle)
    quality = [quality_column(bundle, cells, metric) for metric in words.METRICS]
    quality += [quality_column(bundle, cells, bundle.primary, ("clean",))] if clean else []
    at_cost = [cost_columns(bundle, cells, cost) for cost in COSTS]
    rows = []
    for i, cell in enumerate(cells):
        placement = words.NO_PLACEMENT if cell == words.DENSE else cell.split(".")[0]
        values: list[Value] = [captions.row_label(bundle, cell, placement)]
        values += [column[i] for column in quality]
        values += _to_dense(bundle, cell, {m: c[i] for m, c in judged.items()})
        values += clean_values(on_clean[i], bundle.primary) if clean else []
        values += [value for column in at_cost for value in column[i]]
        rows.append(Row(values))
    name = words.METRICS[bundle.primary].label
    caption = (
        f"Multiple experts, supervised global routing. {captions.measured(bundle)} "
        f"{captions.OVERALL} Δ: paired difference in {name}, to the dense network (overall and on "
        "clean speech, where Holm corrects apart) and to the dense width curve interpolated at the "
        "cell's MACs and at its parameters."
    )
    notes = [
        "Letters: " + ", ".join(f"{x} {n}" for x, n in _legend()) + ".",
        *captions.verdicts(
            bundle, judged[bundle.primary], tuple(words.METRICS), moderated=True
        ),
        captions.BOLD, *[range_sentence(bundle, cost) for cost in COSTS],
        *not_above_note(bundle, cells), *captions.missing(bundle, cells),
        *captions.unscored(bundle, cells),
        *captions.unmeasured(bundle),
    ]  # fmt: skip
    if absent:
        notes.append(f"{absent} of the 32 placements are not in this study.")
    title = "Table 2: placements of the experts"
    return Table(PLACEMENTS, title, caption, _placement_columns(bundle), rows, notes)


def _to_dense(bundle: Bundle, cell: str, comparisons: dict[str, Comparison | None]) -> list[Value]:
    """Return the primary metric's difference, p-value and verdict, then the others' verdicts."""
    primary = comparisons[bundle.primary]
    reference = "reference" if cell == words.DENSE and bundle.has(cell) else MISSING
    values = comparison_values(primary, bundle.primary)[:2]
    for metric in (bundle.primary, *_others(bundle)):
        found = comparisons[metric]
        values.append(found.verdict_text if found is not None else reference)
    return values


def _others(bundle: Bundle) -> list[str]:
    """Return the metrics other than the primary one."""
    return [metric for metric in words.METRICS if metric != bundle.primary]


def cost_columns(bundle: Bundle, cells: list[str], cost: str) -> list[list[Value]]:
    """Return each cell's difference to the dense curve at equal cost and its verdict."""
    found = curve_differences(bundle, cells, cost, bundle.primary)
    pairs = [sample if isinstance(sample, Sample) else None for sample in found]
    judged = judge(bundle, [*pairs], bundle.primary, kinds=noise_kinds(bundle, cells))
    columns: list[list[Value]] = []
    for reason, comparison in zip(found, judged, strict=True):
        values = comparison_values(comparison, bundle.primary)[::2]
        columns.append([values[0], reason] if isinstance(reason, str) else values)
    return columns


def _legend() -> list[tuple[str, str]]:
    return list(zip(words.LETTERS, words.POSITION_NAMES, strict=True))


def _placement_columns(bundle: Bundle) -> list[Column]:
    quality = [Column(m.label, key) for key, m in words.METRICS.items()]
    if clean := clean_headers(bundle):
        name = words.METRICS[bundle.primary].label
        quality.append(Column(f"clean: {name}", f"{bundle.primary}_clean"))
    others = [
        Column(f"verdict {words.METRICS[m].label}", f"verdict_{m}", numeric=False)
        for m in _others(bundle)
    ]
    return [
        Column("Placement", "placement", numeric=False), *quality,
        Column("Δ dense", "difference_to_dense"), Column("p (Holm)", "p_holm"),
        Column("verdict", "verdict", numeric=False), *others, *clean, *cost_headers(),
    ]  # fmt: skip


def cost_headers() -> list[Column]:
    """Return the headers of `cost_columns`, for each cost."""
    return [
        column
        for cost, name in COSTS.items()
        for column in (
            Column(f"Δ equal {name}", f"difference_at_equal_{cost}"),
            Column("verdict", f"verdict_at_equal_{cost}", numeric=False),
        )
    ]
