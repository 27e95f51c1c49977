"""Behind a table entry: the runs, the settings and every number that it is made of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import BundleError, load_reported
from analysis.bundle.outside import system_facts, system_lines
from analysis.findings import captions
from analysis.findings.compare import Comparison, differences_to, judge
from analysis.findings.cost_curve import COSTS, curve_differences
from analysis.statistics.intervals import Interval
from analysis.statistics.samples import Sample
from analysis.tables.all_tables import all_tables
from analysis.tables.main import samples_of
from smoe.schema.cells import is_outside
from smoe.schema.names import no_such_cell

_SETS = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}
Facts = dict[str, Any]


def explain(bundle_dir: Path, cell: str) -> str:
    """Return everything behind the entries of one cell as text.

    Raises:
        BundleError: the bundle is broken, or the study has no such cell (the nearest is named).
    """
    bundle = load_reported(bundle_dir)
    facts = _facts(bundle, cell)
    parts = [f"{cell}: {facts['name']}, study {facts['study']}"]
    if not facts["runs"]:
        return "\n".join([*parts, *facts["notes"], "No run is finished."])
    parts += _run_lines(facts) + (system_lines(facts["system"]) if "system" in facts else [])
    parts += ["", "Means: 95 % interval, N utterances, mean of each seed"]
    parts += [_mean_line(mean) for mean in facts["means"]]
    parts += ["", "Paired differences over the distorted utterances (single tests, before Holm)"]
    parts += [_comparison_line(found) for found in facts["comparisons"]]
    parts += ["", "Table entries (p and verdict after Holm over the table's family)"]
    parts += [_entry_line(entry) for entry in facts["table_entries"]]
    parts += facts["notes"]
    if "config" not in facts:
        return "\n".join(parts) + "\n"
    parts += ["", "Settings of the study (the cell changes those that its code names)"]
    parts += ["  " + line for line in json.dumps(facts["config"], indent=2).splitlines()]
    return captions.at_coverage(bundle, "\n".join(parts) + "\n")


def cell_facts(bundle_dir: Path, cell: str) -> Facts:
    """Return what `explain` says as values that JSON can hold; what is not defined is None.

    Raises:
        BundleError: as `explain`.
    """
    return _facts(load_reported(bundle_dir), cell)


def _facts(bundle: Bundle, cell: str) -> Facts:
    known = {*bundle.planned, *bundle.cells(), words.UNPROCESSED, *bundle.outside_systems()}
    if cell not in known:
        raise BundleError(no_such_cell(str(bundle.folder), cell, known))
    facts: Facts = {"study": bundle.name, "cell": cell, "name": words.cell_name(cell)}
    if not bundle.has(cell):
        return {**facts, "runs": [], "notes": captions.missing(bundle, [cell])}
    own = {"config": bundle.study["config"]}
    return {
        **facts,
        "runs": _runs(bundle, cell),
        "means": _means(bundle, cell),
        "comparisons": _comparisons(bundle, cell),
        "table_entries": _table_entries(bundle, cell),
        "notes": [
            *captions.missing(bundle, [cell]),
            *captions.unscored(bundle, [cell]),
            *captions.unmeasured(bundle),
            *captions.repeated_looks(bundle),
        ],
        **({"system": system_facts(bundle.folder, bundle, cell)} if is_outside(cell) else own),
    }


def _runs(bundle: Bundle, cell: str) -> list[Facts]:
    rows = bundle.runs[bundle.runs["cell"] == cell]
    return [
        {str(key): _plain(value) for key, value in row.items()} for row in rows.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """Convert a table's value to one that JSON can hold; missing and undefined ones become None."""
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _interval(interval: Interval) -> Facts:
    return {
        "estimate": _plain(float(interval.estimate)),
        "low": _plain(float(interval.low)),
        "high": _plain(float(interval.high)),
    }


def _means(bundle: Bundle, cell: str) -> list[Facts]:
    means = []
    for metric in [*words.METRICS, *bundle.further]:
        for name, conditions in _SETS.items():
            sample = samples_of(bundle, [cell], metric, conditions)[0]
            mean = sample.mean() if sample is not None else None
            if sample is None or mean is None:
                continue
            by_seed = [float(m) for m in sample.values()[0].mean(axis=1)]
            of = {"metric": metric, "condition": name, **_interval(mean)}
            means.append({**of, "n_utterances": sample.n_utterances, "seed_means": by_seed})
    return means


