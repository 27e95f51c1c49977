"""Table 10: the networks of table 1 by SNR, RT60 and type of noise."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis.bundle import conditions
from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.outside import outside_notes
from analysis.findings import captions
from analysis.findings.compare import Comparison, differences_to, judge
from analysis.rendering.forms import Column, Entry, Row, Table, Value, estimate
from analysis.tables.main import main_cells, samples_of


class _Kind(NamedTuple):
    name: str
    title: str
    parts: Callable[[Bundle], conditions.Parts]
    heard: str
    absent: str


_KINDS = (
    _Kind(
        "table10a_by_snr", "Table 10a: by SNR", conditions.by_snr,
        "the noisy utterances (noise, both)", "No test utterance has an SNR.",
    ),
    _Kind(
        "table10b_by_rt60", "Table 10b: by RT60", conditions.by_rt60,
        "the reverberant utterances (reverb, both)", "No test utterance has an RT60.",
    ),
    _Kind(
        "table10c_by_noise_type", "Table 10c: by type of noise", conditions.by_noise_type,
        "the noisy utterances (noise, both)",
        "This bundle does not store the type of noise of its test utterances.",
    ),
)  # fmt: skip


def condition_tables(bundle: Bundle) -> list[Table]:
    """Make tables 10a to 10c: all metrics and differences to dense, by SNR, RT60 and noise."""
    return [_table(bundle, kind) for kind in _KINDS]


def _table(bundle: Bundle, kind: _Kind) -> Table:
    cells, parts = main_cells(bundle), kind.parts(bundle)
    judged = {m: _judged(bundle, cells, parts, m) for m in words.METRICS}
    rows = []
    for i, (name, mask) in enumerate(parts.items()):
        means = {m: _means(bundle, cells, mask, m) for m in words.METRICS}
        for j, cell in enumerate(cells):
            values: list[Value] = [captions.row_label(bundle, cell)]
            values += [means[m][j] for m in words.METRICS]
            values += [marked_difference(judged[m][i * len(cells) + j], m) for m in words.METRICS]
            rows.append(Row(values, f"{name} (N = {int(mask.sum())})"))
    columns = [Column("Network", "network", numeric=False)]
    columns += [Column(m.axis_label, key) for key, m in words.METRICS.items()]
    columns += [Column(f"Δ {m.label}", f"difference_{key}") for key, m in words.METRICS.items()]
    caption = (
        f"Means and paired differences to the dense network over {kind.heard}, all metrics. "
        f"{captions.seeds_and_extent(bundle)}"
    )
    notes = [kind.absent] if not parts else _notes(bundle, judged[bundle.primary])
    if parts and kind.parts is conditions.by_rt60:
        empty = [name for name in conditions.rt60_bands() if name not in parts]
        notes += [f"No test utterance: {', '.join(empty)}."] if empty else []
    return Table(kind.name, kind.title, caption, columns, rows, notes)


def _judged(
    bundle: Bundle, cells: list[str], parts: conditions.Parts, metric: str
) -> list[Comparison | None]:
    """Judge differences to dense, part by part; each part is one family."""
    others = [None if cell == words.DENSE else words.DENSE for cell in cells]
    pairs = differences_to(bundle, cells, others, metric)
    apart = [p.restrict(mask) if p is not None else None for mask in parts.values() for p in pairs]
    return judge(bundle, apart, metric, families=[name for name in parts for _ in cells])


def _means(bundle: Bundle, cells: list[str], mask: np.ndarray, metric: str) -> list[Entry]:
    samples = samples_of(bundle, cells, metric)
    return [
        estimate(s.restrict(mask).mean() if s else None, words.METRICS[metric].decimals)
        for s in samples
    ]


def marked_difference(comparison: Comparison | None, metric: str) -> Entry:
    """Return a difference with its interval; `*` marks one that is decided."""
    if comparison is None:
        return Entry(np.nan)
    mark = "*" if comparison.decided else ""
    decimals = words.measure(metric).decimals
    return estimate(comparison.interval, decimals, signed=True, mark=mark)


def _notes(bundle: Bundle, judged: list[Comparison | None]) -> list[str]:
    family = "all rows of the table" if bundle.rules.family == "table" else "the rows of a part"
    name = words.METRICS[bundle.primary].label
    found = captions.detectable(judged)
    notes = [f"* differs from dense (Holm over {family}, for each metric)."]
    if found:
        notes.append(f"{name}: {found}")
    else:
        notes.append("Nothing is marked: too few seeds.")
    return [
        *notes,
        *filter(None, [captions.clusters(bundle)]),
        *outside_notes(bundle),
        *captions.unmeasured(bundle),
    ]
