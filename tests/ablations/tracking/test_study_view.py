"""The MLflow view of the smoke study, read back from its real SQLite store."""

import base64
import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from ablations.studies.study import load_study
from ablations.tracking.mlflow_database import default_uri
from ablations.tracking.mlflow_ui import bundle_tracker, rebuild
from ablations.tracking.run_contents import from_bundle
from ablations.tracking.saved_views import FILTERS, TAG, asked
from ablations.tracking.shown_cells import run_name
from ablations.tracking.study_view import Summary, Tracker
from run_all import _summarise
from smoe.config import POSITIONS, RunConfig
from tests.ablations.conftest import ROOT

SMOKE = load_study("smoke").cells


@pytest.fixture(scope="module")
def client(smoke: Path) -> MlflowClient:
    return MlflowClient(default_uri(smoke))


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> dict:
    experiment = client.get_experiment_by_name("smoke")
    found = client.search_runs([experiment.experiment_id])
    return {run.data.tags["cell"]: run for run in found if run.data.tags["summary"] == "false"}


@pytest.fixture(scope="module")
def quick_client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """The committed quick study, as `ui` shows it right after a clone."""
    results = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "results" / "quick", results / "quick")
    rebuild(results, "quick", _summarise)
    return MlflowClient(default_uri(results))


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
    for metric in ("loss_labelled", "loss_routed"):
        assert [p.step for p in client.get_metric_history(run.info.run_id, metric)] == [20]


def test_config_and_three_audio_triplets_are_artifacts(client: MlflowClient, runs: dict):
    run = runs["EMBDL.multi.supervised.global"]
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names == {"config.json", "audio", "figures"}
    assert len(client.list_artifacts(run.info.run_id, "audio")) == 9
    figures = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")}
    assert figures == {"figures/learning_curve.png", "figures/spectrograms.png"}


def test_the_config_of_a_run_has_its_hash(client: MlflowClient, runs: dict, tmp_path: Path):
    for cell, run in runs.items():
        path = client.download_artifacts(run.info.run_id, "config.json", str(tmp_path))
        config = RunConfig(**json.loads(Path(path).read_text()))
        assert config.identity() == run.data.tags["config_hash"], cell


def test_a_run_says_what_it_is(runs: dict):
    note = runs["E-B-L.single.implicit.per_layer"].data.tags["mlflow.note.content"]
    assert "early encoder, bottleneck, late decoder" in note
    assert "run_all.py explain E-B-L.single.implicit.per_layer --study smoke" in note


def test_a_run_at_work_logs_how_busy_the_machine_is(smoke: Path, tmp_path: Path):
    done = next(run for run in from_bundle(smoke / "smoke") if run.history())
    tracker = Tracker("smoke", "", "synthetic:tiny", tmp_path)
    tracker.sync([replace(done, state="running", history=lambda: done.history()[:2])])
    tracker.sync([replace(done, state="running", history=lambda: done.history()[:2])])
    client = MlflowClient(default_uri(tmp_path))
    mlflow_id = tracker.mlflow_id(done.run_id)
    for metric in ("cpu_utilization_percentage", "system_memory_usage_percentage"):
        (load,) = client.get_metric_history(mlflow_id, f"system/{metric}")
        assert load.step == done.history()[1]["step"]
        assert 0 <= load.value <= 100
    assert client.get_run(mlflow_id).info.status == "RUNNING"


def test_the_experiment_offers_its_views(client: MlflowClient):
    experiment = client.get_experiment_by_name("smoke")
    for key, view in asked(SMOKE).items():
        saved = json.loads(experiment.tags[TAG + key])
        assert saved["name"] == view.question
        assert view.question in experiment.tags["mlflow.note.content"]
        packed = base64.b64decode(saved["state"].removeprefix("deflate;"))
        assert json.loads(zlib.decompress(packed))["searchFilter"] == view.search
        assert client.search_runs([experiment.experiment_id], view.search), key
    assert len(experiment.tags["mlflow.note.content"]) < 5000  # more MLflow does not keep


