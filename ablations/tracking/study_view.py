"""The MLflow view of a study: kept up while runs work, rebuilt from a bundle, never relied upon.

`Tracker.sync` brings MLflow to what is stored and can be called at any time and any number of
times. One process writes, since SQLite and parallel writers do not go together.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ablations.tracking.limits import NAME, PARAM, TAG, GuardedClient, bounded
from ablations.tracking.mlflow_database import default_uri, make_database, quiet_mlflow
from ablations.tracking.mlflow_dataset import corpus_dataset
from ablations.tracking.run_contents import Levels, Rows, TrackedRun
from ablations.tracking.saved_views import VIEWS, asked, guide, view_tags
from ablations.tracking.shown_cells import cell_params, cell_tags, describe_cell, group_of, run_name
from smoe.config import SAMPLE_RATE
from smoe.schema.text import markdown

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not hold the study up: the next sync tries again.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
STATUS = {
    "planned": "KILLED",  # begun, but nobody works on it
    "running": "RUNNING",
    "done": "FINISHED",
    "stale": "KILLED",
    "failed": "FAILED",
}
NOTE = "mlflow.note.content"  # the head of an experiment
WRITTEN = "suite.note"  # the head as the suite wrote it
BATCH = 1000  # metrics that MLflow takes in one call
Draw = Callable[[Rows, Levels, Path], None]  # writes figures of one run into a folder


@dataclass(frozen=True)
class Summary:
    """What a stored study says.

    Attributes:
        answer: The answer, one sentence each.
        cells: Cell to its means over seeds and utterances, such as `pesq_wb`, with the bounds of
            their 95 % intervals, `pesq_wb_low` and `pesq_wb_high`, and `delta_pesq`, the
            difference to the dense network, with its own, `delta_from` and `delta_to`.
        verdicts: Cell to the verdict on that difference.
    """

    answer: Sequence[str] = ()
    cells: dict[str, dict[str, float]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)


Summarise = Callable[[Path], Summary]  # reads a bundle


class Tracker:
    """Mirrors the runs of one study into one MLflow experiment.

    Args:
        study: Names the experiment.
        description: Markdown shown above it, before links to the saved views.
        data: Corpus specification, shown as the runs' dataset.
        results: Results folder; database and artifacts of the default store live below it.
        uri: Tracking server or database; the default is SQLite.
        draw: Draws a finished run's history and example; None for no figures.
        before_write: Called before each write; what it raises ends the writing.
        cells: Codes of the study's cells, which say what can be asked; None if they are not known.
    """

    def __init__(
        self,
        study: str,
        description: str,
        data: str,
        results: Path,
        uri: str | None = None,
        draw: Draw | None = None,
        before_write: Callable[[], None] = lambda: None,
        cells: Iterable[str] | None = None,
    ):
        from mlflow.tracking import MlflowClient

        quiet_mlflow()
        self._study, self._data, self._draw = study, data, draw
        self._description = description
        self._views = VIEWS if cells is None else asked(cells)
        if uri is None:
            make_database(results)
        client = MlflowClient(uri or default_uri(results))
        self._client: Any = GuardedClient(client, before_write)
        store = None if uri else (results / ".mlflow" / "artifacts").resolve().as_uri()
        self.experiment_id = self._experiment_id(description, store)
        self._known: dict[str, str] = {}  # run id of the suite to run id of MLflow
        self._status: dict[str, str] = {}  # run id of MLflow to its status
        self._logged: dict[str, int] = {}  # run id of MLflow to last logged step
        psutil.cpu_percent()  # the next call says how busy the machine was since this one
        self._read_existing()

    def _experiment_id(self, description: str, store: str | None) -> str:
        name = bounded(self._study, NAME)
        found = self._client.get_experiment_by_name(name)
        existing = found.tags if found else {}
        experiment_id = (
            found.experiment_id
            if found
            else self._client.create_experiment(name, artifact_location=store)
        )
        links = guide(experiment_id, self._views)
        tags = {
            NOTE: f"{bounded(description, TAG - len(links) - 2)}\n\n{links}",
            "mlflow.experimentKind": "custom_model_development",  # the UI's pages for trainings
            **view_tags(self._views),
        }
        for key, value in tags.items():
            if key not in existing:  # what somebody has changed in the UI stays
                self._client.set_experiment_tag(experiment_id, key, value)
                if key == NOTE:
                    self._client.set_experiment_tag(experiment_id, WRITTEN, value)
        return experiment_id

    def _read_existing(self) -> None:
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], page_token=token)
            for run in page:
                if "run_id" in run.data.tags:
                    self._known[run.data.tags["run_id"]] = run.info.run_id
                    self._status[run.info.run_id] = run.info.status
            token = page.token
            if not token:
                return

    def sync(self, runs: Iterable[TrackedRun]) -> None:
        """Brings MLflow to what is stored of these runs, which have begun.

        A run that nobody works on and that neither finished nor failed was killed; those of other
        runners have a living claim.
        """
        load = _machine_load()
        for run in runs:
            mlflow_id = self._known.get(run.run_id) or self._create(run)
            if self._status[mlflow_id] == "FINISHED":
                continue
            self._log_history(mlflow_id, run.history(), load if run.state == "running" else {})
            if run.state == "done":
                self._log_results(run, mlflow_id)
            self._set_status(mlflow_id, STATUS[run.state])

    def log_summary(self, summary: Summary) -> None:
        """Log one run per cell, its means over seeds and utterances, and the answer."""
        for cell, metrics in summary.cells.items():
            mlflow_id = self._known.get(_summary_of(cell)) or self._new_summary(cell)
            self._log(mlflow_id, [(name, value, 0) for name, value in metrics.items()])
            if cell in summary.verdicts:
                self._client.set_tag(mlflow_id, "verdict", summary.verdicts[cell])
            self._client.set_terminated(mlflow_id, "FINISHED")
        placements = [c for c in summary.cells if group_of(c) == "placement"]
        self._log_answer(summary.answer, [self._known[_summary_of(c)] for c in placements])

    def _new_summary(self, cell: str) -> str:
        key = _summary_of(cell)
        note = f"Mean over seeds and utterances. {describe_cell(cell, self._study)}"
        tags = {**cell_tags(self._study, cell), "run_id": key, "summary": "true"}
        tags["mlflow.note.content"] = note
        params = {**cell_params(cell), "seed": "mean"}
        self._known[key] = self._new_run(run_name(cell, "mean"), tags, params)
        return self._known[key]

    def _log_answer(self, sentences: Sequence[str], placements: Sequence[str]) -> None:
        """Put the answer of the study at the head of the experiment.

        A head that somebody has changed in the UI stays.
        """
        tags = self._client.get_experiment(self.experiment_id).tags
        if not sentences or tags.get(NOTE) != tags.get(WRITTEN):
            return
        links = guide(self.experiment_id, self._views, placements)
        said = "\n".join(f"- {markdown(sentence)}" for sentence in sentences)
        head = bounded(f"{self._description}\n\n{said}", TAG - len(links) - 2)
        for key in (NOTE, WRITTEN):
            self._client.set_experiment_tag(self.experiment_id, key, f"{head}\n\n{links}")

    def mlflow_id(self, run_id: str) -> str:
        """MLflow's id of a run that has been synced."""
        return self._known[run_id]

    def _create(self, run: TrackedRun) -> str:
        mlflow_id = self._new_run(run.name, {"run_id": run.run_id, **run.tags}, run.params)
        self._known[run.run_id] = mlflow_id
        self._status[mlflow_id] = "RUNNING"
        return mlflow_id

    def _new_run(self, name: str, tags: dict[str, Any], params: dict[str, str]) -> str:
        from mlflow.entities import Param

        tags = {key: bounded(str(value), TAG) for key, value in tags.items()}
        name = bounded(name, NAME)
        created = self._client.create_run(self.experiment_id, tags=tags, run_name=name)
        entries = [Param(key, bounded(value, PARAM)) for key, value in params.items()]
        self._client.log_batch(created.info.run_id, params=entries)
        return created.info.run_id

    def _set_status(self, mlflow_id: str, status: str) -> None:
        if self._status[mlflow_id] == status:
            return
        if status == "RUNNING":
            self._client.update_run(mlflow_id, status=status)
        else:
            self._client.set_terminated(mlflow_id, status)
        self._status[mlflow_id] = status

    def _log_history(self, mlflow_id: str, history: Rows, load: dict[str, float]) -> None:
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
        if rows:
            self._logged[mlflow_id] = int(rows[-1]["step"])
            metrics += [(key, value, self._logged[mlflow_id]) for key, value in load.items()]
        self._log(mlflow_id, metrics)

    def _log(self, mlflow_id: str, metrics: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(key, float(value), now, step) for key, value, step in metrics]
        for start in range(0, len(points), BATCH):
            self._client.log_batch(mlflow_id, metrics=points[start : start + BATCH])

    def _log_results(self, run: TrackedRun, mlflow_id: str) -> None:
        step = self._logged.get(mlflow_id, 0)
        self._log(mlflow_id, [(key, value, step) for key, value in run.final().items()])
        for key in ("git_commit", "device"):
            self._client.set_tag(mlflow_id, key, bounded(run.tags[key], TAG))
        dataset = corpus_dataset(self._data, run.tags["data_hash"], run.utterances())
        self._client.log_inputs(mlflow_id, [dataset])
        if self._draw:
            with tempfile.TemporaryDirectory() as figures:
                self._draw(run.history(), run.levels(), Path(figures))
                self._client.log_artifacts(mlflow_id, figures, "figures")
        self._client.log_dict(mlflow_id, run.config().model_dump(mode="json"), "config.json")
        if run.audio:
            self._log_audio(run.audio, mlflow_id)

    def _log_audio(self, examples: Path, mlflow_id: str) -> None:
        import soundfile

        with tempfile.TemporaryDirectory() as audio:
            with np.load(examples) as waves:
                for name in waves:
                    path = Path(audio, f"{name.replace('/', '-')}.wav")
                    soundfile.write(path, waves[name], SAMPLE_RATE, subtype="PCM_16")
            self._client.log_artifacts(mlflow_id, audio, "audio")


def _summary_of(cell: str) -> str:
    """Return the name under which a cell's summary run is known."""
    return f"summary of {cell}"


def _machine_load() -> dict[str, float]:
    """How busy this machine is, under the names that MLflow shows as system metrics."""
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
    }
