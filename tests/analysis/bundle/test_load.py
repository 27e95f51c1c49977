"""Bundles as they should be, and one sentence for each way in which they should not."""

import json

import numpy as np
import pytest

from analysis.bundle import vocabulary as words
from analysis.bundle.load import BundleError, load_bundle
from tests.analysis.simulate import edit, edit_study


def refused(folder) -> str:
    """The sentence with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    assert str(folder) in sentence
    return sentence


def test_scores_stand_where_run_and_utterance_say(small_folder, small):
    import pandas as pd

    table = pd.read_parquet(small_folder / "utterances.parquet").sample(50, random_state=0)
    runs = list(small.runs["run_id"])
    names = list(small.utterances["utterance"])
    for row in table.itertuples():
        index = words.COUNTERFACTUALS.index(row.counterfactual)
        position = (index, runs.index(row.run_id), names.index(row.utterance))
        assert small.scores["stoi"][position] == row.stoi


def test_values_that_were_not_scored_are_missing(small):
    oracle = small.sample(words.FULL_CELL, "pesq_wb", "oracle")
    assert np.isfinite(oracle.scores).sum() == 3 * 3 * 6  # seeds, conditions, subset
    assert np.isnan(small.sample("dense", "pesq_wb", "oracle").scores).all()


def test_cells_come_in_the_order_of_the_tables(small):
    assert small.cells()[:3] == ["dense", "dense-macs", "--B--.multi.supervised.global"]


@pytest.mark.parametrize(
    "name", ["study.json", "runs.parquet", "utterances.parquet", "history.parquet"]
)
def test_missing_file(folder, name):
    (folder / name).unlink()
    assert f"{name} does not exist" in refused(folder)


def test_damaged_file(folder):
    (folder / "routing.parquet").write_bytes(b"PAR1 and nothing more")
    assert "routing.parquet cannot be read" in refused(folder)


def test_study_that_is_not_json(folder):
    (folder / "study.json").write_text("{")
    assert "study.json is not valid JSON" in refused(folder)


@pytest.mark.parametrize(
    ("name", "column"),
    [("runs.parquet", "macs"), ("utterances.parquet", "stoi"), ("history.parquet", "step")],
)
def test_missing_column(folder, name, column):
    edit(folder, name, lambda frame: frame.drop(columns=column))
    assert f"{name} lacks the column {column}" in refused(folder)


def test_losses_by_routing_may_be_absent_empty_or_there_and_are_numbers(folder):
    assert "loss_routed" not in load_bundle(folder).history
    edit(folder, "history.parquet", lambda f: f.assign(loss_labelled=np.nan, loss_routed=0.5))
    history = load_bundle(folder).history
    assert history["loss_labelled"].isna().all() and (history["loss_routed"] == 0.5).all()
    edit(folder, "history.parquet", lambda f: f.assign(loss_routed=np.inf))
    assert "inf in column loss_routed, which cannot be" in refused(folder)


def test_unknown_schema_version(folder):
    edit_study(folder, schema_version=99)
    assert "schema version 99" in refused(folder)


def test_study_without_its_cells(folder):
    edit_study(folder, study={"name": "small"})
    assert "lacks cells, seeds" in refused(folder)


def test_unfinished_run(folder):
    edit(folder, "runs.parquet", lambda f: f.assign(status=["running", *["done"] * (len(f) - 1)]))
    assert "unprocessed-0 which is not done" in refused(folder)


def test_no_run(folder):
    edit(folder, "runs.parquet", lambda f: f.iloc[:0])
    assert "no finished run" in refused(folder)


@pytest.mark.parametrize("column", ["run_id", "seed"])
def test_duplicate_runs(folder, column):
    def repeat(frame):
        frame.loc[2, column] = frame.loc[1, column]
        return frame

    edit(folder, "runs.parquet", repeat)
    assert "twice" in refused(folder)


def test_mixed_data_hashes(folder):
    edit(folder, "runs.parquet", lambda f: f.assign(data_hash=["e" * 64, *f["data_hash"][1:]]))
    assert "mixes results of two corpora" in refused(folder)


def test_metric_without_any_value_in_a_run(folder):
    def erase(frame):
        frame.loc[frame["run_id"] == "dense-1", "stoi"] = np.nan
        return frame

    edit(folder, "utterances.parquet", erase)
    assert "no stoi at all for run dense-1" in refused(folder)


def test_utterance_scored_twice(folder):
    import pandas as pd

    edit(folder, "utterances.parquet", lambda f: pd.concat([f, f.iloc[:1]]))
    assert "twice" in refused(folder)


def test_two_test_sets(folder):
    def shift(frame):
        frame.loc[frame["run_id"] == "dense-0", "snr_db"] += 1
        return frame

    edit(folder, "utterances.parquet", shift)
    assert "in two ways" in refused(folder)


def test_scores_of_an_unknown_run(folder):
    edit(folder, "runs.parquet", lambda f: f[f["run_id"] != "dense-2"])
    assert "run_id dense-2 that the other tables do not hold" in refused(folder)


@pytest.mark.parametrize("column", ["condition", "counterfactual"])
def test_unknown_word(folder, column):
    edit(folder, "utterances.parquet", lambda f: f.assign(**{column: "loud"}))
    assert "loud" in refused(folder)


def test_study_json_hash_must_agree(folder):
    study = json.loads((folder / "study.json").read_text())
    edit_study(folder, data_hash="f" * 64)
    assert study["data_hash"] != "f" * 64
    assert "two corpora" in refused(folder)
