"""Further measures in the reports, metrics that a bundle lacks, and the direction of a metric."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_bundle
from analysis.findings.compare import best_of, differences_to, judge
from analysis.report.explain import explain
from analysis.tables.all_tables import all_tables
from analysis.tables.further import further_table
from analysis.tables.main import not_above_input, samples_of
from analysis.tables.rank import rank_correlation, rank_table
from smoe.schema.measures import Metric


@pytest.fixture
def measured(folder: Path) -> Bundle:
    """The small study with two further measures; LSD falls as PESQ rises, and dense has no CSIG."""
    scores = pd.read_parquet(folder / "utterances.parquet")
    runs = pd.read_parquet(folder / "runs.parquet").set_index("run_id")["cell"]
    cells = scores["run_id"].map(runs)
    scores["lsd"] = np.where(scores["counterfactual"] == "learned", 10 - scores["pesq_wb"], np.nan)
    scores["csig"] = (scores["pesq_wb"] + 0.5).where(cells != "dense")
    scores.to_parquet(folder / "utterances.parquet", index=False)
    return load_bundle(folder)


def test_a_study_without_further_measures_has_no_table_of_them(small: Bundle):
    assert small.further == []
    assert not {"table13_further", "table14_ranks"} & {t.name for t in all_tables(small)}


def test_further_measures_have_a_table_and_say_who_lacks_them(measured: Bundle):
    assert measured.further == ["csig", "lsd"]
    table = further_table(measured)
    assert [c.header for c in table.columns][1:3] == ["CSIG (MOS) ↑", "LSD (ln of power) ↓"]
    dense = next(row for row in table.rows if row.values[0] == "Dense")
    assert str(dense.values[1]) == "–"
    assert any("Not scored in every measure" in note and "Dense" in note for note in table.notes)


def test_lower_is_better_where_a_metric_says_so(measured: Bundle):
    """LSD is ten less PESQ: every verdict must be the same."""
    cells = ["uniform", "dense-macs", words.FULL_CELL]
    judged = {
        metric: judge(measured, differences_to(measured, cells, ["dense"] * 3, metric), metric)
        for metric in ("pesq_wb", "lsd")
    }
    for up, down in zip(*judged.values(), strict=True):
        assert up is not None
        assert down is not None
        assert up.interval.estimate == pytest.approx(-down.interval.estimate)
        assert up.verdict.split(",")[0].replace("equivalent", "undecided") == down.verdict
        assert float(up.improvement.estimate) == pytest.approx(float(down.improvement.estimate))
    both = [best_of(measured, samples_of(measured, cells, m), m) for m in ("pesq_wb", "lsd")]
    assert both[0] == both[1]
    assert not_above_input(measured, "dense", "lsd") == not_above_input(
        measured, "dense", "pesq_wb"
    )


def test_a_metric_that_a_bundle_lacks_is_empty_with_a_note(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(words.METRICS, "segmental_snr_db", Metric("segmental SNR", "dB", 2))
    bundle = load_bundle(folder)
    tables = {table.name: table for table in all_tables(bundle)}
    rows = [r for r in tables["table1_main"].rows if r.group == "segmental SNR (dB)"]
    assert rows
    assert {str(value) for row in rows for value in row.values[1:]} == {"–"}
    assert any("segmental SNR: it is older" in note for note in tables["table1_main"].notes)
    assert "segmental SNR: it is older" in explain(folder, "dense")


def test_ranks_of_a_measure_and_its_opposite_agree(measured: Bundle):
    table = rank_table(measured)
    row = next(r for r in table.rows if r.values[0] == "LSD")
    column = [c.key for c in table.columns].index("pesq_wb")
    assert str(row.values[column]) == "+1.00 [+1.00, +1.00] | 7"


def test_a_rank_correlation_is_that_of_the_means_and_its_interval_holds_it():
    rng = np.random.default_rng(1)
    quality = np.linspace(0, 1, 8)[:, None]
    first = quality + 0.3 * rng.standard_normal((8, 60))
    second = quality + 0.3 * rng.standard_normal((8, 60))
    found = rank_correlation(first, second, np.random.default_rng(0))
    assert found is not None
    estimate, low, high = found
    ranks = [np.argsort(np.argsort(x.mean(axis=1))) for x in (first, second)]
    assert estimate == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert low <= estimate <= high
    assert rank_correlation(np.ones((8, 5)), first[:, :5], np.random.default_rng(0)) is None
