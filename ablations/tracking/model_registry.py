"""Trained networks in MLflow's model registry, one at a time and only when asked for.

A study of hundreds of runs would put every network there twice over; the weights of all of them
stay in the run folders anyhow.
"""

import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np

import smoe
from ablations.runs.trained_networks import trained_run
from ablations.tracking.limits import NAME, bounded
from ablations.tracking.live_writer import turn
from ablations.tracking.mlflow_database import default_uri
from ablations.tracking.mlflow_ui import bundle_tracker
from ablations.tracking.run_contents import from_bundle
from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.errors import UserError
from smoe.schema.text import plain

NEEDED = ("torch", "numpy", "scipy", "soundfile", "soxr", "pydantic", "mlflow")


def register(results: Path, study: str, cell: str, seed: int, uri: str | None = None) -> str:
    """Logs a finished run's network as an `mlflow.pyfunc` model and registers it.

    The model takes and gives recordings [recordings, samples], float32 at 16 kHz. It carries the
    network's code, so that it loads where this suite is not installed.

    Args:
        results: Results folder.
        study: A study with a bundle there.
        cell: Cell code.
        seed: Seed.
        uri: Tracking server or database; None for SQLite in the results folder.

    Returns:
        Its address in the registry: the model is named by study and cell, versions count up.

    Raises:
        UserError: the run is not finished, its weights are not here, or MLflow refuses.
    """
    from mlflow.exceptions import MlflowException

    settings, weights = trained_run(results, study, cell, seed)
    try:
        run = _synced_run(results, study, (cell, str(seed)), uri)
        name = bounded(f"{study}.{cell}", NAME)
        version = _log(name, run, settings, weights)
    except MlflowException as error:
        reason = plain(str(error).splitlines()[0][:200])
        raise UserError(
            f"MLflow does not take the model ({reason}); see --tracking-uri."
        ) from error
    return f"models:/{name}/{version}"


def _synced_run(results: Path, study: str, wanted: tuple[str, str], uri: str | None) -> str:
    """MLflow's id of a run, which is there and chosen as the place of what is logged next."""
    import mlflow

    runs = [r for r in from_bundle(results / study) if (r.tags["cell"], r.params["seed"]) == wanted]
    with turn(results, study) as before_write:
        if before_write is None:
            raise UserError(
                f"{study} is being written to MLflow by a runner; register when that has ended."
            )
        tracker = bundle_tracker(results / study, uri, before_write=before_write)
        tracker.sync(runs)
    mlflow.set_tracking_uri(uri or default_uri(results))
    mlflow.set_experiment(experiment_id=tracker.experiment_id)  # where the files go
    return tracker.mlflow_id(runs[0].run_id)


def _log(name: str, run: str, settings: ModelConfig, weights: Path) -> int | None:
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    waves = Schema([TensorSpec(np.dtype(np.float32), (-1, -1))])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "model.json")
        config.write_text(settings.model_dump_json(indent=1), encoding="utf-8")
        logged = Model.log(
            None,
            mlflow.pyfunc,
            name="network",
            run_id=run,
            registered_model_name=name,
            python_model=str(Path(__file__).with_name("enhancer_model.py")),
            artifacts={"config": str(config), "weights": str(weights)},
            code_paths=[str(Path(smoe.__file__).parent)],
            signature=ModelSignature(waves, waves),
            input_example=_example(),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in NEEDED],
        )
    return logged.registered_model_version


def _example() -> np.ndarray:
    """A second of faint noise, [1, samples]."""
    rng = np.random.default_rng(0)
    return 0.01 * rng.standard_normal((1, SAMPLE_RATE)).astype(np.float32)
