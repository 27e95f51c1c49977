"""Table 7: the router's decisions, what they are worth, and what each expert is good for."""

from typing import NamedTuple

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions, routing
from analysis.findings.compare import TOO_FEW_SEEDS, Comparison, judge
from analysis.rendering.forms import MISSING, Column, Entry, Row, Table, Value, estimate
from analysis.statistics.samples import Sample, difference


def _forced_routings(bundle: Bundle) -> tuple[str, ...]:
    """Return the forced routings that the study scored; old studies have fewer."""
    scores = bundle.scores[words.PRIMARY]
    named = zip(words.COUNTERFACTUALS, scores, strict=True)
    return tuple(k for k, own in named if k != "learned" and np.isfinite(own).any())


def router_table(bundle: Bundle) -> Table:
    """Make table 7a: accuracy beside chance and majority, calibration, usage, oracle gain."""
    rows, collapsed = [], []
    cells = routing.router_cells(bundle)
    heard = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    for cell in cells:
        summary = routing.summarise_router(bundle, cell)
        retained = routing.oracle_gain_retained(
            routing.counterfactual_samples(bundle, cell, words.PRIMARY)
        )
        collapsed += [cell] if summary.collapsed else []
        values: list[Value] = [
            captions.row_label(bundle, cell, cell), estimate(summary.accuracy, 3),
            Entry(1 / words.N_CLASSES), Entry(routing.majority_share(bundle)),
            Entry(summary.calibration_error),
            *[Entry(summary.usage_noise.get(c, np.nan), decimals=2) for c in heard],
            estimate(summary.specialisation, 3, signed=True), Entry(summary.entropy, decimals=2),
            "yes" if summary.collapsed else "no", estimate(retained, 2),
        ]  # fmt: skip
        rows.append(Row(values))
    columns = [
        Column("Network", "network", numeric=False), Column("accuracy", "accuracy"),
        Column("chance", "chance"), Column("majority", "majority"),
        Column("calibration error", "calibration_error"),
        *[Column(f"noise share: {c}", f"noise_share_{c}") for c in heard],
        Column("specialisation", "specialisation"), Column("entropy (bit)", "entropy_bit"),
        Column("collapsed", "collapsed", numeric=False),
        Column("oracle gain retained", "oracle_gain_retained"),
    ]  # fmt: skip
    caption = (
        "Accuracy over the three classes noise, reverb, both, from audio alone, averaged over "
        "layers; a router trained without labels has no reason to name the classes as we do. Noise "
        "share: the noise expert's part of the two weights; specialisation: its difference between "
        f"noise and reverb. {captions.measured(bundle)}"
    )
    share = f"{routing.COLLAPSE_SHARE * 100:.0f} %"
    notes = [
        f"Collapsed: one expert has more than {share} of the weight in every condition.",
        "Oracle gain retained: (learned − uniform) / (oracle − uniform) in PESQ-WB on the "
        f"utterances of table 7b; {MISSING} where the oracle's gain is not surely above zero, or "
        "the share is not known to better than ± 1 (Fieller's interval).",
        *captions.missing(bundle, [c for c in bundle.planned if c in cells]),
    ]
    return Table("table7a_router", "Table 7a: routing decisions", caption, columns, rows, notes)


def counterfactual_table(bundle: Bundle) -> Table:
    """Make table 7b: what other routing decisions would have cost the same weights."""
    forced = _forced_routings(bundle)
    blocks = [_forced(bundle, metric, forced) for metric in ("pesq_wb", "stoi")]
    rows = [row for block in blocks for row in block.rows]
    columns = [Column("Network", "network", numeric=False), Column("learned", "learned")]
    columns += [Column(f"{k} − learned", f"{k}_minus_learned") for k in forced]
    n = max(block.n_utterances for block in blocks)
    caption = (
        "PESQ-WB and STOI of the learned routing, and the paired change when the same trained "
        f"weights are routed otherwise. N = {n} distorted utterances that were scored under every "
        f"routing, {captions.seeds_and_extent(bundle)}"
    )
    notes = ["* differs from learned (Holm within a network and metric)."]
    notes += [block.note for block in blocks] + [captions.clusters(bundle)]
    title = "Table 7b: forced routing"
    return Table("table7b_counterfactuals", title, caption, columns, rows, notes)


class _Forced(NamedTuple):
    rows: list[Row]
    n_utterances: int
    note: str


