"""Tables as data, and their forms in Markdown, CSV and plain text; `latex` has the fourth."""

import csv
import io
import re
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.statistics.intervals import Interval

MISSING = "–"


@dataclass(frozen=True)
class Entry:
    """A number in a table: `0.123 ± 0.004`, perhaps bold, signed or marked.

    Attributes:
        value: Estimate; NaN is missing.
        half: Half of its 95 % interval; NaN if it has none.
        decimals: Decimals written (the CSV holds six significant more).
        bold: Best of its column by the paired test.
        mark: Footnote sign behind it.
        signed: Written with its sign, for differences.
    """

    value: float
    half: float = np.nan
    decimals: int = 3
    bold: bool = False
    mark: str = ""
    signed: bool = False

    def __str__(self) -> str:
        if np.isnan(self.value):
            return MISSING
        sign = "+" if self.signed else ""
        text = f"{self.value:{sign},.{self.decimals}f}".replace(",", "\u2009").replace("-", "−")
        if not np.isnan(self.half):
            text += f" ± {self.half:.{self.decimals}f}"
        return text + self.mark


Value = Entry | str


def estimate(interval: Interval | None, decimals: int, **options: object) -> Entry:
    """Return the entry of a scalar interval; the entry is missing if there is none."""
    if interval is None:
        return Entry(np.nan, decimals=decimals)
    half = float(interval.half_width)
    return replace(Entry(float(interval.estimate), half, decimals), **options)  # pyright: ignore


@dataclass(frozen=True)
class PValue(Entry):
    """A p-value, written as papers write it; the CSV holds four significant digits."""

    def __str__(self) -> str:
        return "< 0.001" if self.value < 0.001 else super().__str__()


def p_value(p: float) -> PValue:
    """Return the entry of a p-value; NaN is missing."""
    return PValue(float(p))


@dataclass(frozen=True)
class Column:
    """A column: what readers see, and its name in the CSV."""

    header: str
    key: str
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A row of values; `group` is the heading it stands under."""

    values: list[Value]
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table with everything that its reader must know.

    Attributes:
        name: File name without suffix.
        title: Short heading.
        caption: What was measured, how often, and how the intervals come about.
        columns: One per value of a row.
        rows: In order; rows of one group stand together.
        notes: Footnotes.
    """

    name: str
    title: str
    caption: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def groups(self) -> list[str]:
        """Return the group headings in order; one empty heading if there are none."""
        return list(dict.fromkeys(row.group for row in self.rows))


def to_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown, with the caption above and notes below."""

    def line(values: list[str]) -> str:
        return "| " + " | ".join(values) + " |"

    def cell(value: Value) -> str:
        if not isinstance(value, Entry):
            return markdown_text(value)
        return f"**{value}**" if value.bold else str(value)

    lines = [f"### {markdown_text(table.title)}", "", markdown_text(table.caption), ""]
    lines.append(line([markdown_text(c.header) for c in table.columns]))
    lines.append(line(["---:" if c.numeric else ":---" for c in table.columns]))
    for group in table.groups():
        if group:
            lines.append(line([f"*{markdown_text(group)}*"] + [""] * (len(table.columns) - 1)))
        lines += [line([cell(v) for v in r.values]) for r in table.rows if r.group == group]
    for note in table.notes:
        lines += ["", markdown_text(note)]
    return "\n".join(lines) + "\n"


# What Markdown would act upon; a bracket or a less-than sign alone is none of it.
_MARKDOWN = re.compile(
    r"[\\`|$~]|\*(?!\s)|(?<![^\W_])_|_(?![^\W_])"
    r"|<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=#?\w+;)|^(?=[#>+-] )"
)


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return _MARKDOWN.sub(lambda found: "\\" + found.group(), text)


def to_csv(table: Table) -> str:
    """Return a table as CSV; an interval becomes three columns, a missing value is empty."""
    interval = [
        any(isinstance(r.values[i], Entry) and not np.isnan(r.values[i].half) for r in table.rows)  # pyright: ignore
        for i in range(len(table.columns))
    ]
    grouped = any(table.groups())
    header = ["group"] * grouped
    for column, wide in zip(table.columns, interval, strict=True):
        header += [column.key] + [f"{column.key}_low", f"{column.key}_high"] * wide
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        values = [row.group] * grouped
        for value, wide in zip(row.values, interval, strict=True):
            values += _csv_values(value, wide)
        writer.writerow(values)
    return out.getvalue()


def _csv_values(value: Value, wide: bool) -> list[str]:
    if not isinstance(value, Entry):
        text = "" if value == MISSING else value.replace("−", "-")
        return [text] + ["", ""] * wide
    if isinstance(value, PValue):
        return ["" if np.isnan(value.value) else f"{value.value:.4g}"] + ["", ""] * wide
    numbers = [value.value] + [value.value - value.half, value.value + value.half] * wide
    digits = value.decimals + 3 if value.decimals else 0
    return ["" if np.isnan(n) else f"{n:.{digits}f}" for n in numbers]


def to_text(table: Table, width: int = 100) -> str:
    """Return a table as plain text for a terminal, at most `width` columns; notes are wrapped."""
    import textwrap

    cells = [[str(v) for v in row.values] for row in table.rows]
    headers = [c.header for c in table.columns]
    widths = [max(len(r[i]) for r in [headers, *cells]) for i in range(len(headers))]
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    if excess > 0:
        widths[0] = max(8, widths[0] - excess)

    def line(values: list[str]) -> str:
        padded = [
            f"{v:>{w}}" if c.numeric else f"{_cut(v, w):<{w}}"
            for v, w, c in zip(values, widths, table.columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "─" * min(width, sum(widths) + 2 * (len(widths) - 1))
    lines = [table.title, rule, line(headers), rule]
    for group in table.groups():
        lines += [group] * bool(group)
        lines += [line(c) for c, r in zip(cells, table.rows, strict=True) if r.group == group]
    lines.append(rule)
    for note in table.notes:
        lines += textwrap.wrap(note, width)
    return "\n".join(lines) + "\n"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
