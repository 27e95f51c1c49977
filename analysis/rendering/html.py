"""A table as HTML: sortable by its heads, with its interval at each number."""

import html
from dataclasses import replace

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.rendering.forms import Entry, Table, Value


def table_section(table: Table) -> str:
    """Return a table with heading, caption and notes; one without rows is a sentence."""
    if not table.rows:
        return _empty(table)
    head = "".join(
        f'<th scope="col"{"" if c.numeric else " class=text"} '
        f'data-numeric="{"yes" if c.numeric else "no"}"{_condition(c.header)}>'
        '<button type="button">'
        f"{html.escape(c.header)}</button></th>"
        for c in table.columns
    )
    bodies = []
    for group in table.groups():
        rows = [r.values for r in table.rows if r.group == group]
        heading = (
            f'<tr class="group"><th colspan="{len(table.columns)}">{html.escape(group)}</th></tr>'
            if group
            else ""
        )
        lines = "\n".join(
            f"<tr>{''.join(_cell(v, c.numeric) for v, c in zip(row, table.columns, strict=True))}"
            "</tr>"
            for row in rows
        )
        bodies.append(f"<tbody{_metric(group)}>{heading}{lines}</tbody>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return (
        f'<section id="{table.name}"><h2 id="{table.name}-title">{html.escape(table.title)}</h2>'
        f'<p class="caption">{html.escape(table.caption)}</p>'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{table.name}-title">'
        f"<table><thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
        f'<div class="notes">{notes}</div></section>'
    )


def _empty(table: Table) -> str:
    why = html.escape(" ".join(table.notes)) or "This study has nothing to put into it."
    return f'<section id="{table.name}"><h2>{html.escape(table.title)}</h2><p>{why}</p></section>'


def _metric(group: str) -> str:
    """Mark a block of rows that speaks of one metric alone."""
    found = [key for key, m in words.METRICS.items() if group in (m.label, m.axis_label)]
    return f' data-metric="{found[0]}"' if found else ""


def _condition(header: str) -> str:
    """Mark a column that speaks of one condition alone."""
    found = [c for c in words.CONDITIONS if header.split(":", maxsplit=1)[0] == c]
    return f' data-condition="{found[0]}"' if found else ""


def _hover(value: Entry) -> str:
    """Say a value's interval in words, for whoever points at it."""
    if np.isnan(value.half):
        return ""
    low, high = (replace(value, value=v, half=np.nan, mark="") for v in _ends(value))
    return f' title="95 % interval from {low} to {high}"'


def _ends(value: Entry) -> tuple[float, float]:
    return value.value - value.half, value.value + value.half


def _cell(value: Value, numeric: bool) -> str:
    kind = "" if numeric else " class=text"
    if not isinstance(value, Entry):
        plain = value.replace("<", "").strip()
        key = plain if plain.replace(".", "", 1).isdigit() else ""
        return f'<td{kind} data-value="{key}">{html.escape(value)}</td>' if numeric else (
            f"<td{kind}>{html.escape(value)}</td>"
        )  # fmt: skip
    key = "" if np.isnan(value.value) else f"{value.value:.6g}"
    text = html.escape(str(value))
    shown = f"<b>{text}</b>" if value.bold else text
    return f'<td{kind} data-value="{key}"{_hover(value)}>{shown}</td>'
