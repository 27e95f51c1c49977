"""The files that a table is written to, by their suffix."""

from collections.abc import Callable

from analysis.rendering.forms import Table, to_csv, to_markdown
from analysis.rendering.latex import to_latex

FORMATS: dict[str, Callable[[Table], str]] = {"md": to_markdown, "tex": to_latex, "csv": to_csv}
