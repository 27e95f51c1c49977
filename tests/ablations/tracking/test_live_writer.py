"""MLflow beside a study: a server that goes away, runs that were killed, two runners at once."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from ablations.tracking.mlflow_database import default_uri
from tests.ablations.conftest import command, run_all
from tests.ablations.tracking.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow
STUDY = ("run", "--study", "smoke", "--jobs", "2", "--results")
STEPS = list(range(1, 21))
RUNS = 5
PATIENCE_S = 1800.0  # a busy machine takes its time, only what hangs is to fail


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    running = MlflowServer(tmp_path / "server")
    yield running
    running.stop()


@pytest.fixture
def results(smoke: Path, tmp_path: Path) -> Path:
    shutil.copytree(smoke / ".corpora", tmp_path / "results" / ".corpora")
    return tmp_path / "results"


def wait_until(condition: Callable[[], object], study: subprocess.Popen[str]) -> None:
    """Wait for what a study does, as long as it lives."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        lives = study.poll() is None and time.monotonic() < until
        assert lives or condition(), "it did not happen"
        time.sleep(0.2)


def start(results: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*STUDY, results, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def tracked(uri: str) -> dict[str, Run]:
    """Runs of the smoke study by cell; fails if a cell has two."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("smoke")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    runs = [run for run in found if run.data.tags.get("summary") != "true"]
    assert len(runs) == len({run.data.tags["cell"] for run in runs})
    return {run.data.tags["cell"]: run for run in runs}


def assert_complete(uri: str) -> None:
    client, runs = MlflowClient(uri), tracked(uri)
    assert len(runs) == RUNS
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for cell, run in runs.items():
        assert "pesq_wb" in run.data.metrics
        if cell != "unprocessed":
            points = client.get_metric_history(run.info.run_id, "loss")
            assert sorted(point.step for point in points) == STEPS
            assert client.list_artifacts(run.info.run_id, "audio")


def done(results: Path) -> int:
    return len(list(results.glob(".runs/*/*/done")))


def test_a_server_that_goes_away_during_a_study_has_everything_in_the_end(
    results: Path, server: MlflowServer
):
    study = start(results, "--jobs", "1", "--tracking-uri", server.uri)
    wait_until(lambda: tracked(server.uri), study)
    server.stop()
    before = done(results)
    # On a fast machine all runs may be done before the server has noted the first one.
    wait_until(lambda: done(results) > before or before == RUNS, study)
    server.start()
    screen = study.communicate(timeout=PATIENCE_S)[0]
    assert study.returncode == 0, screen
    if "MLflow is being written again" not in screen:  # the server was back too late
        assert run_all(*STUDY, results, "--tracking-uri", server.uri).returncode == 0
    assert_complete(server.uri)


def test_what_a_server_missed_until_the_end_is_brought_by_the_next_start(
    results: Path, server: MlflowServer
):
    server.stop()
    finished = run_all(*STUDY, results, "--tracking-uri", server.uri)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "MLflow cannot be written now" in finished.stdout
    server.start()
    again = run_all(*STUDY, results, "--tracking-uri", server.uri)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing to train" in again.stdout
    assert_complete(server.uri)


def test_killed_runs_are_killed_after_the_next_start_and_go_on_in_the_same_run(results: Path):
    uri = default_uri(results)
    study = start(results)
    wait_until(lambda: Path(uri.removeprefix("sqlite:///")).exists(), study)
    wait_until(lambda: running(uri), study)
    os.killpg(study.pid, signal.SIGKILL)
    study.communicate()
    killed = {cell: run.info.run_id for cell, run in running(uri).items() if cell != "dense"}
    assert killed
    assert run_all(*STUDY, results, "--only", "dense").returncode == 0
    after = tracked(uri)
    assert after["dense"].info.status == "FINISHED"
    assert {after[cell].info.status for cell in killed} == {"KILLED"}
    assert run_all(*STUDY, results).returncode == 0
    assert_complete(uri)
    assert {cell: tracked(uri)[cell].info.run_id for cell in killed} == killed


def running(uri: str) -> dict[str, Run]:
    return {cell: run for cell, run in tracked(uri).items() if run.info.status == "RUNNING"}


def test_a_runner_with_a_part_of_the_study_leaves_the_runs_of_another_alone(results: Path):
    uri = default_uri(results)
    other = start(results)
    wait_until(lambda: list(results.glob(".runs/*/*/progress.json")), other)
    part = run_all(*STUDY, results, "--limit", "1")
    assert part.returncode == 0, part.stdout + part.stderr
    statuses = {run.info.status for run in tracked(uri).values()}
    assert "KILLED" not in statuses
    screen = other.communicate(timeout=PATIENCE_S)[0]
    assert other.returncode == 0, screen
    assert_complete(uri)
