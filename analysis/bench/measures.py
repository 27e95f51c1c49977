"""Table of what each measure costs."""

from analysis.rendering.forms import Column, Entry, Row, Table, to_text


def cost_text(costs: dict[str, float]) -> str:
    """Return a table for a terminal: measure, and CPU time in ms per utterance of 3 s."""
    rows = [Row([name, Entry(seconds * 1e3, decimals=1)]) for name, seconds in costs.items()]
    columns = [Column("Measure", "measure", numeric=False), Column("ms per utterance", "ms")]
    notes = [
        "CPU time of one utterance of 3 s; libraries with threads of their own spend it on several "
        "cores. Measures whose packages are absent are left out (extra `metrics`).",
    ]
    return to_text(Table("measures", "Cost of the measures", "", columns, rows, notes))
