"""The MLflow view of a study: made from run folders, kept up while they work, never relied upon.

`Tracker.sync` brings MLflow to what the folders say and can be called at any time and any number of
times. One process writes, since SQLite and parallel writers do not go together.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from ablations.grid import UNPROCESSED, find
from ablations.plan import PlannedRun
from ablations.study import Study
from smoe.config import POSITIONS, SAMPLE_RATE
from smoe.errors import UserError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not hold the study up: the next sync tries again.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
AXES = ("expert_mode", "routing", "router_scope")
BATCH = 1000  # metrics that MLflow takes in one call
FINAL_METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr_db")
STATUS = {
    "planned": "RUNNING",  # just begun: no heartbeat yet
    "running": "RUNNING",
    "done": "FINISHED",
    "stale": "KILLED",
    "failed": "FAILED",
}
FILTERS = "params.bottleneck = 'True' and params.router_scope = 'global'"
DISTORTED = ("noise", "reverb", "both")


def default_uri(results: Path) -> str:
    """The SQLite database below the results folder."""
    return f"sqlite:///{(results / '.mlflow' / 'mlflow.db').resolve()}"


class Tracker:
    """Mirrors the runs of one study into one MLflow experiment.

    Args:
        study: Gives experiment name and description.
        results: Results folder; database and artifacts of the default store live below it.
        uri: Tracking server or database; the default is SQLite.
    """

    def __init__(self, study: Study, results: Path, uri: str | None = None):
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._study = study
        self._client = MlflowClient(uri or default_uri(results))
        if uri is None:
            (results / ".mlflow").mkdir(parents=True, exist_ok=True)
        self._experiment = self._experiment_id(results if uri is None else None)
        self._known: dict[str, str] = {}  # run folder id to MLflow run id
        self._status: dict[str, str] = {}  # MLflow run id to its status
        self._read_existing()
        self._logged: dict[str, int] = {}  # MLflow run id to last logged step

    def _experiment_id(self, results: Path | None) -> str:
        found = self._client.get_experiment_by_name(self._study.name)
        if found:
            return found.experiment_id
        store = results and (results / ".mlflow" / "artifacts").resolve().as_uri()
        description = f"**{self._study.title}.** {self._study.question}"
        tags = {"mlflow.note.content": description}
        return self._client.create_experiment(self._study.name, artifact_location=store, tags=tags)

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

    def sync(self, runs: list[PlannedRun], *, closing: bool = False) -> None:
        """Brings MLflow to what the run folders say.

        Args:
            runs: The study's runs, or those that may have changed.
            closing: No worker is left: what neither finished nor failed was killed.
        """
        for run in runs:
            if not run.folder.file("config.json").exists():
                continue
            mlflow_id = self._known.get(run.folder.run_id) or self._create(run)
            if self._status[mlflow_id] == "FINISHED":
                continue
            state = run.state()
            if state == "done":
                self._log_results(run, mlflow_id)
            else:
                beat = run.folder.read_json("progress.json") or {}
                self._log_history(mlflow_id, beat.get("history", []))
            killed = closing and state == "running"
            self._set_status(mlflow_id, "KILLED" if killed else STATUS[state])

    def _set_status(self, mlflow_id: str, status: str) -> None:
        if self._status[mlflow_id] != status:
            self._client.update_run(mlflow_id, status=status)
            if status != "RUNNING":
                self._client.set_terminated(mlflow_id, status)
            self._status[mlflow_id] = status

    def _create(self, run: PlannedRun) -> str:
        tags = {
            "run_id": run.folder.run_id,
            "study": self._study.name,
            "cell": run.cell,
            "config_hash": run.config.identity(),
            "data_hash": run.config.data_hash,
        }
        name = f"{run.cell} seed {run.seed}"
        created = self._client.create_run(self._experiment, tags=tags, run_name=name)
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in _params(run).items()]
        self._client.log_batch(created.info.run_id, params=params)
        self._known[run.folder.run_id] = created.info.run_id
        self._status[created.info.run_id] = "RUNNING"
        return created.info.run_id

    def _log_history(self, mlflow_id: str, history: list[dict[str, float]]) -> None:
        """Logs the rows after the last logged step, so that a resumed run repeats none."""
        if mlflow_id not in self._logged:
            points = self._client.get_metric_history(mlflow_id, "loss")
            self._logged[mlflow_id] = max((point.step for point in points), default=0)
        rows = [row for row in history if row["step"] > self._logged[mlflow_id]]
        metrics = [
            (key, value, int(row["step"]))
            for row in rows
            for key, value in row.items()
            if key not in ("step", "run_id") and value is not None and np.isfinite(value)
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

    def _log_results(self, run: PlannedRun, mlflow_id: str) -> None:
        history = pd.read_parquet(run.folder.file("history.parquet"))
        self._log_history(mlflow_id, history.to_dict("records"))
        record = run.folder.read_json("run.json") or {}
        step = record.get("train_steps") or 0
        self._log(mlflow_id, [(key, value, step) for key, value in _final(run, record).items()])
        self._client.set_tag(mlflow_id, "git_commit", record.get("git_commit", ""))
        self._client.set_tag(mlflow_id, "device", record.get("device", ""))
        self._log_dataset(run, mlflow_id)
        self._log_artifacts(run, mlflow_id)

    def _log_dataset(self, run: PlannedRun, mlflow_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=self._study.data,
            digest=run.config.data_hash[:36],
            source_type="corpus",
            source=self._study.data,
        )
        inputs = DatasetInput(dataset, [InputTag("mlflow.data.context", "training and test")])
        self._client.log_inputs(mlflow_id, [inputs])

    def _log_artifacts(self, run: PlannedRun, mlflow_id: str) -> None:
        self._client.log_artifact(mlflow_id, str(run.folder.file("config.json")))
        if not run.folder.file("examples.npz").exists():
            return
        import soundfile

        with tempfile.TemporaryDirectory() as folder:
            with np.load(run.folder.file("examples.npz")) as waves:
                for name in waves:
                    path = Path(folder, f"{name.replace('/', '-')}.wav")
                    soundfile.write(path, waves[name], SAMPLE_RATE, subtype="PCM_16")
            self._client.log_artifacts(mlflow_id, folder, "audio")


class Mirror:
    """Keeps a tracker going beside a study; trouble with MLflow is a note, never a stop.

    Args:
        study: The study.
        results: Results folder.
        uri: Tracking server or database, or None for the default.
        console: Where the note goes.
    """

    def __init__(self, study: Study, results: Path, uri: str | None, console: Console):
        self._tracker: Tracker | None = None
        self._make = lambda: Tracker(study, results, uri)
        self._console, self._told = console, False

    def sync(self, runs: list[PlannedRun], *, closing: bool = False) -> None:
        """As `Tracker.sync`; a failure is told once, and the next call tries again."""
        try:
            self._tracker = self._tracker or self._make()
            self._tracker.sync(runs, closing=closing)
        except Exception as error:  # whatever a server, a network or a database may throw
            if not self._told:
                self._told = True
                reason = str(error).splitlines()[0][:200]
                self._console.print(f"[yellow]MLflow cannot be written now ({reason})[/]")


def serve(results: Path, study: str, port: int, console: Console) -> None:
    """Runs the MLflow UI on loopback until it is interrupted.

    Raises:
        UserError: nothing has been tracked here yet.
    """
    database = results / ".mlflow" / "mlflow.db"
    if not database.exists():
        raise UserError(f"Nothing was tracked in {results} yet; run a study first.")
    console.print(f"MLflow UI at http://127.0.0.1:{port} (Ctrl-C stops it)")
    console.print(f"A filter to try: {FILTERS}")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    subprocess.run([*command, "--backend-store-uri", default_uri(results)], check=False)


def _params(run: PlannedRun) -> dict[str, Any]:
    """Values of at most ten characters that differ in them, as parallel coordinates cut there."""
    cell = find(run.cell)
    if run.cell == UNPROCESSED or run.config.model is None:
        return {"placement": "none", "seed": run.seed}
    return {
        "placement": cell.placement_code,
        **{position: position in cell.placement for position in POSITIONS},
        **{axis: getattr(cell, axis) or "none" for axis in AXES},
        "seed": run.seed,
        "init_channels": run.config.model.init_channels,
        "train_steps": run.config.train.steps,
        "batch_size": run.config.train.batch_size,
    }


def _final(run: PlannedRun, record: dict[str, Any]) -> dict[str, float]:
    """Mean scores over the distorted conditions and within each condition, and what a run cost."""
    scores = pd.read_parquet(run.folder.file("utterances.parquet"))
    scores = scores.loc[scores["counterfactual"] == "learned"]
    columns = list(FINAL_METRICS)
    distorted = scores.loc[scores["condition"].isin(DISTORTED)]
    values: dict[str, float] = distorted[columns].astype(float).mean().to_dict()
    for condition, part in scores.groupby("condition"):
        means = part[columns].astype(float).mean()
        values |= {f"{metric}_{condition}": mean for metric, mean in means.items()}
    routing = pd.read_parquet(run.folder.file("routing.parquet"))
    if len(routing):
        known = routing.dropna(subset=["true_class"])
        values["test_routing_accuracy"] = float(
            np.mean(known["predicted_class"] == known["true_class"])
        )
    cost = {key: record.get(key) for key in ("params", "macs", "train_s", "inference_rtf")}
    values |= {key: value for key, value in cost.items() if value is not None}
    return {str(key): float(value) for key, value in values.items() if np.isfinite(value)}
