"""Tables as data, and their four forms: Markdown, LaTeX (booktabs), CSV and plain text."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.statistics.intervals import Interval

MISSING = "–"
_MANY_ROWS = 45  # more than a page holds


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
    """Entry of a scalar interval; missing if there is none."""
    if interval is None:
        return Entry(np.nan, decimals=decimals)
    half = float(interval.half_width)
    return replace(Entry(float(interval.estimate), half, decimals), **options)  # pyright: ignore


def p_value(p: float) -> str:
    """A p-value as papers write it."""
    if np.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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
        """Group headings in order; one empty heading if there are none."""
        return list(dict.fromkeys(row.group for row in self.rows))


def to_markdown(table: Table) -> str:
    """GitHub Markdown with caption above and notes below."""

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


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "\u2009": r"\,", "<": "$<$", ">": "$>$", "×": r"$\times$",
    "`": r"\textasciigrave{}", "\0": "{-}",
    "†": r"$^\dagger$", "≥": r"$\geq$", "≤": r"$\leq$", "Δ": r"$\Delta$",
}  # fmt: skip


def _latex(text: str) -> str:
    """Escaped text; hyphens in a row (placement codes) would else join into one dash."""
    apart = re.sub("-{2,}", lambda run: "\0" * len(run.group()), text)
    return "".join(_LATEX.get(character, character) for character in apart)


def to_latex(table: Table) -> str:
    """A booktabs table (longtable if it exceeds a page); needs `booktabs` and `longtable`."""

    def cell(value: Value) -> str:
        text = _latex(str(value))
        return rf"\textbf{{{text}}}" if isinstance(value, Entry) and value.bold else text

    def line(values: list[str]) -> str:
        # After the end of a row, a bracket or a star would be read as an option of it.
        first = "{}" * values[0].startswith(("[", "*"))
        return first + " & ".join(values) + r" \\"

    align = "".join("r" if c.numeric else "l" for c in table.columns)
    head = [r"\toprule", line([_latex(c.header) for c in table.columns]), r"\midrule"]
    body = []
    for i, group in enumerate(table.groups()):
        if group:
            span = rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{_latex(group)}}}}} \\"
            body += ([r"\addlinespace"] if i else []) + [span]
        body += [line([cell(v) for v in r.values]) for r in table.rows if r.group == group]
    caption = rf"\caption{{{_latex(table.title)}. {_latex(table.caption)}}}"
    label = rf"\label{{tab:{table.name}}}"
    notes = [rf"\par\smallskip\footnotesize {_latex(note)}" for note in table.notes]
    if len(table.rows) > _MANY_ROWS:
        begin = [rf"\begin{{longtable}}{{{align}}}", caption + label + r" \\"]
        lines = [*begin, *head, r"\endhead", *body, r"\bottomrule", r"\end{longtable}", *notes]
    else:
        begin = [r"\begin{table*}", r"\centering\small", caption, label]
        begin += [rf"\begin{{tabular}}{{{align}}}"]
        end = [r"\bottomrule", r"\end{tabular}", *notes, r"\end{table*}"]
        lines = [*begin, *head, *body, *end]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Comma-separated values; an interval becomes three columns, a missing value is empty."""
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
    numbers = [value.value] + [value.value - value.half, value.value + value.half] * wide
    digits = value.decimals + 3 if value.decimals else 0
    return ["" if np.isnan(n) else f"{n:.{digits}f}" for n in numbers]


def to_text(table: Table, width: int = 100) -> str:
    """Plain text for a terminal, at most `width` columns; notes are wrapped."""
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


FORMATS: dict[str, Callable[[Table], str]] = {"md": to_markdown, "tex": to_latex, "csv": to_csv}
