"""Table 8: what each cell costs, and how surely no other gives more for it."""

import numpy as np

from analysis import captions, pareto
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.render import Column, Entry, Row, Table, Value, estimate
from analysis.tables import samples_of

_TIMES = [
    Column("training step (ms)", "training_step_ms"),
    Column("real-time factor", "real_time_factor"),
]
_CHANCES = {
    "macs": Column("P(front): MACs", "p_front_macs"),
    "params": Column("P(front): parameters", "p_front_params"),
    "inference_rtf": Column("P(front): real-time factor", "p_front_real_time_factor"),
}


def cost_table(bundle: Bundle) -> Table:
    """Parameters, MACs, times where they are the cell's own, and chances on the Pareto fronts."""
    chances = {point.cell: point.probability for point in pareto.points(bundle)}
    rows = [Row(_values(bundle, cell, chances.get(cell, {}))) for cell in bundle.cells()]
    columns = [
        Column("Network", "network", numeric=False),
        Column("parameters (M)", "parameters_million"),
        Column("GMACs per s of audio", "gmacs_per_second"),
        *(_TIMES if bundle.has_times else []),
        Column("PESQ-WB", "pesq_wb"),
        *(_CHANCES[name] for name in pareto.costs(bundle)),
    ]
    caption = (
        f"{_times(bundle)} P(front): share of {pareto.N_RESAMPLES} resamples of seeds and "
        "utterances in which no other cell has at most this cost and a higher PESQ-WB. "
        f"{captions.measured(bundle)}"
    )
    return Table("table8_cost", "Table 8: cost", caption, columns, rows)


def _times(bundle: Bundle) -> str:
    devices = ", ".join(sorted(bundle.runs["device"].dropna().unique()))
    if bundle.has_times:
        return (
            f"Times are medians over seeds on the training machine ({devices}); the real-time "
            "factor is compute time per second of audio."
        )
    return (
        f"No times: the networks shared a GPU or were on unlike machines ({devices}), so none is "
        "a cell's own; `run_all.py bench` measures them."
    )


def _values(bundle: Bundle, cell: str, chances: dict[str, float]) -> list[Value]:
    runs = bundle.runs.iloc[bundle.run_rows[cell]]
    cost = {
        name: runs[name].to_numpy(dtype=float)
        for name in ("params", "macs", "inference_rtf", "train_s", "train_steps")
    }
    times = [
        Entry(float(np.median(cost["train_s"] / cost["train_steps"])) * 1e3, decimals=1),
        Entry(float(np.median(cost["inference_rtf"])), decimals=4),
    ]
    sample = samples_of(bundle, [cell], words.PRIMARY)[0]
    return [
        captions.row_label(bundle, cell, cell),
        Entry(float(cost["params"][0]) / 1e6, decimals=3),
        Entry(float(cost["macs"][0]) / 1e9, decimals=3),
        *(times if bundle.has_times else []),
        estimate(sample.mean() if sample is not None else None, 3),
        *[Entry(chances.get(name, np.nan), decimals=2) for name in pareto.costs(bundle)],
    ]
