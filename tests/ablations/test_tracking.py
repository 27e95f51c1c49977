"""The MLflow view of the smoke study, read back from its real SQLite store."""

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from ablations.tracking import default_uri
from ablations.ui import rebuild
from smoe.config import POSITIONS


@pytest.fixture(scope="module")
def client(smoke: Path) -> MlflowClient:
    return MlflowClient(default_uri(smoke))


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> dict:
    experiment = client.get_experiment_by_name("smoke")
    found = client.search_runs([experiment.experiment_id])
    return {run.data.tags["cell"]: run for run in found if "summary" not in run.data.tags}


def test_one_finished_run_per_cell_and_seed(runs: dict):
    assert len(runs) == 5
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_params_are_five_booleans_and_codes_that_parallel_coordinates_can_show(runs: dict):
    params = runs["-M-D-.single.supervised.global"].data.params
    assert [params[p] for p in POSITIONS] == ["False", "True", "False", "True", "False"]
    assert params["placement"] == "-M-D-"
    axes = {axis: params[axis] for axis in ("expert_mode", "routing", "router_scope")}
    assert axes == {"expert_mode": "single", "routing": "supervised", "router_scope": "global"}
    assert all(len(value) <= 10 for run in runs.values() for value in run.data.params.values())


def test_training_is_logged_once_per_step_and_scores_at_the_end(client: MlflowClient, runs: dict):
    run = runs["EMBDL.multi.supervised.global"]
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 20
    for metric in ("pesq_wb", "stoi", "pesq_wb_reverb", "params", "test_routing_accuracy"):
        assert metric in run.data.metrics


def test_config_and_three_audio_triplets_are_artifacts(client: MlflowClient, runs: dict):
    run = runs["EMBDL.multi.supervised.global"]
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert "config.json" in names
    assert len(client.list_artifacts(run.info.run_id, "audio")) == 9


def test_the_corpus_is_a_dataset_of_the_run(runs: dict):
    inputs = runs["dense"].inputs.dataset_inputs
    assert [each.dataset.name for each in inputs] == ["synthetic:tiny"]


def test_the_view_is_rebuilt_from_the_bundle_alone(smoke: Path, tmp_path: Path, runs: dict):
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    rebuild(tmp_path, "smoke")
    rebuild(tmp_path, "smoke")  # adds nothing
    client = MlflowClient(default_uri(tmp_path))
    experiment = client.get_experiment_by_name("smoke")
    rebuilt = {run.data.tags["cell"]: run for run in client.search_runs([experiment.experiment_id])}
    assert len(rebuilt) == 5
    for cell, run in rebuilt.items():
        assert run.info.status == "FINISHED"
        assert run.data.params == runs[cell].data.params
        assert run.data.metrics == pytest.approx(runs[cell].data.metrics, nan_ok=True)


def test_each_cell_has_a_summary_run_with_its_interval(client: MlflowClient):
    experiment = client.get_experiment_by_name("smoke")
    found = client.search_runs([experiment.experiment_id], "tags.summary = 'true'")
    metrics = {run.data.tags["cell"]: run.data.metrics for run in found}
    assert len(metrics) == 5
    dense = metrics["dense"]
    assert dense["pesq_wb_low"] < dense["pesq_wb"] < dense["pesq_wb_high"]
