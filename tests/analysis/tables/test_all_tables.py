"""Tables: guarded by golden files, and the rules that a reader relies on."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import load_bundle
from analysis.findings.compare import best_of, differences_to, judge
from analysis.rendering.forms import Entry
from analysis.rendering.table_files import FORMATS
from analysis.statistics.samples import difference
from analysis.tables import factorial
from analysis.tables.all_tables import all_tables
from analysis.tables.axes import axis_table
from analysis.tables.main import main_table, placement_table, samples_of
from tests.analysis.simulate import CORE, FULL, Plan, drop_runs, edit, edit_study, write_bundle

GOLDEN = Path(__file__).parent / "golden"


def test_golden_files(small):
    """Set REGOLD=1 to write them anew, then read the difference."""
    for table in all_tables(small):
        for suffix, form in FORMATS.items():
            path, text = GOLDEN / f"{table.name}.{suffix}", form(table)
            if os.environ.get("REGOLD"):
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
            assert path.read_text(encoding="utf-8") == text, f"{path.name} changed"


def row(table, label):
    return next(r for r in table.rows if str(r.values[0]).startswith(label))


def test_main_table_means_are_the_plain_means(small):
    distorted = small.in_conditions(words.DISTORTED)
    expected = small.sample(FULL, "pesq_wb").scores[:, distorted].mean()
    entry = row(main_table(small), "S-MoE").values[1]
    assert entry.value == pytest.approx(expected)


def test_caption_says_utterances_and_seeds(small, quick):
    assert "36 distorted utterances" in main_table(small).caption
    assert "3 seeds" in main_table(small).caption
    assert "over utterances alone" in main_table(quick).caption


def test_planned_cells_without_runs_are_visible(folder):
    drop_runs(folder, [f"dense-macs-{s}" for s in range(3)] + [f"{FULL}-1"])
    edit_study(folder, failed=[{"cell": "dense-macs", "seed": 0, "reason": "out of memory"}])
    table = main_table(load_bundle(folder))
    labels = [str(r.values[0]) for r in table.rows]
    assert "Dense, MACs of full S-MoE (failed)" in labels
    assert any(label.endswith("(2 of 3 seeds)") for label in labels)
    assert any("out of memory" in note and f"{FULL} seed 1" in note for note in table.notes)
    assert np.isnan(row(table, "Dense, MACs").values[1].value)


def test_cells_outside_the_study_are_counted_not_listed(quick):
    table = placement_table(quick)
    assert len(table.rows) == 7
    assert "25 of the 32 placements are not in this study." in table.notes


def test_cell_below_its_input_is_marked_and_named(folder):
    def worsen(frame):
        frame.loc[frame["run_id"].str.startswith("dense-macs"), "stoi"] -= 0.3
        return frame

    edit(folder, "utterances.parquet", worsen)
    table = main_table(load_bundle(folder))
    stoi = next(r for r in table.rows if r.group == "STOI" and "MACs" in str(r.values[0]))
    assert str(stoi.values[1]).endswith("†")
    assert any(note.startswith("†") and "dense-macs (STOI)" in note for note in table.notes)


def test_failed_scores_leave_the_mean_and_are_counted(folder):
    def fail(frame):
        bad = (frame["run_id"] == "dense-0") & (frame["utterance"] == "noise-000")
        frame.loc[bad, ["pesq_wb", "error"]] = [np.nan, "no speech found"]
        return frame

    edit(folder, "utterances.parquet", fail)
    bundle = load_bundle(folder)
    sample = samples_of(bundle, ["dense"], "pesq_wb", ("noise",))[0]
    assert sample.n_utterances == 11
    assert sample.mean().estimate > 1.2
    assert any("no speech found" in note for note in main_table(bundle).notes)


def test_bold_needs_to_beat_every_row(tmp_path):
    plan = Plan(["dense", "dense-macs", FULL], (0, 1, 2), effect=lambda cell: 0.2 * (cell == FULL))
    bundle = load_bundle(write_bundle(tmp_path / "bold", plan))
    samples = samples_of(bundle, bundle.cells(), "pesq_wb")
    assert bundle.cells()[best_of(bundle, samples, "pesq_wb")] == FULL
    twins = [samples[0], samples[0]]
    assert best_of(bundle, twins, "pesq_wb") is None


def test_verdicts_follow_the_planted_effects(tmp_path):
    effects = {"dense": 0.0, FULL: 0.2, "dense-macs": 0.0, "dense-params": -0.2}
    plan = Plan(list(effects), (0, 1, 2, 3), 40, effect=lambda cell: effects.get(cell, 0.0),
                seed_sd=0.005)  # fmt: skip
    bundle = load_bundle(write_bundle(tmp_path / "verdicts", plan))
    cells = [FULL, "dense-macs", "dense-params"]
    pairs = differences_to(bundle, cells, ["dense"] * 3, "pesq_wb")
    verdicts = [c.verdict for c in judge(bundle, pairs, "pesq_wb")]
    assert verdicts == ["better", "equivalent", "worse"]


def test_too_little_data_is_undecided(tmp_path):
    plan = Plan(["dense", FULL], (0, 1, 2), 3, effect=lambda _: 0.0, rest_sd=0.3)
    bundle = load_bundle(write_bundle(tmp_path / "tiny", plan))
    pair = differences_to(bundle, [FULL], ["dense"], "pesq_wb")
    assert judge(bundle, pair, "pesq_wb")[0].verdict == "undecided"


def test_holm_within_families(small):
    pair = difference(small.sample("uniform", "pesq_wb"), small.sample("dense", "pesq_wb"))
    alone = judge(small, [pair], "pesq_wb")[0]
    apart = judge(small, [pair] * 4, "pesq_wb", families=["a", "b", "c", "d"])
    together = judge(small, [pair] * 4, "pesq_wb")
    assert apart[0].p_holm == pytest.approx(alone.p_holm, rel=0.2)
    assert together[0].p_holm == pytest.approx(min(1, 4 * together[0].p))


def test_axis_table_recovers_the_planted_difference(quick):
    interval = row(axis_table(quick, "expert_mode"), "all pairs").values[1]
    assert interval.value == pytest.approx(0.01, abs=0.02)
    empty = axis_table(quick, "router_scope")
    assert len(empty.rows) == 5


def test_axis_table_without_pairs_says_so(small):
    table = axis_table(small, "expert_mode")
    assert not table.rows
    assert "No two trained cells" in table.notes[0]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """All 32 placements, without any noise: effects must come out exactly."""
    plan = Plan(CORE, (0, 1), 4, seed_sd=0, rest_sd=0)
    return load_bundle(write_bundle(tmp_path_factory.mktemp("studies") / "core", plan))


def test_planted_additive_game_appears_in_table_6(core):
    table = factorial.factorial_table(core)
    shapley = [r.values[1].value for r in table.rows if r.group.endswith("Shapley values")]
    assert shapley == pytest.approx([0.005, 0.010, 0.030, 0.015, 0.020], abs=1e-9)
    interactions = [r.values[1].value for r in table.rows if r.group.endswith("interactions")]
    assert interactions == pytest.approx([0] * 10, abs=1e-9)


def test_incomplete_designs_are_named_not_averaged(quick, core):
    assert [d.title for d in factorial.complete_designs(quick)] == ["Axes (EMBDL)"]
    reasons = " ".join(factorial.incomplete_reasons(quick))
    assert "25 of 32 cells have no run" in reasons
    assert "axes" not in reasons
    assert "axes: no placement has all 8 settings" in factorial.incomplete_reasons(core)


def test_every_number_in_the_markdown_is_in_the_csv(small):
    """The forms show one table: values of the CSV, rounded, are those of the Markdown."""
    table = main_table(small)
    csv_values = {
        round(float(v), 3)
        for line in FORMATS["csv"](table).splitlines()[1:]
        for v in line.split(",")
        if re.fullmatch(r"-?\d+\.\d+", v)
    }
    shown = [v.value for r in table.rows for v in r.values if isinstance(v, Entry)]
    assert all(round(v, 3) in csv_values for v in shown if np.isfinite(v))
