"""The four forms of a table, on entries that need care."""

import numpy as np
import pytest

from analysis.rendering.forms import (
    Column,
    Entry,
    Row,
    Table,
    p_value,
    to_csv,
    to_latex,
    to_markdown,
    to_text,
)

TABLE = Table(
    "table0_example", "Table 0: an example", "N = 3, 95 % of it.",
    [Column("Network", "network", numeric=False), Column("PESQ-WB", "pesq_wb"),
     Column("Δ", "difference"), Column("p", "p")],
    [
        Row(["-----", Entry(1.23456, 0.0123), Entry(np.nan), "–"], "first_group"),
        Row(["E-B--", Entry(1.3, 0.01, bold=True), Entry(-0.002, 0.1, signed=True), "< 0.001"],
            "first_group"),
        Row(["a|b & c", Entry(12345.6, decimals=0), Entry(0.5, signed=True, mark="†"), "0.040"],
            "second"),
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
    assert [p_value(p) for p in (0.0004, 0.0416, 1.0, np.nan)] == ["< 0.001", "0.042", "1.000", "–"]


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


def test_csv_has_bounds_and_empty_for_missing():
    lines = to_csv(TABLE).splitlines()
    assert lines[0] == (
        "group,network,pesq_wb,pesq_wb_low,pesq_wb_high,difference,difference_low,difference_high,p"
    )
    assert lines[1] == "first_group,-----,1.234560,1.222260,1.246860,,,,"
    assert lines[2].endswith(",-0.002000,-0.102000,0.098000,< 0.001")


def test_text_fits_the_terminal():
    wide = [
        Row(["a name that is far too long for its column " * 2, *r.values[1:]]) for r in TABLE.rows
    ]
    text = to_text(Table("t", "T", "", TABLE.columns, wide, ["word " * 60]))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" in text
