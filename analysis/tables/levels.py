"""Table 12: what an S-MoE layer changes at each level of the settings that a study varies."""

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.parts import level_name
from analysis.findings import captions
from analysis.findings.compare import judge, noise_kinds
from analysis.rendering.forms import Column, Row, Table, Value
from analysis.statistics.samples import Sample, difference
from analysis.tables.main import comparison_values

SHOWN = ("pesq_wb", "stoi", "si_sdr_db")
Variant = tuple[str, str]  # a cell, and the counterfactual under which it is scored


def variants(bundle: Bundle) -> list[Variant]:
    """Return the cells to compare with the dense network, and those with the other mapping.

    Under supervised routing labels give the weights in training, so that the other mapping is the
    same network, routed otherwise at test time.
    """
    found: list[Variant] = []
    for cell in bundle.cells():
        if cell == words.DENSE:
            continue
        found.append((cell, "learned"))
        if bundle.cell_row(cell)["routing"] == "supervised":
            found += [
                (cell, name)
                for name in words.OTHER_MAPPINGS
                if bundle.sample(cell, words.PRIMARY, name).n_utterances
            ]
    return found


def variant_name(variant: Variant) -> str:
    """Return how tables and figures call a variant: "EMBDL, normalized at test time"."""
    cell, counterfactual = variant
    mapping = counterfactual.removeprefix("learned-")
    name = words.short_name(cell)
    return name if counterfactual == "learned" else f"{name}, {mapping} at test time"


def against_dense(bundle: Bundle, each: list[Variant], metric: str) -> list[Sample | None]:
    """Return each variant minus the dense network over the distorted utterances."""
    if not bundle.has(words.DENSE):
        return [None] * len(each)
    mask = bundle.in_conditions(words.DISTORTED)
    dense = bundle.sample(words.DENSE, metric)
    found: list[Sample | None] = []
    for cell, counterfactual in each:
        pair = difference(bundle.sample(cell, metric, counterfactual), dense).restrict(mask)
        found.append(pair if pair.n_utterances and pair.seeds else None)
    return found


def levels_table(bundle: Bundle) -> Table:
    """Make the table of differences to the dense network, level by level."""
    columns = [Column("Network", "network", numeric=False)]
    for metric in SHOWN:
        label = words.METRICS[metric].label
        columns += [
            Column(f"Δ dense {label}", f"difference_{metric}"),
            Column(f"verdict {label}", f"verdict_{metric}", numeric=False),
        ]
    rows, notes = [], []
    for level, part in bundle.levels:
        rows += _rows(part, level_name(level))
        if not part.has(words.DENSE):
            notes.append(f"{level_name(level)}: no dense network to compare with.")
    caption = (
        "Each network minus the dense network of its level, paired by seed and utterance, over "
        f"the distorted utterances. {captions.seeds_and_interval(bundle)} {bundle.left_out}"
    ).strip()
    notes.append(
        'p after Holm over the rows of one level. A network "at test time" has the same weights '
        "as the one above it: under supervised routing labels give the weights in training."
    )
    title = "Table 12: levels of the varied settings"
    return Table("table12_levels", title, caption, columns, rows, notes)


def _rows(part: Bundle, group: str) -> list[Row]:
    each = variants(part)
    kinds = noise_kinds(part, [cell for cell, _ in each])
    judged = {m: judge(part, against_dense(part, each, m), m, kinds=kinds) for m in SHOWN}
    rows = []
    for i, variant in enumerate(each):
        values: list[Value] = [variant_name(variant)]
        for metric in SHOWN:
            found = comparison_values(judged[metric][i], metric)
            values += [found[0], found[2]]
        rows.append(Row(values, group))
    return rows
