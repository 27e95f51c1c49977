"""A study goes on from a bundle that came from elsewhere."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ablations.bundles.bundle import write_bundle
from ablations.bundles.restore import restore, restore_all
from ablations.execution.worker import Job, trained_before
from ablations.runs.plan import plan
from ablations.runs.run_folder import RunFolder
from ablations.studies.study import load_study
from smoe.schema.bundle import read_bundle
from tests.ablations.conftest import ROOT, assert_same_bundle, bundle, forget_digests, run_here


def test_a_bundle_makes_its_runs_done(smoke: Path, tmp_path: Path):
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    asked = ("run", "--study", "smoke", "--from-bundle", "--no-report")
    again = run_here(*asked, "--results", tmp_path)
    assert again.returncode == 0, again.stderr
    runs = len(bundle(smoke)["runs"])
    assert f"{runs} runs taken from bundles" in again.stdout
    assert "Nothing to train" in again.stdout
    assert_same_bundle(tmp_path, smoke)


def test_a_bundle_without_losses_by_routing_is_taken_and_stored_with_empty_ones(
    smoke: Path, tmp_path: Path
):
    """As bundles were before the training history had them."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    path, later = tmp_path / "smoke" / "history.parquet", ["loss_labelled", "loss_routed"]
    old = pd.read_parquet(path).drop(columns=later)
    old.to_parquet(path, index=False)
    forget_digests(tmp_path / "smoke")
    data_hash = pd.read_parquet(tmp_path / "smoke" / "runs.parquet")["data_hash"].iloc[0]
    study = load_study("smoke")
    runs = plan(study, tmp_path, data_hash)
    assert restore(runs, tmp_path / "smoke") == len(runs)
    write_bundle(study, runs, tmp_path / "smoke")
    again = pd.read_parquet(path)
    pd.testing.assert_frame_equal(again.drop(columns=later), old)
    assert again[later].isna().all(axis=None)


def test_what_a_bundle_lacks_or_has_of_other_settings_is_not_taken(smoke: Path, tmp_path: Path):
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    path = tmp_path / "smoke" / "runs.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "config_hash"] = "0" * 64
    table.drop(index=1).to_parquet(path)
    for name in ("utterances", "routing", "history"):
        file = path.with_name(f"{name}.parquet")
        rows = pd.read_parquet(file)
        rows[rows["run_id"] != table.loc[1, "run_id"]].to_parquet(file, index=False)
    forget_digests(tmp_path / "smoke")
    study = load_study("smoke")
    runs = plan(study, tmp_path, table["data_hash"].iloc[0])
    assert restore(runs, tmp_path / "smoke") == len(runs) - 2
    left = {run.folder.run_id for run in runs if not run.folder.is_done()}
    assert left == set(table["run_id"].iloc[:2])
    assert restore(runs, tmp_path / "smoke") == 0
    assert restore(runs, tmp_path / "nowhere") == 0


def test_a_study_begins_with_what_another_has_trained(smoke: Path, tmp_path: Path):
    """A run is the same in both; a damaged bundle of a third study is passed over."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    shutil.copytree(smoke / "smoke", tmp_path / "broken")
    (tmp_path / "broken" / "runs.parquet").write_bytes(b"no table")
    source = (ROOT / "ablations" / "studies" / "smoke.toml").read_text(encoding="utf-8")
    larger = tmp_path / "larger.toml"
    larger.write_text(source.replace("seeds = [0]", "seeds = [0, 1]"), encoding="utf-8")
    data_hash = pd.read_parquet(tmp_path / "smoke" / "runs.parquet")["data_hash"].iloc[0]
    runs = plan(load_study(str(larger)), tmp_path, data_hash)
    assert restore_all(runs, tmp_path, "larger") == 5
    assert {run.seed for run in runs if run.folder.is_done()} == {0}
    assert {run.seed for run in runs if not run.folder.is_done()} == {1}


@pytest.mark.parametrize("parts", [1, 2])
def test_a_batch_computed_in_halves_stays_known(parts: int, smoke: Path, tmp_path: Path):
    """From the run's folder into the bundle, from there into another folder and its bundle."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(smoke / ".runs", first / ".runs")
    study = load_study("smoke")
    data_hash = pd.read_parquet(smoke / "smoke" / "runs.parquet")["data_hash"].iloc[0]
    runs = plan(study, first, data_hash)
    record = runs[1].folder.read_json("run.json") or {}
    assert record["batch_parts"] == 1
    runs[1].folder.file("run.json").write_text(json.dumps({**record, "batch_parts": parts}))
    write_bundle(study, runs, first / "smoke")
    elsewhere = plan(study, second, data_hash)
    assert restore(elsewhere, first / "smoke") == len(runs)
    assert (elsewhere[1].folder.read_json("run.json") or {})["batch_parts"] == parts
    write_bundle(study, elsewhere, second / "smoke")
    assert read_bundle(second / "smoke").runs["batch_parts"].tolist()[1] == parts


def test_of_a_bundle_that_does_not_say_it_is_not_known(smoke: Path, tmp_path: Path):
    """As those from before; nothing is made up, and the run can be scored again."""
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    path = tmp_path / "smoke" / "runs.parquet"
    pd.read_parquet(path).drop(columns="batch_parts").to_parquet(path, index=False)
    forget_digests(tmp_path / "smoke")
    study = load_study("smoke")
    runs = plan(study, tmp_path, pd.read_parquet(path)["data_hash"].iloc[0])
    assert restore(runs, tmp_path / "smoke") == len(runs)
    assert (runs[1].folder.read_json("run.json") or {})["batch_parts"] is None
    trained = RunFolder(smoke / runs[1].folder.path.relative_to(tmp_path))
    shutil.copy(trained.weights, runs[1].folder.weights)
    job = Job(runs[1].folder, runs[1].cell, runs[1].config, 0, tmp_path, "", ("", 0))
    before = trained_before(job)
    assert before is not None and before.parts is None
