"""Table 7: the router's decisions, what they are worth, and what each expert is good for."""

import numpy as np

from analysis import captions, routing
from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import Comparison, judge
from analysis.render import MISSING, Column, Entry, Row, Table, Value, estimate
from analysis.samples import difference

_FORCED = tuple(k for k in words.COUNTERFACTUALS if k != "learned")


def router_table(bundle: Bundle) -> Table:
    """Table 7a: accuracy beside chance and majority, calibration, usage, oracle gain retained."""
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
        f"utterances of table 7b; {MISSING} where the oracle's gain is not above zero.",
        *captions.missing(bundle, [c for c in bundle.planned if c in cells]),
    ]
    return Table("table7a_router", "Table 7a: routing decisions", caption, columns, rows, notes)


def counterfactual_table(bundle: Bundle) -> Table:
    """Table 7b: what other routing decisions would have cost the same weights."""
    entries, labels, learned, judged = _forced_differences(bundle, words.DISTORTED)
    rows = []
    for label, base, comparisons in zip(labels, learned, entries, strict=True):
        values: list[Value] = [label, base]
        values += [_signed_with_mark(c) for c in comparisons]
        rows.append(Row(values))
    columns = [Column("Network", "network", numeric=False), Column("learned", "learned")]
    columns += [Column(f"{k} − learned", f"{k}_minus_learned") for k in _FORCED]
    n = _subset_size(bundle)
    caption = (
        "PESQ-WB of the learned routing, and the paired change when the same trained weights are "
        f"routed otherwise. N = {n} distorted utterances that were scored under every routing, "
        f"{captions.seeds_and_interval(bundle)}"
    )
    notes = ["* differs from learned (Holm over the table, 5 %).", *_verdict_note(judged)]
    return Table("table7b_counterfactuals", "Table 7b: forced routing", caption, columns, rows,
                 notes)  # fmt: skip


def specialisation_table(bundle: Bundle) -> Table:
    """Table 7c: causal specialisation, each condition with each expert alone."""
    rows = []
    for cell in routing.router_cells(bundle):
        samples = routing.counterfactual_samples(bundle, cell, words.PRIMARY)
        if not {"noise-only", "reverb-only"} <= set(samples):
            continue
        for condition in words.DISTORTED:
            mask = bundle.in_conditions((condition,))
            noise, reverb = (samples[k].restrict(mask) for k in ("noise-only", "reverb-only"))
            gap = difference(noise, reverb)
            rows.append((cell, condition, noise, reverb, gap))
    judged = judge(bundle, [r[4] for r in rows], words.PRIMARY)
    table_rows = [
        Row(
            [condition, estimate(noise.mean(), 3), estimate(reverb.mean(), 3),
             _signed_with_mark(judged[i])],
            captions.row_label(bundle, cell, cell),
        )
        for i, (cell, condition, noise, reverb, _) in enumerate(rows)
    ]  # fmt: skip
    columns = [
        Column("Condition", "condition", numeric=False), Column("noise expert", "noise_only"),
        Column("reverb expert", "reverb_only"),
        Column("noise − reverb expert", "noise_minus_reverb"),
    ]  # fmt: skip
    caption = (
        "PESQ-WB with one expert alone (weight 1), by condition: an expert that specialised is the "
        f"better one for its own distortion. {captions.seeds_and_interval(bundle)}"
    )
    notes = ["* differs from zero (Holm over the table, 5 %).", *_verdict_note(judged)]
    title = "Table 7c: causal specialisation"
    return Table("table7c_specialisation", title, caption, columns, table_rows, notes)


def _forced_differences(bundle: Bundle, conditions: tuple[str, ...]):
    """Per cell the comparisons of every forced routing with the learned one, one family."""
    labels, learned, differences = [], [], []
    mask = bundle.in_conditions(conditions)
    for cell in routing.router_cells(bundle):
        samples = routing.counterfactual_samples(bundle, cell, words.PRIMARY)
        if not samples:
            continue
        labels.append(captions.row_label(bundle, cell, cell))
        learned.append(estimate(samples["learned"].restrict(mask).mean(), 3))
        for kind in _FORCED:
            pair = difference(samples[kind], samples["learned"]) if kind in samples else None
            differences.append(pair.restrict(mask) if pair is not None else None)
    judged = judge(bundle, differences, words.PRIMARY)
    n = len(_FORCED)
    return [judged[i * n : (i + 1) * n] for i in range(len(labels))], labels, learned, judged


def _signed_with_mark(comparison: Comparison | None) -> Entry:
    if comparison is None:
        return Entry(np.nan)
    mark = "*" if comparison.p_holm < 0.05 else ""
    return estimate(comparison.interval, 3, signed=True, mark=mark)


def _verdict_note(judged: list[Comparison | None]) -> list[str]:
    return [captions.verdicts(judged, None)] if any(judged) else []


def _subset_size(bundle: Bundle) -> int:
    for cell in routing.router_cells(bundle):
        samples = routing.counterfactual_samples(bundle, cell, words.PRIMARY)
        if samples:
            return samples["learned"].n_utterances
    return 0
