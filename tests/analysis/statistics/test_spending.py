"""Levels of repeated looks add up, and a growing study is reported at the level of its look."""

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_reported
from analysis.bundle.verdict_rules import verdict_rules
from analysis.findings import captions
from analysis.findings.answer import answer
from analysis.findings.primary_family import primary_family, undecided_cells
from analysis.statistics.spending import last_look, level_at
from analysis.tables.main import placement_table
from tests.analysis import error_rates
from tests.analysis.simulate import Plan, write_bundle
from tests.analysis.statistics import stopping_errors

LOOKS = (3, 6, 10)
CELLS = [words.cell_code(code) for code in ("E----", "--B--")]
VERDICT = {"primary": "pesq_wb", "margins": {"pesq_wb": 0.02}, "reason": "A test.", "alpha": 0.05}


def study(tmp_path, n_seeds: int, looks: tuple[int, ...] = LOOKS, effect: float = 0.1):
    verdict = {**VERDICT, "looks": list(looks)} if looks else VERDICT
    plan = Plan(
        ["dense", *CELLS], tuple(range(n_seeds)), 15, seed_sd=0.001, rest_sd=0.01,
        verdict=verdict, effect=lambda cell: effect * ("." in cell),
    )  # fmt: skip
    return write_bundle(tmp_path / f"study{n_seeds}{bool(looks)}", plan)


@pytest.mark.parametrize("looks", [(3,), (3, 4), LOOKS, tuple(range(3, 21))])
def test_levels_of_all_looks_sum_to_the_level_of_the_family(looks):
    levels = [level_at(0.05, looks, n) for n in looks]
    assert sum(levels) == pytest.approx(0.05)
    assert min(levels) > 0


def test_between_looks_the_last_one_counts():
    assert [last_look(LOOKS, n) for n in (1, 3, 5, 6, 9, 10, 12)] == [3, 3, 3, 6, 6, 10, 10]
    assert level_at(0.05, LOOKS, 5) == level_at(0.05, LOOKS, 3) == pytest.approx(0.0045)
    assert level_at(0.05, (), 5) == 0.05


def test_verdicts_and_intervals_have_the_level_of_the_look(tmp_path):
    growing = load_reported(study(tmp_path, 6))
    fixed = load_reported(study(tmp_path, 6, looks=()))
    level = level_at(0.05, LOOKS, 6)
    assert growing.rules.alpha == pytest.approx(level)
    assert growing.rules.coverage == pytest.approx(1 - level)
    assert fixed.rules.coverage == 0.95
    for one, other in zip(primary_family(growing), primary_family(fixed), strict=True):
        assert one.found.alpha == pytest.approx(level)
        assert one.found.p == pytest.approx(other.found.p)
        assert one.found.interval.half_width > other.found.interval.half_width
    wide, narrow = (b.sample(CELLS[0], "pesq_wb").mean() for b in (growing, fixed))
    assert wide is not None and narrow is not None and wide.half_width > narrow.half_width


def test_an_interval_excludes_zero_where_its_single_test_is_below_the_level(tmp_path):
    bundle = load_reported(study(tmp_path, 3, effect=0.012))
    for one in primary_family(bundle):
        excludes = one.found.interval.low > 0 or one.found.interval.high < 0
        assert bool(excludes) == (one.found.p < bundle.rules.alpha)


def test_seeds_beyond_a_look_wait_for_the_next(tmp_path):
    bundle = load_reported(study(tmp_path, 5))
    assert bundle.seeds == [0, 1, 2]
    assert "2 more wait for the next (after 6 seeds)" in bundle.left_out
    three = load_reported(study(tmp_path, 3))
    assert bundle.rules == three.rules


def test_report_and_answer_speak_of_the_looks(tmp_path):
    bundle = load_reported(study(tmp_path, 6))
    said = answer(bundle)[-1]
    assert "after 3, 6, 10 seeds" in said and "after 6 seeds, uses 1.35 % of it" in said
    assert said in placement_table(bundle).notes
    assert "± is half the 98.65 % interval" in placement_table(bundle).caption
    assert captions.repeated_looks(load_reported(study(tmp_path, 6, looks=()))) == []


def test_undecided_cells_are_those_without_a_verdict(tmp_path):
    assert undecided_cells(study(tmp_path, 3)) == []
    assert undecided_cells(study(tmp_path, 2)) == CELLS


@pytest.mark.parametrize("looks", [[2, 5], [3, 3], [6, 3], ["x"]])
def test_impossible_looks_of_a_bundle_are_refused(looks):
    with pytest.raises(ValueError, match="verdict"):
        verdict_rules({"verdict": {**VERDICT, "looks": looks}})


def test_a_study_stops_at_the_first_look_at_which_all_is_decided():
    setting = stopping_errors.settings()[0]
    rng = np.random.default_rng(0)
    test_set = error_rates.random_test_set(rng)
    scores = rng.normal(0, 1e-3, (2, 2, 10, 300))
    scores[0, 1] += 1.0
    scores[1, 1] += 0.5 * np.array([1, -1] * 5)[:, None]
    seeds, different, _ = stopping_errors.ends(setting.family, scores, test_set, LOOKS)
    assert seeds[:, 0].tolist() == [3, 10]
    assert different[:, 0].tolist() == [True, False]


def test_a_few_simulated_studies_make_a_table():
    component = error_rates.core_components()["pesq_wb"]
    one = stopping_errors.settings()[:1]
    found = list(stopping_errors.simulate(component, one, error_rates.BATCH))
    assert stopping_errors.table(found).count("\n") == 2 + len(found) == 8
    assert all(3 <= rates.seeds <= 10 for rates in found)


@pytest.mark.slow
@pytest.mark.parametrize("row", range(3))
def test_family_wise_errors_of_repeated_looks(row):
    """At most 5 % of families err, up to the Monte Carlo error (0.7 % in 1 000 studies)."""
    component = error_rates.core_components()["pesq_wb"]
    setting = stopping_errors.settings()[row]
    found = list(stopping_errors.simulate(component, [setting], 1000))
    for rates in found:
        if rates.way == "until decided":
            said = stopping_errors.table([rates])
            assert rates.effect > 0 or rates.different <= 0.05, said
            assert rates.effect < stopping_errors.MARGIN or rates.equivalent <= 0.05, said
    seeds = {(rates.effect, rates.way): rates.seeds for rates in found}
    assert all(seeds[e, "until decided"] <= seeds[e, "fixed"] for e in stopping_errors.EFFECTS)
