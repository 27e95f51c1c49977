"""Errors of the page of evidence in studies without effects."""

import numpy as np
import pytest

from analysis.bundle.load import load_reported
from analysis.report.evidence_page import sections
from tests.analysis import evidence_errors
from tests.analysis.error_rates import CORE, core_components

STUDIES = 400
PAGES = 250  # a whole page takes a second


@pytest.fixture(scope="module")
def core():
    return load_reported(CORE)


@pytest.fixture(scope="module")
def components():
    return core_components()


@pytest.fixture(scope="module")
def pages():
    return evidence_errors.simulate(PAGES)


def highest(studies):
    """Return the highest share of studies that is 5 % within twice the Monte Carlo error."""
    return 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def test_studies_without_effects_lack_what_core_lacks(core, components):
    null = evidence_errors.null_study(core, components, 0)
    for metric, scores in core.scores.items():
        assert np.array_equal(np.isfinite(scores), np.isfinite(null.scores[metric]))
        assert np.nanmean(null.scores[metric]) == pytest.approx(0, abs=components[metric].noise)


def test_an_effect_on_the_page_is_read_off_it(core, components):
    """Every cell scores a lot above the input and below dense: found wherever it is looked for."""
    null = evidence_errors.null_study(core, components, 0)
    for metric, component in components.items():
        null.scores[metric][:, core.run_rows["unprocessed"]] -= 30 * component.noise
        null.scores[metric][:, core.run_rows["dense"]] += 30 * component.noise
    found = evidence_errors.errors_on(sections(null))
    assert found.finding
    assert found.cell
    assert found.line
    assert evidence_errors.false_finding(null)
    assert "| any conclusion | 1.000 ± 0.000 | 1 |" in evidence_errors.table([found])


@pytest.mark.slow
def test_findings_are_rarely_shown_without_an_effect(core, components):
    """At most 5 % of 400 studies, and twice the Monte Carlo error of 1.1 %, have a false finding.

    A finding is false whose conclusion is better or worse, against any of four references.
    """
    null = (evidence_errors.null_study(core, components, state) for state in range(STUDIES))
    rate = np.mean([evidence_errors.false_finding(study) for study in null])
    assert rate <= highest(STUDIES)


@pytest.mark.slow
def test_conclusions_of_the_page_are_rarely_false(pages):
    """At most 5 % of 250 pages, and twice the Monte Carlo error of 1.4 %: findings and cells."""
    assert np.mean([errors.concluded for errors in pages]) <= highest(PAGES)


@pytest.mark.slow
def test_nothing_on_the_page_is_often_called_decided(pages):
    """At most 7 % of 250 pages: sentences, conclusions, lists and tables, whatever is concluded."""
    assert np.mean([errors.line for errors in pages]) <= 0.07
