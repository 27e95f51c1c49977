"""The MLflow view of a study: kept up while runs work, rebuilt from a bundle, never relied upon.

`Tracker.sync` brings MLflow to what is stored and can be called at any time and any number of
times. One process writes, since SQLite and parallel writers do not go together.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ablations.tracked import Rows, TrackedRun
from smoe.config import SAMPLE_RATE

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not hold the study up: the next sync tries again.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
STATUS = {
    "planned": "RUNNING",  # just begun: no heartbeat yet
    "running": "RUNNING",
    "done": "FINISHED",
    "stale": "KILLED",
    "failed": "FAILED",
}
BATCH = 1000  # metrics that MLflow takes in one call


def default_uri(results: Path) -> str:
    """The SQLite database below the results folder."""
    return f"sqlite:///{(results / '.mlflow' / 'mlflow.db').resolve()}"


class Tracker:
    """Mirrors the runs of one study into one MLflow experiment.

    Args:
        study: Names the experiment.
        description: Markdown shown above it.
        data: Corpus specification, shown as the runs' dataset.
        results: Results folder; database and artifacts of the default store live below it.
        uri: Tracking server or database; the default is SQLite.
    """

    def __init__(
        self, study: str, description: str, data: str, results: Path, uri: str | None = None
    ):
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._study, self._data = study, data
        if uri is None:
            (results / ".mlflow").mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(uri or default_uri(results))
        store = None if uri else (results / ".mlflow" / "artifacts").resolve().as_uri()
        self._experiment = self._experiment_id(description, store)
        self._known: dict[str, str] = {}  # run id of the suite to run id of MLflow
        self._status: dict[str, str] = {}  # run id of MLflow to its status
        self._logged: dict[str, int] = {}  # run id of MLflow to last logged step
        self._read_existing()

    def _experiment_id(self, description: str, store: str | None) -> str:
        found = self._client.get_experiment_by_name(self._study)
        if found:
            return found.experiment_id
        tags: dict[str, Any] = {"mlflow.note.content": description}
        return self._client.create_experiment(self._study, artifact_location=store, tags=tags)

    def _read_existing(self) -> None:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], page_token=token)
            for run in page:
                if "run_id" in run.data.tags:
                    self._known[run.data.tags["run_id"]] = run.info.run_id
                    self._status[run.info.run_id] = run.info.status
            token = page.token
            if not token:
                return

    def sync(self, runs: Iterable[TrackedRun], *, closing: bool = False) -> None:
        """Brings MLflow to what is stored of the runs.

        Args:
            runs: Runs that have begun.
            closing: No worker is left: what neither finished nor failed was killed.
        """
        for run in runs:
            mlflow_id = self._known.get(run.run_id) or self._create(run)
            if self._status[mlflow_id] == "FINISHED":
                continue
            self._log_history(mlflow_id, run.history())
            if run.state == "done":
                self._log_results(run, mlflow_id)
            killed = closing and run.state == "running"
            self._set_status(mlflow_id, "KILLED" if killed else STATUS[run.state])

    def log_summaries(self, summaries: dict[str, dict[str, float]]) -> None:
        """One run per cell with means and interval bounds over seeds and utterances.

        Args:
            summaries: Cell to metrics, such as `pesq_wb`, `pesq_wb_low`, `pesq_wb_high`.
        """
        for cell, metrics in summaries.items():
            key = f"summary of {cell}"
            if key not in self._known:
                tags = {"run_id": key, "study": self._study, "cell": cell, "summary": "true"}
                created = self._client.create_run(self._experiment, tags=tags, run_name=key)
                self._known[key] = created.info.run_id
            self._log(self._known[key], [(name, value, 0) for name, value in metrics.items()])
            self._client.set_terminated(self._known[key], "FINISHED")

    def _create(self, run: TrackedRun) -> str:
        from mlflow.entities import Param

        tags = {"run_id": run.run_id, **run.tags}
        created = self._client.create_run(self._experiment, tags=tags, run_name=run.name)
        params = [Param(key, value) for key, value in run.params.items()]
        self._client.log_batch(created.info.run_id, params=params)
        self._known[run.run_id] = created.info.run_id
        self._status[created.info.run_id] = "RUNNING"
        return created.info.run_id

    def _set_status(self, mlflow_id: str, status: str) -> None:
        if self._status[mlflow_id] == status:
            return
        if status == "RUNNING":
            self._client.update_run(mlflow_id, status=status)
        else:
            self._client.set_terminated(mlflow_id, status)
        self._status[mlflow_id] = status

    def _log_history(self, mlflow_id: str, history: Rows) -> None:
        """Logs the rows after the last logged step, so that a resumed run repeats none."""
        if mlflow_id not in self._logged:
            points = self._client.get_metric_history(mlflow_id, "loss")
            self._logged[mlflow_id] = max((point.step for point in points), default=0)
        rows = [row for row in history if row["step"] > self._logged[mlflow_id]]
        metrics = [
            (key, value, int(row["step"]))
            for row in rows
            for key, value in row.items()
            if key not in ("step", "run_id") and np.isfinite(value)
        ]
        self._log(mlflow_id, metrics)
        if rows:
            self._logged[mlflow_id] = int(rows[-1]["step"])

    def _log(self, mlflow_id: str, metrics: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(key, float(value), now, step) for key, value, step in metrics]
        for start in range(0, len(points), BATCH):
            self._client.log_batch(mlflow_id, metrics=points[start : start + BATCH])

    def _log_results(self, run: TrackedRun, mlflow_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        step = self._logged.get(mlflow_id, 0)
        self._log(mlflow_id, [(key, value, step) for key, value in run.final().items()])
        for key in ("git_commit", "device"):
            self._client.set_tag(mlflow_id, key, run.tags[key])
        dataset = Dataset(self._data, run.tags["data_hash"][:36], "corpus", self._data)
        inputs = DatasetInput(dataset, [InputTag("mlflow.data.context", "training and test")])
        self._client.log_inputs(mlflow_id, [inputs])
        if run.folder:
            self._log_artifacts(run.folder, mlflow_id)

    def _log_artifacts(self, folder: Path, mlflow_id: str) -> None:
        self._client.log_artifact(mlflow_id, str(folder / "config.json"))
        if not (folder / "examples.npz").exists():
            return
        import soundfile

        with tempfile.TemporaryDirectory() as audio:
            with np.load(folder / "examples.npz") as waves:
                for name in waves:
                    path = Path(audio, f"{name.replace('/', '-')}.wav")
                    soundfile.write(path, waves[name], SAMPLE_RATE, subtype="PCM_16")
            self._client.log_artifacts(mlflow_id, audio, "audio")


class Mirror:
    """Keeps a tracker going beside a study; trouble with MLflow is a note, never a stop.

    Args:
        make: Makes the tracker; tried again while it fails.
        console: Where the note goes.
    """

    def __init__(self, make: Callable[[], Tracker], console: Console):
        self._make, self._console = make, console
        self._tracker: Tracker | None = None
        self._told = False

    def sync(self, runs: Iterable[TrackedRun], *, closing: bool = False) -> None:
        """As `Tracker.sync`; a failure is told once, and the next call tries again."""
        self._try(lambda tracker: tracker.sync(runs, closing=closing))

    def log_summaries(self, summaries: dict[str, dict[str, float]]) -> None:
        """As `Tracker.log_summaries`, with the same leniency."""
        self._try(lambda tracker: tracker.log_summaries(summaries))

    def _try(self, action: Callable[[Tracker], None]) -> None:
        try:
            self._tracker = self._tracker or self._make()
            action(self._tracker)
        except Exception as error:  # whatever a server, a network or a database may throw
            if not self._told:
                self._told = True
                reason = str(error).splitlines()[0][:200]
                self._console.print(f"[yellow]MLflow cannot be written now ({reason})[/]")
