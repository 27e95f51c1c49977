"""Table 2b: whether the metrics agree on a placement."""

from itertools import combinations

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import TOO_FEW_SEEDS, Comparison, differences_to, judge, noise_kinds
from analysis.rendering.forms import MISSING, Column, Row, Table, Value

_ALL, _UNDECIDED, _CONTRADICTION = "all agree", "all undecided", "contradiction"
_OPPOSITE = {"better": "worse", "worse": "better"}


def compared_placements(bundle: Bundle) -> list[str]:
    """Return the placements of table 2 that have runs and can be compared with dense."""
    cells = [words.cell_code(p) for p in words.placements()[1:]]
    return [c for c in cells if bundle.has(c) and bundle.has(words.DENSE)]


def verdicts_by_metric(bundle: Bundle, cells: list[str]) -> dict[str, list[str]]:
    """Return metric to the verdict of each cell against dense, without what is said of margins.

    `better` and `worse` may be within the margin; MISSING where nothing could be compared.
    """
    kinds, found = noise_kinds(bundle, cells), {}
    for metric in words.METRICS:
        pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), metric)
        found[metric] = [plain_verdict(c) for c in judge(bundle, pairs, metric, kinds=kinds)]
    return found


def plain_verdict(comparison: Comparison | None) -> str:
    """Return `better`, `worse`, `equivalent`, `undecided` or `too few seeds`."""
    return MISSING if comparison is None else comparison.verdict.split(",")[0]


def contradict(first: str, second: str) -> bool:
    """Return whether two verdicts are decided in opposite directions."""
    return _OPPOSITE.get(first) == second


def agreement_table(bundle: Bundle) -> Table:
    """Make table 2b: the verdict on each placement by metric, and how often metrics agree."""
    cells = compared_placements(bundle)
    found = verdicts_by_metric(bundle, cells)
    rows = []
    for i, cell in enumerate(cells):
        own = [found[m][i] for m in words.METRICS]
        label = captions.row_label(bundle, cell, cell.split(".")[0])
        rows.append(Row([label, *own, _agree(own)], "verdict against dense"))
    rows += _pair_rows(found) if cells else []
    columns = [Column("Placement", "placement", numeric=False)]
    columns += [
        Column(m.label, f"verdict_{key}", numeric=False) for key, m in words.METRICS.items()
    ]
    columns += [Column("agreement", "agreement", numeric=False)]
    caption = (
        "Verdicts of table 2 in every metric, each with Holm over the placements. Agreement: all "
        "metrics have the same verdict, and it is not undecided; contradiction: one is better and "
        "another worse. "
        f"{captions.seeds_and_extent(bundle)}"
    )
    title = "Table 2b: agreement of the metrics"
    return Table("table2b_agreement", title, caption, columns, rows, _notes(rows))


def _notes(rows: list[Row]) -> list[str]:
    """Count the placements on which metrics agree, and name those on which they contradict."""
    judged = [(str(r.values[0]), r.values[-1]) for r in rows if r.values[-1] != MISSING]
    if not rows:
        return ["No placement of this study can be compared with the dense network."]
    if not judged:
        return ["Nothing is decided: too few seeds."]
    agreed = sum(said == _ALL for _, said in judged)
    against = [name for name, said in judged if said == _CONTRADICTION]
    open_ = sum(said == _UNDECIDED for _, said in judged)
    text = (
        f"Of {captions.plural(len(judged), 'placement')}, all metrics have the same verdict on "
        f"{agreed} and are undecided on {open_}; "
    )
    named = f"contradictions: {', '.join(against)}" if against else "no contradiction"
    return [f"{text}{named}."]


def _agree(verdicts: list[str]) -> str:
    if TOO_FEW_SEEDS in verdicts or MISSING in verdicts:
        return MISSING
    if any(contradict(a, b) for a, b in combinations(verdicts, 2)):
        return _CONTRADICTION
    if set(verdicts) == {"undecided"}:
        return _UNDECIDED
    return _ALL if len(set(verdicts)) == 1 else "partly"


def _pair_rows(found: dict[str, list[str]]) -> list[Row]:
    """Return rows that count the placements with the same verdict in two metrics."""
    rows = []
    for first in words.METRICS:
        values: list[Value] = [words.METRICS[first].label]
        for second in words.METRICS:
            pairs = [
                (a, b)
                for a, b in zip(found[first], found[second], strict=True)
                if not {TOO_FEW_SEEDS, MISSING} & {a, b}
            ]
            same = sum(a == b for a, b in pairs)
            own = first == second or not pairs
            values.append(MISSING if own else f"{same} of {len(pairs)}")
        rows.append(Row([*values, MISSING], "placements with the same verdict"))
    return rows