def test_what_somebody_wrote_into_the_description_stays(smoke: Path, tmp_path: Path):
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    rebuild(tmp_path, "smoke")
    client = MlflowClient(default_uri(tmp_path))
    experiment = client.get_experiment_by_name("smoke")
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "mine")
    rebuild(tmp_path, "smoke")
    assert client.get_experiment_by_name("smoke").tags["mlflow.note.content"] == "mine"


def test_only_questions_with_data_are_asked():
    full = "EMBDL.multi.supervised.global"
    assert [*asked(["dense"])] == ["best"]
    assert [*asked(["dense", "shuffled-labels", full])] == ["best", "placements", "cost"]
    assert "expert-mode" in asked([full, full.replace("multi", "single")])
    assert "expert-mode" not in asked([full, "-MBDL.single.supervised.global"])


def test_names_of_runs_begin_with_what_tells_them_apart():
    assert run_name("E-B--.multi.supervised.global", "mean") == "E-B-- mean"
    variant = run_name("E-B--.single.implicit.global", "seed 2", {"train.steps": 4000})
    assert variant == "E-B-- seed 2 steps=4000 single implicit global"
    assert run_name("dense", "seed 0") == "dense seed 0"


def test_a_varied_setting_is_that_of_the_run():
    """The budget study trains each cell for three numbers of steps."""
    runs = from_bundle(ROOT / "results" / "budget")
    steps = {(r.params["train_steps"], r.config().train.steps) for r in runs if "dense" in r.name}
    assert steps == {("1000", 1000), ("4000", 4000), ("16000", 16000)}
    assert len({run.name for run in runs}) == len(runs)


@pytest.mark.parametrize("search", FILTERS)
def test_each_ready_filter_finds_runs_of_the_quick_study(search: str, quick_client: MlflowClient):
    experiment = quick_client.get_experiment_by_name("quick")
    assert quick_client.search_runs([experiment.experiment_id], search)


def test_runs_of_a_stored_bundle_have_the_config_of_their_cell(quick_client: MlflowClient):
    experiment = quick_client.get_experiment_by_name("quick")
    runs = quick_client.search_runs([experiment.experiment_id], "tags.summary = 'false'")
    for run in runs:
        path = quick_client.download_artifacts(run.info.run_id, "config.json")
        model = RunConfig(**json.loads(Path(path).read_text())).model
        placed = model.smoe_layer_positions if model else ()
        on = tuple(p for p in POSITIONS if run.data.params.get(p) == "True")
        assert placed == on, run.info.run_name


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
        seen = runs[cell].data.metrics
        kept = {key: value for key, value in seen.items() if not key.startswith("system/")}
        assert run.data.metrics == pytest.approx(kept, nan_ok=True)


def test_each_cell_has_a_summary_run_with_its_interval(client: MlflowClient):
    experiment = client.get_experiment_by_name("smoke")
    found = client.search_runs([experiment.experiment_id], "tags.summary = 'true'")
    metrics = {run.data.tags["cell"]: run.data.metrics for run in found}
    assert len(metrics) == 5
    assert found[0].data.params["seed"] == "mean"
    assert {"macs", "params"} <= set(metrics["dense"])
    dense = metrics["dense"]
    assert dense["pesq_wb_low"] < dense["pesq_wb"] < dense["pesq_wb_high"]


def test_the_answer_heads_the_experiment_unless_somebody_has_changed_it(tmp_path: Path):
    folder = tmp_path / "core"
    folder.mkdir()
    for name in ("runs", "utterances", "routing", "history"):
        shutil.copy(ROOT / "results" / "quick" / f"{name}.parquet", folder)
    for name in ("study.json", "examples.npz"):
        shutil.copy(ROOT / "results" / "quick" / name, folder)
    tracker = bundle_tracker(folder)
    client = MlflowClient(default_uri(tmp_path))

    def head() -> str:
        return client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"]

    asked = head()
    tracker.log_summary(Summary(["Nothing is decided."]))
    assert "- Nothing is decided." in head() and head().startswith(asked.split("\n\n")[0])
    tracker.log_summary(Summary(["One is better."]))
    assert "One is better." in head() and "Nothing" not in head()
    client.set_experiment_tag(tracker.experiment_id, "mlflow.note.content", "mine")
    bundle_tracker(folder).log_summary(Summary(["Two are better."]))
    assert head() == "mine"