def _forced(bundle: Bundle, metric: str, forced: tuple[str, ...]) -> _Forced:
    """Make the block of table 7b for one metric."""
    mask = bundle.in_conditions(words.DISTORTED)
    cells: dict[str, Sample] = {}
    differences: list[Sample | None] = []
    for cell in routing.router_cells(bundle):
        samples = routing.counterfactual_samples(bundle, cell, metric)
        if not samples:
            continue
        cells[cell] = samples["learned"].restrict(mask)
        differences += [
            difference(samples[k], samples["learned"]).restrict(mask) if k in samples else None
            for k in forced
        ]
    families = [cell for cell in cells for _ in forced]
    judged = judge(bundle, differences, metric, families=families)
    rows, name = [], words.METRICS[metric].label
    for i, (cell, learned) in enumerate(cells.items()):
        values: list[Value] = [captions.row_label(bundle, cell, cell), estimate(learned.mean(), 3)]
        own = judged[i * len(forced) : (i + 1) * len(forced)]
        rows.append(Row([*values, *[_signed_with_mark(c) for c in own]], name))
    n = max((learned.n_utterances for learned in cells.values()), default=0)
    return _Forced(rows, n, f"{name}: {_marked_note(judged)}")


def specialisation_table(bundle: Bundle) -> Table:
    """Make table 7c: causal specialisation, each condition with each expert alone."""
    found = {m: _alone(bundle, m) for m in words.METRICS}
    gaps = {m: _gaps(bundle, alone, m) for m, alone in found.items()}
    rows = []
    for key in found[bundle.primary]:
        values: list[Value] = [key[1]]
        for metric, alone in found.items():
            decimals = words.METRICS[metric].decimals
            both = alone.get(key, (None, None))
            values += [estimate(sample.mean() if sample else None, decimals) for sample in both]
            values.append(_signed_with_mark(gaps[metric].get(key), decimals))
        rows.append(Row(values, captions.row_label(bundle, key[0], key[0])))
    columns = [Column("Condition", "condition", numeric=False)]
    for metric, m in words.METRICS.items():
        columns += [
            Column(f"{m.label}: noise expert", f"{metric}_noise_only"),
            Column("reverb expert", f"{metric}_reverb_only"),
            Column("noise − reverb expert", f"{metric}_noise_minus_reverb"),
        ]
    caption = (
        "All metrics with one expert alone (weight 1), by condition: an expert that specialised is "
        f"the better one for its own distortion. {captions.seeds_and_extent(bundle)}"
    )
    notes = ["* differs from zero (Holm within a network, for each metric)."]
    primary = [*gaps[bundle.primary].values()]
    notes += [f"{words.METRICS[bundle.primary].label}: {_marked_note(primary)}"]
    notes.append(captions.clusters(bundle))
    title = "Table 7c: causal specialisation"
    return Table("table7c_specialisation", title, caption, columns, rows, notes)


_Alone = dict[tuple[str, str], tuple[Sample, Sample]]


def _alone(bundle: Bundle, metric: str) -> _Alone:
    """Return the scores with the noise and with the reverb expert alone, by cell and condition."""
    found: _Alone = {}
    for cell in routing.router_cells(bundle):
        samples = routing.counterfactual_samples(bundle, cell, metric)
        if not {"noise-only", "reverb-only"} <= set(samples):
            continue
        for condition in words.DISTORTED:
            mask = bundle.in_conditions((condition,))
            noise, reverb = (samples[k].restrict(mask) for k in ("noise-only", "reverb-only"))
            found[cell, condition] = (noise, reverb)
    return found


def _gaps(bundle: Bundle, alone: _Alone, metric: str) -> dict[tuple[str, str], Comparison | None]:
    """Judge the noise expert minus the reverb expert; the conditions of a cell are one family."""
    pairs: list[Sample | None] = [difference(noise, reverb) for noise, reverb in alone.values()]
    judged = judge(bundle, pairs, metric, families=[cell for cell, _ in alone])
    return dict(zip(alone, judged, strict=True))


def _signed_with_mark(comparison: Comparison | None, decimals: int = 3) -> Entry:
    if comparison is None:
        return Entry(np.nan)
    mark = "*" if comparison.decided else ""
    return estimate(comparison.interval, decimals, signed=True, mark=mark)


def _marked_note(judged: list[Comparison | None]) -> str:
    """Return a note on which difference the marks can find, or that there are too few seeds."""
    known = [c for c in judged if c is not None]
    if known and all(c.verdict == TOO_FEW_SEEDS for c in known):
        return "nothing is marked: too few seeds."
    return captions.detectable(judged)
