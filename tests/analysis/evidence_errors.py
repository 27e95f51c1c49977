"""Measure how often the page of evidence calls an effect shown where none exists.

Run as a script it prints the table that `test_evidence_errors.py` checks:
``python -m tests.analysis.evidence_errors [studies]``.

The studies have the cells, seeds and test set of `core` and the noise of `error_rates`; all cells,
the unprocessed input among them, have the same true mean in every condition, and no routing
changes anything. All metrics share their random numbers, so another metric rarely turns over what
one has found: the worst case for conclusions, though not for single lines.

Measured in 250 studies: anything is called decided in 1.6 % of them, and concluded in as many. When
single lines still had verdicts, a family for each metric, reference and kind of part, each held to
5 % by itself, some line was called decided in 34 %.
"""

import re
import sys
from dataclasses import dataclass, replace

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_reported
from analysis.findings.claims import claims
from analysis.findings.evidence import evidence
from analysis.report.evidence_page import Section, sections
from tests.analysis.error_rates import CORE, Components, core_components, draw_scores

ROUTED_NOISE = 1 / 3  # what another routing adds to a score, as a share of the score's noise
SHOWN = ("better", "worse")
CELLS = "evidence_cells"
KINDS = {
    "finding": "conclusion of a finding",
    "cell": "conclusion of a cell against dense",
    "concluded": "any conclusion",
    "line": "anything on the page called decided",
}


def null_study(bundle: Bundle, components: dict[str, Components], random_state: int) -> Bundle:
    """Return a study with its scores replaced by ones without any effect."""
    scores = {
        metric: _null_scores(bundle, component, np.random.default_rng(random_state), metric)
        for metric, component in components.items()
    }
    return replace(bundle, scores=scores)


def _null_scores(
    bundle: Bundle, component: Components, rng: np.random.Generator, metric: str
) -> np.ndarray:
    """Return scores [counterfactual, run, utterance], missing where the study lacks them."""
    stored = bundle.scores[metric]
    cells, test_set = bundle.cells(), bundle.test_set
    on = np.array([_factors(bundle, cell) for cell in cells])
    n_seeds = len(bundle.seeds)
    drawn = draw_scores(rng, 1, n_seeds, on, on[:, 4] > 0, component, test_set)[0]
    learned = np.empty(stored.shape[1:])
    for cell, values in zip(cells, drawn, strict=True):
        learned[bundle.run_rows[cell]] = values
    untrained = replace(component, slope=np.zeros(1), rest=(0.0, 0.0))
    one = np.ones((1, 1))
    unseen = draw_scores(rng, 1, 1, one, np.zeros(1, dtype=bool), untrained, test_set)[0, 0]
    learned[bundle.run_rows[words.UNPROCESSED]] = unseen
    routed = ROUTED_NOISE * component.noise * rng.normal(size=stored.shape)
    routed[words.COUNTERFACTUALS.index("learned")] = 0
    return np.where(np.isfinite(stored), learned + routed, np.nan)


def _factors(bundle: Bundle, cell: str) -> list[float]:
    """Return which of the five positions of a cell have experts."""
    row = bundle.cell_row(cell)
    return [float(bool(row[position])) for position in words.POSITIONS]


@dataclass(frozen=True)
class Errors:
    """Name the kinds of false statement that a page makes of a study without effects.

    Attributes:
        finding: The conclusion of a finding is better or worse.
        cell: The conclusion of a row of the cells against dense is better or worse.
        line: Anything is called decided, in any sentence, list or table, whatever is concluded.
    """

    finding: bool
    cell: bool
    line: bool

    @property
    def concluded(self) -> bool:
        """Return whether any conclusion of the page is false."""
        return self.finding or self.cell


def false_finding(bundle: Bundle) -> bool:
    """Return whether the conclusion of any finding calls an effect shown."""
    return any(
        evidence(bundle, claim).conclusion.lower().startswith(SHOWN) for claim in claims(bundle)
    )


def errors_on(page: list[Section]) -> Errors:
    """Read the errors off a page of a study without effects."""
    rows = [row for s in page for t in s.tables if t.name == CELLS for row in t.rows]
    conclusions = [s.sentences[1].lower() for s in page if s.lists]
    return Errors(
        finding=any(text.startswith(SHOWN) for text in conclusions),
        cell=any(str(row.values[-1]).startswith(SHOWN) for row in rows),
        line=any(_decided(section) for section in page),
    )


def _decided(section: Section) -> bool:
    """Return whether a section has a verdict, a mark or a count of verdicts."""
    for table in section.tables:
        if any(column.key in SHOWN for column in table.columns):
            return True
        for row in table.rows:
            if any(v.startswith(SHOWN) if isinstance(v, str) else v.mark for v in row.values):
                return True
    texts = [*section.sentences, *(item for found in section.lists.values() for item in found)]
    said = re.compile(r"\b(better|worse)\b|turns it over$|the opposite holds$", re.IGNORECASE)
    return any(said.search(text) for text in texts)


def simulate(studies: int, first: int = 0) -> list[Errors]:
    """Return the errors of the whole page in this many studies."""
    bundle, components = load_reported(CORE), core_components()
    states = range(first, first + studies)
    return [errors_on(sections(null_study(bundle, components, s))) for s in states]


def table(found: list[Errors]) -> str:
    """Return the rates as a Markdown table, with their Monte Carlo error."""
    lines = ["| false in a study without effects | rate | of studies |", "| :--- | ---: | ---: |"]
    for name, title in KINDS.items():
        rate = float(np.mean([getattr(errors, name) for errors in found]))
        error = np.sqrt(rate * (1 - rate) / len(found))
        lines.append(f"| {title} | {rate:.3f} ± {error:.3f} | {len(found)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(simulate(int(sys.argv[1]) if len(sys.argv) > 1 else 200)))