def _comparisons(bundle: Bundle, cell: str) -> list[Facts]:
    """Judge paired differences in every metric, each as a family of its own (no Holm)."""
    comparisons = []
    for metric in words.METRICS:
        references = [words.UNPROCESSED, words.DENSE]
        pairs = differences_to(bundle, [cell] * 2, [*references], metric)
        named: list[tuple[str, Sample | None]] = list(zip(references, pairs, strict=True))
        for cost, name in COSTS.items():
            found = curve_differences(bundle, [cell], cost, metric)[0]
            if isinstance(found, Sample):
                named.append((f"dense at equal {name}", found))
        for name, pair in named:
            comparison = judge(bundle, [pair], metric)[0]
            if comparison is not None:
                comparisons.append({"minus": name, "metric": metric, **_comparison(comparison)})
    return comparisons


def _comparison(found: Comparison) -> Facts:
    return {
        **_interval(found.interval),
        "standard_error": _plain(float(found.interval.standard_error)),
        "p": _plain(float(found.p)),
        "improves": _plain(float(found.improvement.estimate)),
        "detectable": _plain(found.detectable()),
        "by_seed": [_plain(value) for value in found.by_seed],
        "verdict": found.verdict_text,
        "n_seeds": found.n_seeds,
        "n_utterances": found.n_utterances,
    }


def _table_entries(bundle: Bundle, cell: str) -> list[Facts]:
    """Return the rows of the report's tables that stand for the cell, adjusted by family."""
    names = [words.cell_name(cell), cell]
    if cell == words.cell_code(cell.split(".", maxsplit=1)[0]):
        names.append(cell.split(".", maxsplit=1)[0])
    names += [words.NO_PLACEMENT] if cell == words.DENSE else []
    labels = {captions.row_label(bundle, cell, name) for name in names}
    entries = []
    for table in all_tables(bundle):
        headers = [column.header for column in table.columns]
        for row in table.rows:
            if labels & {str(row.values[0]), row.group}:
                start = 1 if str(row.values[0]) in labels else 0
                values = [str(value) for value in row.values[start:]]
                shown = list(zip(headers[start:], values, strict=True))
                group = row.group if row.group and start else None
                entries.append({"table": table.title, "group": group, "values": shown})
    return entries


def _run_lines(facts: Facts) -> list[str]:
    lines = ["", f"Runs ({len(facts['runs'])})"]
    for run in facts["runs"]:
        steps = f", {run['train_steps']:.0f} steps" if run["train_steps"] else ""
        lines.append(f"  seed {run['seed']}: run {run['run_id']}{steps}, {run['device']}")
    first = facts["runs"][0]
    if first["params"] is not None:
        lines.append(f"  {first['params']:,.0f} parameters, {first['macs']:,.0f} MACs per second")
    lines.append(f"  config {first['config_hash']}, data {first['data_hash']}")
    lines.append(f"  code {first['git_commit'] or 'unknown'}")
    return lines


def _mean_line(mean: Facts) -> str:
    seeds = ", ".join(f"{m:.4f}" for m in mean["seed_means"])
    return (
        f"  {words.measure(mean['metric']).label:8} {mean['condition']:8} "
        f"{mean['estimate']:9.4f} [{_number(mean['low'])}, {_number(mean['high'])}]  "
        f"N {mean['n_utterances']:<4} seeds: {seeds}"
    )


def _comparison_line(found: Facts) -> str:
    seeds = ", ".join(_number(value, "+") for value in found["by_seed"])
    return (
        f"  minus {found['minus']:12} {words.METRICS[found['metric']].label:8} "
        f"{_number(found['estimate'], '+')} "
        f"[{_number(found['low'], '+')}, {_number(found['high'], '+')}]  "
        f"standard error {_number(found['standard_error'])}, p {_number(found['p'])}, "
        f"improves {found['improves'] * 100:.0f} % of utterances, "
        f"detectable {_number(found['detectable'])}, {found['verdict']}, "
        f"{captions.plural(found['n_seeds'], 'seed')} ({seeds}) x {found['n_utterances']} "
        "utterances"
    )


def _entry_line(entry: Facts) -> str:
    group = f" ({entry['group']})" if entry["group"] else ""
    shown = ", ".join(f"{header} {value}" for header, value in entry["values"])
    return f"  {entry['table']}{group}: {shown}"


def _number(value: float | None, sign: str = "", digits: int = 4) -> str:
    return "undefined" if value is None else f"{value:{sign}.{digits}f}"
