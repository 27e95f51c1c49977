"""Behind a table entry: the runs, the settings and every number that it is made of."""

import difflib
import json
from pathlib import Path

import numpy as np

from analysis import captions
from analysis import vocabulary as words
from analysis.all_tables import all_tables
from analysis.bundle import Bundle
from analysis.compare import differences_to, equal_cost_reference, judge
from analysis.load import BundleError, load_bundle
from analysis.tables import samples_of

_SETS = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}


def explain(bundle_dir: Path, cell: str) -> str:
    """Everything behind the entries of one cell, as text.

    Raises:
        BundleError: the bundle is broken, or the study has no such cell (the nearest is named).
    """
    bundle = load_bundle(bundle_dir)
    known = sorted({*bundle.planned, *bundle.cells(), words.UNPROCESSED}, key=words.cell_order)
    if cell not in known:
        near = difflib.get_close_matches(cell, known, n=1, cutoff=0.0)[0]
        raise BundleError(
            f"{bundle_dir} has no cell {cell!r}: did you mean {near}? "
            f"The study has {len(known)} cells."
        )
    parts = [f"{cell}: {words.cell_name(cell)}, study {bundle.name}"]
    if not bundle.has(cell):
        return "\n".join([*parts, *captions.missing(bundle, [cell]), "No run is finished."])
    parts += _runs(bundle, cell) + _scores(bundle, cell) + _comparisons(bundle, cell)
    parts += _table_entries(bundle, cell)
    parts += captions.missing(bundle, [cell]) + captions.unscored(bundle, [cell])
    parts += ["", "Settings of the study", _indent(json.dumps(bundle.study["config"], indent=2))]
    return "\n".join(parts) + "\n"


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def _runs(bundle: Bundle, cell: str) -> list[str]:
    rows = bundle.runs[bundle.runs["cell"] == cell]
    first = rows.iloc[0]
    lines = ["", f"Runs ({len(rows)})"]
    for row in rows.to_dict("records"):
        steps = (
            "" if np.isnan(row["train_steps"] or np.nan) else f", {row['train_steps']:.0f} steps"
        )
        lines.append(f"  seed {row['seed']}: run {row['run_id']}{steps}, {row['device']}")
    if np.isfinite(first["params"] or np.nan):
        lines.append(f"  {first['params']:,.0f} parameters, {first['macs']:,.0f} MACs per second")
    lines.append(f"  config {first['config_hash']}, data {first['data_hash']}")
    lines.append(f"  code {first['git_commit']}")
    return lines


def _scores(bundle: Bundle, cell: str) -> list[str]:
    lines = ["", "Means: 95 % interval, N utterances, mean of each seed"]
    for key, metric in words.METRICS.items():
        for name, conditions in _SETS.items():
            sample = samples_of(bundle, [cell], key, conditions)[0]
            mean = sample.mean() if sample is not None else None
            if sample is None or mean is None:
                continue
            seeds = ", ".join(f"{m:.4f}" for m in sample.values()[0].mean(axis=1))
            lines.append(
                f"  {metric.label:8} {name:8} {float(mean.estimate):9.4f} "
                f"[{float(mean.low):.4f}, {float(mean.high):.4f}]  N {sample.n_utterances:<4} "
                f"seeds: {seeds}"
            )
    return lines


def _table_entries(bundle: Bundle, cell: str) -> list[str]:
    """The rows of the report's tables that stand for the cell, adjusted for their families."""
    names = [words.cell_name(cell), cell]
    if cell == words.cell_code(cell.split(".", maxsplit=1)[0]):
        names.append(cell.split(".", maxsplit=1)[0])
    names += [words.NO_PLACEMENT] if cell == words.DENSE else []
    labels = {captions.row_label(bundle, cell, name) for name in names}
    lines = ["", "Table entries (p and verdict after Holm over the table's family)"]
    for table in all_tables(bundle):
        headers = [column.header for column in table.columns]
        for row in table.rows:
            if labels & {str(row.values[0]), row.group}:
                start = 1 if str(row.values[0]) in labels else 0
                values = zip(headers[start:], row.values[start:], strict=True)
                shown = ", ".join(f"{header} {value}" for header, value in values)
                group = f" ({row.group})" if row.group and start else ""
                lines.append(f"  {table.title}{group}: {shown}")
    return lines


def _comparisons(bundle: Bundle, cell: str) -> list[str]:
    """Paired differences in every metric, each a family of its own here (no Holm)."""
    references = [words.UNPROCESSED, words.DENSE]
    if np.isfinite(float(bundle.cell_row(cell)["macs"] or np.nan)):
        references.append(equal_cost_reference(bundle, cell) or words.DENSE)
    lines = ["", "Paired differences over the distorted utterances (single tests, before Holm)"]
    for reference in dict.fromkeys(references):
        for key, metric in words.METRICS.items():
            pair = differences_to(bundle, [cell], [reference], key)
            found = judge(bundle, pair, key)[0]
            if found is None:
                continue
            difference = found.interval
            lines.append(
                f"  minus {reference:12} {metric.label:8} {float(difference.estimate):+.4f} "
                f"[{float(difference.low):+.4f}, {float(difference.high):+.4f}]  "
                f"standard error {float(difference.standard_error):.4f}, "
                f"df {float(difference.df):.1f}, p sign-flip {found.p_flip:.4f}, "
                f"p random effects {float(found.p_anew):.4f}, "
                f"improves {float(found.improvement.estimate) * 100:.0f} % of utterances, "
                f"detectable {found.detectable:.4f}, {found.verdict}, "
                f"{captions.plural(found.n_seeds, 'seed')} x {found.n_utterances} utterances"
            )
    return lines
