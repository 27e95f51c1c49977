"""Table 8: what each cell costs, and whether a dense network of that cost scores less."""

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import judge, noise_kinds
from analysis.findings.cost_curve import COSTS, curve_differences, range_sentence
from analysis.rendering.forms import Column, Entry, Row, Table, Value, estimate
from analysis.statistics.samples import Sample
from analysis.tables.main import cost_columns, cost_headers, samples_of

_TIMES = [
    Column("training step (ms)", "training_step_ms"),
    Column("real-time factor", "real_time_factor"),
]


def cost_table(bundle: Bundle) -> Table:
    """Make table 8: parameters, MACs, times that are a cell's own, difference at equal cost."""
    cells, metric = bundle.cells(), bundle.primary
    at_cost = [cost_columns(bundle, cells, cost) for cost in COSTS]
    rows = [
        Row([*_values(bundle, cell), *(value for column in at_cost for value in column[i])])
        for i, cell in enumerate(cells)
    ]
    columns = [
        Column("Network", "network", numeric=False),
        Column("parameters (M)", "parameters_million"),
        Column("GMACs per s of audio", "gmacs_per_second"),
        *(_TIMES if bundle.has_times else []),
        Column(words.METRICS[metric].label, metric),
        *cost_headers(),
    ]
    caption = (
        f"{_times(bundle)} Δ: paired difference in {words.METRICS[metric].label} to the dense "
        "width curve, linear in the logarithm of the cost between neighbouring widths; nothing is "
        f"extrapolated. {captions.measured(bundle)}"
    )
    found = curve_differences(bundle, cells, "macs", metric)
    pairs: list[Sample | None] = [s if isinstance(s, Sample) else None for s in found]
    judged = judge(bundle, pairs, metric, kinds=noise_kinds(bundle, cells))
    notes = [
        *[range_sentence(bundle, cost) for cost in COSTS],
        *captions.verdicts(bundle, judged, (metric,), "the rows of each cost", moderated=True),
    ]
    return Table("table8_cost", "Table 8: cost", caption, columns, rows, notes)


def _times(bundle: Bundle) -> str:
    devices = ", ".join(sorted(bundle.own_runs["device"].dropna().unique()))
    if bundle.has_times:
        return (
            f"Times are medians over seeds on the training machine ({devices}); the real-time "
            "factor is compute time per second of audio."
        )
    return (
        f"No times: the networks shared a GPU or were on unlike machines ({devices}), so none is "
        "a cell's own; `run_all.py bench` measures them."
    )


def _values(bundle: Bundle, cell: str) -> list[Value]:
    runs = bundle.runs.iloc[bundle.run_rows[cell]]
    cost = {
        name: runs[name].to_numpy(dtype=float)
        for name in ("params", "macs", "inference_rtf", "train_s", "train_steps")
    }
    times = [
        Entry(float(np.median(cost["train_s"] / cost["train_steps"])) * 1e3, decimals=1),
        Entry(float(np.median(cost["inference_rtf"])), decimals=4),
    ]
    sample = samples_of(bundle, [cell], bundle.primary)[0]
    return [
        captions.row_label(bundle, cell, cell),
        Entry(float(cost["params"][0]) / 1e6, decimals=3),
        Entry(float(cost["macs"][0]) / 1e9, decimals=3),
        *(times if bundle.has_times else []),
        estimate(
            sample.mean() if sample is not None else None, words.METRICS[bundle.primary].decimals
        ),
    ]
