"""Tables 3 to 5: what expert mode, routing and router scope change, all else equal."""

from itertools import product

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import Comparison, differences_to, judge
from analysis.rendering.forms import Column, Row, Table, Value
from analysis.statistics.samples import Sample, difference, mean_of
from analysis.tables.main import comparison_values

_NAMES = {
    "expert_mode": ("table3_expert_mode", "Table 3: expert mode"),
    "routing": ("table4_routing", "Table 4: routing"),
    "router_scope": ("table5_router_scope", "Table 5: router scope"),
}


def _columns(primary: str) -> list[Column]:
    columns = [Column("All else equal", "pairs", numeric=False)]
    columns += [Column(f"Δ {m.label}", f"difference_{key}") for key, m in words.METRICS.items()]
    columns += [Column("p (Holm)", "p_holm"), Column("verdict", "verdict", numeric=False)]
    return columns + [
        Column(f"verdict {m.label}", f"verdict_{key}", numeric=False)
        for key, m in words.METRICS.items()
        if key != primary
    ]


def axis_table(bundle: Bundle, axis: str) -> Table:
    """Make the table of differences between the two levels of an axis, judged in every metric.

    Rows: the mean over all pairs of cells that differ in this axis alone, then for each setting of
    the other two axes the mean over its placements, then controls of the routing.
    """
    first, second = words.AXIS_LEVELS[axis]
    settings = _pairs_by_setting(bundle, axis)
    rows = [("all pairs", [pair for pairs in settings.values() for pair in pairs])]
    rows += list(settings.items())
    named = [(f"{name} ({_extent(pairs)})", pairs) for name, pairs in rows if pairs]
    samples = {m: [_mean_difference(bundle, p, m) for _, p in named] for m in words.METRICS}
    labels = [name for name, _ in named]
    if axis == "routing":
        _append_controls(bundle, labels, samples)
    table_rows, judged = _judged_rows(bundle, labels, samples)
    name, title = _NAMES[axis]
    caption = (
        f"{first} minus {second} (better: {first} scores higher), paired by placement and the "
        f"other axes, seed and utterance, over the distorted utterances. "
        f"{captions.measured(bundle)}".replace("per_layer", "per layer")
    )
    notes = _notes(bundle, settings, judged)
    return Table(name, title, caption, _columns(bundle.primary), table_rows, notes)


def _pairs_by_setting(bundle: Bundle, axis: str) -> dict[str, list[tuple[str, str]]]:
    """Return pairs of trained cells that differ in `axis` alone, by setting of the other axes."""
    others = [a for a in words.AXES if a != axis]
    settings: dict[str, list[tuple[str, str]]] = {}
    for levels in product(*(words.AXIS_LEVELS[a] for a in others)):
        fixed = dict(zip(others, levels, strict=True))
        pairs = []
        for placement in words.placements()[1:]:
            pair = [
                words.cell_code(placement, tuple({**fixed, axis: x}[a] for a in words.AXES))  # pyright: ignore
                for x in words.AXIS_LEVELS[axis]
            ]
            if all(bundle.has(c) for c in pair):
                pairs.append((pair[0], pair[1]))
        settings[", ".join(levels).replace("per_layer", "per layer")] = pairs
    return settings


def _extent(pairs: list[tuple[str, str]]) -> str:
    codes = list(dict.fromkeys(first.split(".")[0] for first, _ in pairs))
    return codes[0] if len(codes) == 1 else captions.plural(len(codes), "placement")


def _mean_difference(bundle: Bundle, pairs: list[tuple[str, str]], metric: str) -> Sample:
    mask = bundle.in_conditions(words.DISTORTED)
    differences = [difference(bundle.sample(a, metric), bundle.sample(b, metric)) for a, b in pairs]
    return mean_of(differences).restrict(mask)


def _append_controls(bundle: Bundle, labels: list[str], samples: dict[str, list[Sample]]) -> None:
    """Append the full S-MoE minus averaged experts and minus shuffled labels, in place."""
    for control in words.ROUTING_CONTROLS:
        if bundle.has(control) and bundle.has(words.FULL_CELL):
            labels.append(f"supervised minus {control} (EMBDL)")
            for metric in words.METRICS:
                pair = differences_to(bundle, [words.FULL_CELL], [control], metric)[0]
                assert pair is not None
                samples[metric].append(pair)


def _judged_rows(
    bundle: Bundle, labels: list[str], samples: dict[str, list[Sample]]
) -> tuple[list[Row], list[Comparison | None]]:
    judged = {m: judge(bundle, [*s], m) for m, s in samples.items()}
    primary = bundle.primary
    rows = []
    for i, label in enumerate(labels):
        found = {metric: comparison_values(c[i], metric) for metric, c in judged.items()}
        values: list[Value] = [label, *(values[0] for values in found.values())]
        values += found[primary][1:]
        values += [values[2] for metric, values in found.items() if metric != primary]
        rows.append(Row(values))
    return rows, judged[primary]


def _notes(bundle: Bundle, settings: dict[str, list], judged: list[Comparison | None]) -> list[str]:
    if not judged:
        return ["No two trained cells of this study differ in this axis alone."]
    notes = captions.verdicts(bundle, judged, tuple(words.METRICS))
    if empty := [name for name, pairs in settings.items() if not pairs]:
        notes.append(f"No pair in this study for: {'; '.join(empty)}.")
    return notes + captions.missing(bundle, [c for c in bundle.planned if "." in c])
