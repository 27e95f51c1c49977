"""An outside system beside a study: shown and compared, never judged, and it changes no verdict."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_bundle
from analysis.bundle.outside import outside_notes
from analysis.bundle.parts import reported
from analysis.figures.style import NothingToDrawError
from analysis.figures.systems import outside_systems
from analysis.findings.compare import NO_VERDICT, best_of, differences_to, judge
from analysis.report.explain import explain
from analysis.tables.main import main_cells, main_table, samples_of

CELL = "outside:other"
METRIC = "pesq_wb"


@pytest.fixture
def beside(folder: Path) -> Bundle:
    """The small study with an outside system that scores half a point above the input."""
    runs = pd.read_parquet(folder / "runs.parquet")
    scores = pd.read_parquet(folder / "utterances.parquet")
    bare = runs[runs["cell"] == "unprocessed"]
    row = bare.assign(cell=CELL, run_id="other-0", system_version="1.2", train_steps=np.nan)
    rows = scores[scores["run_id"].isin(bare["run_id"])].assign(run_id="other-0")
    rows = rows.assign(pesq_wb=(rows["pesq_wb"] + 0.5).clip(upper=4.6), estimate_sha256="f" * 64)
    pd.concat([runs, row]).to_parquet(folder / "runs.parquet", index=False)
    pd.concat([scores, rows]).to_parquet(folder / "utterances.parquet", index=False)
    return reported(load_bundle(folder))


def test_it_is_no_network_of_the_study(beside: Bundle, small: Bundle):
    assert beside.cells() == small.cells()
    assert beside.outside_systems() == [CELL]
    assert main_cells(beside) == [*main_cells(small), CELL]


def test_it_is_compared_without_a_verdict_and_changes_no_other(beside: Bundle, small: Bundle):
    cells = ["dense-macs", "uniform"]
    alone = judge(small, differences_to(small, cells, ["dense"] * 2, METRIC), METRIC)
    pairs = differences_to(beside, [*cells, CELL], ["dense"] * 3, METRIC)
    *others, other = judge(beside, pairs, METRIC)
    assert [c.p_holm for c in others if c] == [c.p_holm for c in alone if c]
    assert [c.n_family for c in others if c] == [2, 2]
    assert other is not None
    assert other.verdict_text == NO_VERDICT
    assert not other.decided
    assert np.isnan([other.p, other.p_holm, other.p_equivalent]).all()
    assert other.interval.estimate > 0.3
    assert len(other.by_seed) == 3  # those of the dense network


def test_its_mean_has_the_interval_of_its_utterances(beside: Bundle):
    sample = samples_of(beside, [CELL], METRIC)[0]
    assert sample is not None
    one = replace(sample, outside=False).mean()
    assert sample.mean() == one
    assert sample.scores.shape[0] == 1


def test_where_it_is_highest_no_row_is_best(beside: Bundle):
    cells = ["unprocessed", "dense", "uniform"]
    assert best_of(beside, samples_of(beside, cells, METRIC), METRIC) is not None
    assert best_of(beside, samples_of(beside, [*cells, CELL], METRIC), METRIC) is None


def test_tables_say_what_it_is(beside: Bundle, small: Bundle):
    table = main_table(beside)
    row = next(r for r in table.rows if r.values[0] == "other (outside system)")
    assert NO_VERDICT in row.values
    assert outside_notes(beside)[0] in table.notes
    assert "other (1.2)" in outside_notes(beside)[0]
    assert outside_notes(small) == []


def test_explain_says_which_system_it_is(beside: Bundle, folder: Path):
    said = explain(folder, CELL)
    assert "Outside system other, 1.2" in said
    assert "f" * 64 in said
    assert "Settings of the study" not in said


def test_the_figure_has_it_beside_input_dense_and_full_network(beside: Bundle, small: Bundle):
    figure = outside_systems(beside)
    labels = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert labels == {"Unprocessed input", "Dense", "S-MoE EMBDL", "other (outside system)"}
    with pytest.raises(NothingToDrawError):
        outside_systems(small)
