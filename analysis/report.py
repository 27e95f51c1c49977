"""A study's report: every table and figure rebuilt from its bundle, byte for byte the same."""

from dataclasses import dataclass
from pathlib import Path

from analysis import captions
from analysis import vocabulary as words
from analysis.all_tables import all_tables
from analysis.bundle import Bundle
from analysis.claims import claims
from analysis.compare import TOO_FEW_SEEDS, differences_to, judge, noise_kinds
from analysis.figures import draw_all
from analysis.load import load_reported
from analysis.page import write_page
from analysis.render import FORMATS, Column, Row, Table, Value, to_text
from analysis.storing import store
from analysis.tables import (
    NOT_ABOVE_INPUT,
    main_cells,
    not_above_note,
    placement_table,
    quality_column,
)


@dataclass(frozen=True)
class ReportSummary:
    """What a report wrote and found.

    Attributes:
        bundle: The results it was made from.
        tables: Markdown file of each table; LaTeX and CSV lie beside it.
        figures: PNG of each figure; the PDF lies beside it.
        skipped: Figure to the reason why it was not drawn.
        findings: One sentence each: what the study says.
        page: The HTML page with all of it.
    """

    bundle: Bundle
    tables: list[Path]
    figures: list[Path]
    skipped: dict[str, str]
    findings: list[str]
    page: Path


def build_report(bundle_dir: Path) -> ReportSummary:
    """Write `tables/`, `figures/` and `report.html` into a results folder, from its bundle alone.

    Raises:
        BundleError: the bundle is incomplete or inconsistent.
    """
    bundle = load_reported(bundle_dir)
    folder = bundle_dir / "tables"
    written = []
    tables = all_tables(bundle)
    for table in tables:
        for suffix, form in FORMATS.items():
            path = folder / f"{table.name}.{suffix}"
            store(bundle, path, form(table).encode())
        written.append(folder / f"{table.name}.md")
    drawn, skipped = draw_all(bundle, bundle_dir / "figures")
    found = findings(bundle)
    page = bundle_dir / "report.html"
    write_page(bundle, tables, drawn, skipped, found, page)
    return ReportSummary(bundle, written, list(drawn.values()), skipped, found, page)


def screen(folder: Path) -> str:
    """Return tables 1 and 2 for a terminal, what was found, and where everything lies.

    Raises:
        BundleError: the bundle is incomplete or inconsistent.
    """
    bundle = load_reported(folder)
    parts = [
        main_table_text(bundle),
        placement_table_text(bundle),
        *(f"- {finding}" for finding in findings(bundle)),
        "",
        f"Tables   {folder / 'tables'}",
        f"Figures  {folder / 'figures'}",
        f"Page     {folder / 'report.html'}",
        f"Bundle   {folder}",
    ]
    return "\n".join(parts)


def main_table_text(bundle: Bundle) -> str:
    """Return table 1 for a terminal: all metrics, then the primary one by condition."""
    cells = main_cells(bundle)
    overall = [quality_column(bundle, cells, m) for m in words.METRICS]
    heard = [c for c in words.CONDITIONS if bundle.in_conditions((c,)).any()]
    by_condition = [quality_column(bundle, cells, bundle.primary, (c,)) for c in heard]
    blocks = [
        ("Table 1: means over all distorted utterances",
         [m.label for m in words.METRICS.values()], overall, []),
        (f"{words.METRICS[bundle.primary].label} by condition", heard, by_condition,
         [captions.measured(bundle), *not_above_note(bundle, cells)]),
    ]  # fmt: skip
    texts = []
    for title, headers, columns, notes in blocks:
        rows = []
        for i, cell in enumerate(cells):
            values: list[Value] = [captions.row_label(bundle, cell, words.short_name(cell))]
            rows.append(Row([*values, *[c[i] for c in columns]]))
        names = [Column("Network", "network", numeric=False), *[Column(h, h) for h in headers]]
        texts.append(to_text(Table("main", title, "", names, rows, notes)))
    return "\n".join(texts)


def placement_table_text(bundle: Bundle) -> str:
    """Return table 2 for a terminal: placement, PESQ-WB, STOI, difference to dense and verdict."""
    full = placement_table(bundle)
    wanted = ["placement", "pesq_wb", "stoi", "si_sdr_db", "difference_to_dense", "verdict"]
    keep = [[c.key for c in full.columns].index(key) for key in wanted]
    rows = [Row([row.values[i] for i in keep]) for row in full.rows]
    columns = [full.columns[i] for i in keep]
    notes = [full.notes[0], *full.notes[2:]]
    return to_text(Table(full.name, full.title, "", columns, rows, notes))


def findings(bundle: Bundle) -> list[str]:
    """Say what the study found, one sentence each, every number with its interval."""
    sentences = []
    if bundle.has(words.FULL_CELL):
        sentences += [claim.sentence(bundle.primary) for claim in claims(bundle)]
    ranked = [c for c in bundle.cells() if "." in c]
    if ranked and bundle.has(words.UNPROCESSED):
        poor = [note.removeprefix(f"{NOT_ABOVE_INPUT} ") for note in not_above_note(bundle, ranked)]
        sentences += poor or ["Every S-MoE cell scores above the unprocessed input in all metrics."]
    if ranked and bundle.has(words.DENSE):
        sentences += _counted(bundle, ranked)
    return sentences


def _counted(bundle: Bundle, cells: list[str]) -> list[str]:
    """How many cells are better or worse than the dense network, and what that needs."""
    metric = bundle.primary
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), metric)
    judged = [c for c in judge(bundle, pairs, metric, kinds=noise_kinds(bundle, cells)) if c]
    verdicts = [c.verdict.split(",")[0] for c in judged]
    if not judged:
        return []
    if all(verdict == TOO_FEW_SEEDS for verdict in verdicts):
        return [
            f"With {captions.plural(judged[0].n_seeds, 'seed')} nothing is decided about the "
            f"{captions.plural(len(judged), 'S-MoE cell')} against the dense network."
        ]
    order = ("better", "equivalent", "undecided", "worse", TOO_FEW_SEEDS)
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in order if v in verdicts)
    name = words.METRICS[metric].label
    counted = (
        f"Of {captions.plural(len(judged), 'S-MoE cell')} against the dense network ({name}): "
        f"{counts}."
    )
    margin = bundle.rules.margins.get(metric)
    return [counted, captions.power(judged, metric, margin)]
