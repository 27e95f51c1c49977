"""The MLflow UI as a process, and the models that MLflow keeps."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from mlflow.tracking import MlflowClient

from ablations.tracking.mlflow_database import default_uri
from ablations.tracking.mlflow_ui import rebuild
from ablations.tracking.model_registry import register
from ablations.tracking.ui_server import HOST, free_port
from smoe.audio.reading import read
from smoe.errors import UserError
from smoe.schema.errors import BundleError
from tests.ablations.conftest import ROOT, command, run_all
from tests.ablations.tracking.mlflow_server import MlflowServer
from tests.processes import start

FULL = "EMBDL.multi.supervised.global"


def test_a_port_in_use_is_refused_with_the_remedy():
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(UserError, match=r"already in use.*--port"):
            free_port(other.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 65_536])
def test_an_impossible_port_is_refused(port: int):
    with pytest.raises(UserError, match="--port"):
        free_port(port)


def test_port_0_is_any_that_is_free():
    assert free_port(free_port(0)) > 0


def test_a_study_without_results_is_answered_with_those_there_are(tmp_path: Path):
    shutil.copytree(ROOT / "results" / "quick", tmp_path / "quick")
    with pytest.raises(BundleError, match=r"no results in .*core; there are quick\. Name one"):
        rebuild(tmp_path, "core")


def test_a_study_that_runs_for_the_first_time_is_shown_without_a_bundle(smoke: Path):
    bundle = smoke / "smoke" / "study.json"
    aside = bundle.rename(smoke / "study.json.aside")
    try:
        experiment_id = rebuild(smoke, "smoke")
    finally:
        aside.rename(bundle)
    assert MlflowClient(default_uri(smoke)).get_experiment(experiment_id).name == "smoke"


def test_a_damaged_database_is_named_with_the_remedy(tmp_path: Path):
    shutil.copytree(ROOT / "results" / "quick", tmp_path / "quick")
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "mlflow.db").write_text("no database, but long enough to be read " * 9)
    with pytest.raises(UserError, match=r"\.mlflow cannot be used .*move that folder aside"):
        rebuild(tmp_path, "quick")


def test_a_server_that_is_away_is_named_when_a_network_is_registered(smoke: Path):
    away = f"http://{HOST}:{free_port(0)}"
    with pytest.raises(UserError, match="--tracking-uri"):
        register(smoke, "smoke", FULL, 0, away)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_after_a_clone_the_ui_shows_a_stored_study_and_stops_cleanly(
    stop: signal.Signals, tmp_path: Path
):
    shutil.copytree(ROOT / "results" / "quick", tmp_path / "quick")
    process = start(command("ui", "--study", "quick", "--results", tmp_path, "--port", "0"))
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert found
    family = [process, *process.children(recursive=True)]
    listening = [
        each.laddr for one in family for each in one.net_connections() if each.status == "LISTEN"
    ]
    assert {each.ip for each in listening} == {HOST}
    client = MlflowClient(found[0])
    experiment = client.get_experiment_by_name("quick")
    assert experiment is not None
    means = client.search_runs([experiment.experiment_id], "tags.summary = 'true'")
    assert len(means) == 19 and all("delta_pesq" in run.data.metrics for run in means[:-2])
    for line in process.stdout:  # the trainings follow
        if line.startswith("19 of 19 trainings"):
            break
    assert len(client.search_runs([experiment.experiment_id], "tags.summary = 'false'")) == 19
    process.send_signal(stop)
    assert process.wait(30) == 0
    assert not psutil.wait_procs(family, 5)[1]


@pytest.mark.slow
def test_a_server_that_the_environment_names_is_brought_up_to_the_results(
    server: MlflowServer, tmp_path: Path
):
    shutil.copytree(ROOT / "results" / "quick", tmp_path / "quick")
    done = run_all("ui", "--results", tmp_path, environment={"MLFLOW_TRACKING_URI": server.uri})
    assert done.returncode == 0, done.stderr
    assert f"MLflow UI at {server.uri}/#/experiments/" in done.stdout
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("quick")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 38
    assert not (tmp_path / ".mlflow").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    running = MlflowServer(tmp_path / "server")
    yield running
    running.stop()


LOAD = """
import sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
enhanced = model.predict(np.load(sys.argv[3]))
assert model.metadata.signature.inputs and model.input_example is not None
import smoe; print(smoe.__file__)
np.save(sys.argv[4], enhanced)
"""


@pytest.mark.slow
def test_a_registered_network_enhances_as_the_command_does_where_the_suite_is_not(
    server: MlflowServer, smoke: Path, tmp_path: Path
):
    rng = np.random.default_rng(0)
    noisy = tmp_path / "noisy.wav"
    soundfile.write(noisy, 0.1 * rng.standard_normal(40_000), 16_000)
    where = ("--study", "smoke", "--results", smoke)
    registered = run_all("register", FULL, *where, "--tracking-uri", server.uri)
    assert registered.returncode == 0, registered.stderr
    uri = registered.stdout.strip().splitlines()[-1]
    assert uri == f"models:/smoke.{FULL}/1"
    enhanced = run_all("enhance", noisy, tmp_path / "command.wav", "--cell", FULL, *where)
    assert enhanced.returncode == 0, enhanced.stderr

    np.save(tmp_path / "input.npy", read(noisy, "speech").audio[None])
    arguments = [server.uri, uri, str(tmp_path / "input.npy"), str(tmp_path / "output.npy")]
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    assert str(ROOT) not in loaded.stdout  # the code came with the model
    soundfile.write(tmp_path / "model.wav", np.load(tmp_path / "output.npy")[0], 16_000)
    assert (tmp_path / "model.wav").read_bytes() == (tmp_path / "command.wav").read_bytes()
