"""The four forms of a table, on entries that need care."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from analysis.rendering.forms import (
    Column,
    Entry,
    Row,
    Table,
    p_value,
    to_csv,
    to_markdown,
    to_text,
)
from analysis.rendering.latex import PREAMBLE, to_latex

TABLE = Table(
    "table0_example", "Table 0: an example", "N = 3, 95 % of it.",
    [Column("Network", "network", numeric=False), Column("PESQ-WB", "pesq_wb"),
     Column("Δ", "difference"), Column("p", "p")],
    [
        Row(["-----", Entry(1.23456, 0.0123), Entry(np.nan), "–"], "first_group"),
        Row(["E-B--", Entry(1.3, 0.01, bold=True), Entry(-0.002, 0.1, signed=True),
             p_value(0.00012345)], "first_group"),
        Row(["a|b & c", Entry(12345.6, decimals=0), Entry(0.5, signed=True, mark="†"),
             p_value(0.04)], "second"),
    ],
    ["† a note"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Entry(np.nan, 0.1), "–"),
        (Entry(0.1, 0.02, signed=True), "+0.100 ± 0.020"),
        (Entry(-0.1), "−0.100"),
        (Entry(0.0), "0.000"),
        (Entry(1234567, decimals=0), "1\u2009234\u2009567"),
        (Entry(0.25, decimals=1, mark="*"), "0.2*"),
    ],
)
def test_entries(entry, text):
    assert str(entry) == text


def test_p_values():
    assert [str(p_value(p)) for p in (0.0004, 0.0416, 1.0, np.nan)] == [
        "< 0.001",
        "0.042",
        "1.000",
        "–",
    ]


def test_markdown():
    lines = to_markdown(TABLE).splitlines()
    assert lines[0] == "### Table 0: an example"
    assert "| E-B-- | **1.300 ± 0.010** | −0.002 ± 0.100 | < 0.001 |" in lines
    assert "| a\\|b & c | 12\u2009346 | +0.500† | 0.040 |" in lines
    assert "| *second* |  |  |  |" in lines
    assert lines[-1] == "† a note"


def test_latex_escapes_and_sets_bold():
    text = to_latex(TABLE)
    assert r"{-}{-}{-}{-}{-} & 1.235 $\pm$ 0.012 & -- & -- \\" in text
    assert r"\textbf{1.300 $\pm$ 0.010} & $-$0.002 $\pm$ 0.100 & $<$ 0.001" in text
    assert r"a|b \& c" in text
    assert r"\textit{first\_group}" in text
    assert r"95 \% of it" in text
    assert text.count("{") == text.count("}")


def test_latex_keeps_the_dashes_of_placements():
    """In LaTeX two hyphens would become one dash and the code unreadable."""
    assert r"E-B{-}{-} &" in to_latex(TABLE)


def test_long_tables_break_across_pages():
    rows = [Row([f"cell {i}", Entry(i), Entry(i), "–"]) for i in range(60)]
    text = to_latex(Table("long", "Long", "Caption.", TABLE.columns, rows))
    assert r"\begin{longtable}" in text and r"\endhead" in text
    assert text.count("Caption.") == 1 and text.index("Caption.") < text.index(r"\endfirsthead")


def test_latex_leaves_the_number_of_a_table_to_latex_and_names_its_packages():
    text = to_latex(TABLE)
    assert text.startswith(PREAMBLE + "\n\\begin{table}\n")
    assert r"\caption{An example. N = 3, 95 \% of it.}\label{tab:table0_example}" in text


def wide(columns: int) -> Table:
    heads = [Column("Network", "network", numeric=False)]
    heads += [Column(f"head {i}", f"c{i}") for i in range(columns)]
    row = Row(["dense", *[Entry(i, 0.01) for i in range(columns)]])
    return Table("wide", "Table 3: wide", "Caption.", heads, [row] * 3)


def test_wide_tables_are_turned_and_wider_ones_are_cut_into_parts_of_one_number():
    turned, cut = to_latex(wide(6)), to_latex(wide(16))
    for text in (turned, cut):
        assert text.count(r"\begin{landscape}") == text.count(r"\end{landscape}") == 1
        assert text.count(r"\label") == text.count("Caption.") == 1
    assert turned.count(r"\begin{longtable}") == 1
    parts = cut.count(r"\begin{longtable}")
    assert parts == 3 and cut.count(r"\addtocounter{table}{-1}") == parts - 1
    assert all(f"head {i}" in cut for i in range(16))
    assert cut.count("dense &") == 3 * parts


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
@pytest.mark.parametrize("table", [TABLE, wide(6), wide(16)], ids=["upright", "turned", "cut"])
def test_latex_compiles_within_the_page(table: Table, tmp_path: Path):
    packages = PREAMBLE.removeprefix("% Preamble: ")
    body = (
        rf"\documentclass{{article}}{packages}\begin{{document}}{to_latex(table)}\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(body.replace(PREAMBLE, "%"))
    for _ in range(2):  # longtable settles its widths in the second
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout


def test_csv_has_bounds_and_empty_for_missing():
    lines = to_csv(TABLE).splitlines()
    assert lines[0] == (
        "group,network,pesq_wb,pesq_wb_low,pesq_wb_high,difference,difference_low,difference_high,p"
    )
    assert lines[1] == "first_group,-----,1.234560,1.222260,1.246860,,,,"
    assert lines[2].endswith(",-0.002000,-0.102000,0.098000,0.0001234")
    assert lines[3].endswith(",0.04")


def test_text_fits_the_terminal():
    wide = [
        Row(["a name that is far too long for its column " * 2, *r.values[1:]]) for r in TABLE.rows
    ]
    text = to_text(Table("t", "T", "", TABLE.columns, wide, ["word " * 60]))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" in text
