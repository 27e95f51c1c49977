"""A study's report: every table and figure rebuilt from its bundle, byte for byte the same."""

from dataclasses import dataclass
from pathlib import Path

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_reported
from analysis.bundle.outside import outside_notes
from analysis.figures.all_figures import draw_all
from analysis.findings import captions
from analysis.findings.answer import answer
from analysis.rendering.files import store
from analysis.rendering.forms import Column, Row, Table, Value, to_text
from analysis.rendering.table_files import FORMATS
from analysis.report.page import write_page
from analysis.tables.all_tables import all_tables
from analysis.tables.main import (
    PLACEMENTS,
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
        answer: What the study says, one sentence each.
        page: The HTML page with all of it.
        placements: Table 2.
    """

    bundle: Bundle
    tables: list[Path]
    figures: list[Path]
    skipped: dict[str, str]
    answer: list[str]
    page: Path
    placements: Table


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
    said = answer(bundle)
    page = bundle_dir / "report.html"
    write_page(bundle, tables, drawn, skipped, said, page)
    placements = next(table for table in tables if table.name == PLACEMENTS)
    return ReportSummary(bundle, written, list(drawn.values()), skipped, said, page, placements)


def screen(folder: Path, built: ReportSummary | None = None) -> str:
    """Return tables 1 and 2 for a terminal, the answer, and where everything lies.

    Args:
        folder: The bundle, `results/<study>`.
        built: Its report, where that was just built; None to read the bundle.

    Raises:
        BundleError: the bundle is incomplete or inconsistent.
    """
    bundle = built.bundle if built else load_reported(folder)
    said = built.answer if built else answer(bundle)
    parts = [
        main_table_text(bundle),
        placement_table_text(built.placements if built else placement_table(bundle)),
        *(f"- {sentence}" for sentence in said),
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
         [captions.measured(bundle), *not_above_note(bundle, cells), *outside_notes(bundle)]),
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


def placement_table_text(full: Table) -> str:
    """Return table 2 for a terminal: placement, PESQ-WB, STOI, difference to dense and verdict."""
    wanted = ["placement", "pesq_wb", "stoi", "si_sdr_db", "difference_to_dense", "verdict"]
    keep = [[c.key for c in full.columns].index(key) for key in wanted]
    rows = [Row([row.values[i] for i in keep]) for row in full.rows]
    columns = [full.columns[i] for i in keep]
    notes = [full.notes[0], *full.notes[2:]]
    return to_text(Table(full.name, full.title, "", columns, rows, notes))
