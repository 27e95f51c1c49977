"""Tables in LaTeX: one number for each caption, and no table wider than a page of an article.

Sizes are those of the class `article` at 10 pt. A table that fits its column stands upright; a
wider one is turned, and one that is too wide for that is cut into parts, which have one number.
"""

import re
from dataclasses import dataclass

from analysis.rendering.forms import Entry, Row, Table, Value

PREAMBLE = r"% Preamble: \usepackage{array,booktabs,longtable,pdflscape}"
UPRIGHT, TURNED = 70, 112  # characters of a line in \small
GAP = 2  # characters that two columns lie apart
LONGEST_TEXT = 30  # characters of a column of text; longer ones are wrapped
ROWS_UPRIGHT = 45  # more than a page holds
_POINTS = 4.6  # width of a character in \small
_SIZES = r"\small\setlength{\tabcolsep}{4pt}\setlength{\LTcapwidth}{\linewidth}"

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "\u2009": r"\,", "<": "$<$", ">": "$>$", "×": r"$\times$",
    "`": r"\textasciigrave{}", "\0": "{-}",
    "†": r"$^\dagger$", "≥": r"$\geq$", "≤": r"$\leq$", "Δ": r"$\Delta$",
}  # fmt: skip


def to_latex(table: Table) -> str:
    """Return a table with booktabs, below a comment that names the packages it needs."""
    every = list(range(len(table.columns)))
    widths = [_width(table, i) for i in every]
    turned = sum(widths) + GAP * len(widths) > UPRIGHT
    if not turned and len(table.rows) <= ROWS_UPRIGHT:
        return "\n".join([PREAMBLE, *_upright(_Part(table, every))]) + "\n"
    parts = [_Part(table, columns) for columns in _cut(widths)] if turned else [_Part(table, every)]
    lines = [r"\begingroup", _SIZES, *_long(parts[0], "")]
    for part in parts[1:]:
        lines += [r"\addtocounter{table}{-1}", *_long(part, ", continued")]
    lines += [*_notes(table), r"\par\endgroup"]
    around = ([r"\begin{landscape}"], [r"\end{landscape}"]) if turned else ([], [])
    return "\n".join([PREAMBLE, *around[0], *lines, *around[1]]) + "\n"


@dataclass(frozen=True)
class _Part:
    """Some columns of a table."""

    table: Table
    columns: list[int]

    @property
    def alignment(self) -> str:
        return "".join(_alignment(self.table, i) for i in self.columns)

    def head(self) -> list[str]:
        headers = [_latex(self.table.columns[i].header) for i in self.columns]
        return [r"\toprule", _line(headers), r"\midrule"]

    def body(self) -> list[str]:
        body = []
        for i, group in enumerate(self.table.groups()):
            if group:
                span = rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\textit{{{_latex(group)}}}}} \\"
                body += ([r"\addlinespace"] if i else []) + [span]
            body += [self._row(row) for row in self.table.rows if row.group == group]
        return body

    def _row(self, row: Row) -> str:
        return _line([_cell(row.values[i]) for i in self.columns])


def _upright(part: _Part) -> list[str]:
    return [
        r"\begin{table}", r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_caption(part.table)}}}{_label(part.table)}",
        rf"\begin{{tabular}}{{{part.alignment}}}",
        *part.head(), *part.body(), r"\bottomrule", r"\end{tabular}",
        *_notes(part.table), r"\end{table}",
    ]  # fmt: skip


def _long(part: _Part, continued: str) -> list[str]:
    """Return a table that breaks across pages; its caption stands on the first one alone."""
    title = _latex(_title(part.table))
    caption = (
        rf"\caption[]{{{title}{continued}.}} \\"
        if continued
        else rf"\caption{{{_caption(part.table)}}}{_label(part.table)} \\"
    )
    return [
        rf"\begin{{longtable}}{{{part.alignment}}}", caption, *part.head(), r"\endfirsthead",
        *part.head(), r"\endhead", *part.body(), r"\bottomrule", r"\end{longtable}",
    ]  # fmt: skip


def _cut(widths: list[int]) -> list[list[int]]:
    """Return the columns of each part of a turned table; the first column is in all of them."""
    parts, room = [[0]], TURNED - widths[0] - GAP
    left = room
    for i in range(1, len(widths)):
        if widths[i] + GAP > left and len(parts[-1]) > 1:
            parts.append([0])
            left = room
        parts[-1].append(i)
        left -= widths[i] + GAP
    return parts


def _width(table: Table, column: int) -> int:
    """Return the width of a column in characters."""
    longest = _longest(table, column)
    wrapped = not table.columns[column].numeric and longest > LONGEST_TEXT
    return LONGEST_TEXT if wrapped else max(longest, len(table.columns[column].header))


def _longest(table: Table, column: int) -> int:
    return max((len(str(row.values[column])) for row in table.rows), default=0)


def _alignment(table: Table, column: int) -> str:
    if table.columns[column].numeric:
        return "r"
    if _longest(table, column) <= LONGEST_TEXT:
        return "l"
    return rf">{{\raggedright\arraybackslash}}p{{{LONGEST_TEXT * _POINTS:.0f}pt}}"


def _title(table: Table) -> str:
    """Return a title without its number, which LaTeX gives."""
    title = re.sub(r"^Table \w+: ", "", table.title)
    return title[:1].upper() + title[1:]


def _caption(table: Table) -> str:
    return f"{_latex(_title(table))}. {_latex(table.caption)}"


def _label(table: Table) -> str:
    return rf"\label{{tab:{table.name}}}"


def _notes(table: Table) -> list[str]:
    return [rf"\par\smallskip\footnotesize {_latex(note)}" for note in table.notes]


def _cell(value: Value) -> str:
    text = _latex(str(value))
    return rf"\textbf{{{text}}}" if isinstance(value, Entry) and value.bold else text


def _line(values: list[str]) -> str:
    # After the end of a row, a bracket or a star would be read as an option of it.
    first = "{}" * values[0].startswith(("[", "*"))
    return first + " & ".join(values) + r" \\"


def _latex(text: str) -> str:
    """Return escaped text; hyphens in a row (placement codes) would else join into one dash."""
    apart = re.sub("-{2,}", lambda run: "\0" * len(run.group()), text)
    return "".join(_LATEX.get(character, character) for character in apart)
