"""The table of robustness: bases, settings and signs are those of the studies, corrected once."""

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.findings.compare import differences_to
from analysis.findings.robustness import FINDINGS, observations, robustness_table
from analysis.report.overview import comparable
from analysis.statistics.hypotheses import holm
from tests.analysis.simulate import Plan, edit_study, write_bundle

FULL = words.FULL_CELL
AGAINST_DENSE = next(f for f in FINDINGS if f.cell == FULL and f.reference == words.DENSE)


def study(tmp_path, name: str, gain: float, **config):
    """Return a study in which the full S-MoE scores so much above dense."""
    plan = Plan(
        ["dense", FULL], (0, 1, 2), 30, seed_sd=0.001, rest_sd=0.01, late_seed_sd=0.0,
        effect=lambda cell: gain if cell == FULL else 0.0,
    )  # fmt: skip
    folder = write_bundle(tmp_path / name, plan)
    edit_study(folder, config=config)
    return load_bundle(folder)


@pytest.fixture
def studies(tmp_path):
    model = {"init_channels": 8}
    return [
        study(tmp_path, "short", 0.1, train={"steps": 400}, model=model),
        study(tmp_path, "long", -0.1, train={"steps": 4000}, model=model),
        study(tmp_path, "wide", 0.2, train={"steps": 400}, model={"init_channels": 45}),
    ]


def test_each_setting_is_the_difference_of_its_study(studies):
    seen = {(one.axis, one.name): one for one in observations(studies, AGAINST_DENSE)}
    for bundle, key in zip(studies, [("base", "PESQ-WB"), ("budget", "4 000:"), ("width", "45:")],
                           strict=True):  # fmt: skip
        pair = differences_to(bundle, [FULL], [words.DENSE], "pesq_wb")[0]
        assert pair is not None
        expected = np.nanmean(pair.values()[0])
        assert float(seen[key].found.interval.estimate) == pytest.approx(expected)


def test_a_contradicting_budget_is_named(studies):
    (row,) = robustness_table(studies).rows
    assert row.values[0] == "EMBDL minus Dense"
    assert "the opposite is decided at 4 000" in str(row.values[-1])
    assert str(row.values[3]).startswith("45: +0.") and "*" in str(row.values[3])


def test_one_correction_over_the_whole_finding(studies):
    seen = observations(studies, AGAINST_DENSE)
    expected = holm(np.array([one.found.p for one in seen]))
    assert [one.found.p_holm for one in seen] == pytest.approx(list(expected))
    assert {one.found.n_family for one in seen} == {len(seen)} and len(seen) > 8


def test_every_seed_is_shown(studies):
    (row,) = robustness_table(studies).rows
    assert str(row.values[-2]).count("+0.") == 3


def test_studies_of_another_test_set_are_left_out(tmp_path, studies):
    other = study(tmp_path, "other", 0.3, train={"steps": 400}, test={"per_snr": 99})
    assert other not in comparable([*studies, other])
    assert len(comparable([*studies, other])) == 3
