"""What MLflow is told of a run, taken from its folder while it works or from a bundle later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ablations.bundles.bundle import example_levels
from ablations.runs.plan import PlannedRun
from ablations.runs.run_folder import RunFolder
from ablations.studies.grid import resolve
from ablations.studies.variation import at_level
from ablations.tracking.shown_cells import cell_params, cell_tags, describe_cell, run_name
from smoe.config import RunConfig
from smoe.metrics import METRICS
from smoe.schema.bundle import read_bundle
from smoe.schema.cells import is_outside, is_trained, outside_name
from smoe.schema.errors import BundleError
from smoe.schema.measures import FURTHER
from smoe.schema.text import plain

DISTORTED = ("noise", "reverb", "both")
COSTS = ("params", "macs", "train_s", "inference_rtf")
COUNTS = ("params", "macs")  # shown as whole numbers
Rows = list[dict[str, Any]]
Levels = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrackedRun:
    """One run as MLflow is to show it.

    Attributes:
        run_id: Its identity and seed.
        name: For the list of runs.
        tags: Study, hashes, code.
        params: Values of at most ten characters, since parallel coordinates cut them there.
        config: Gives the whole resolved configuration.
        state: As of `PlannedRun.state`.
        history: Gives the rows logged so far.
        final: Gives scores and costs; only of a run that is done.
        utterances: Gives the number of test utterances; only of a run that is done.
        levels: Gives example spectrograms as of a bundle's `examples.npz`; empty if none are here.
        audio: `examples.npz` with recordings to listen to; None where it is not here.
    """

    run_id: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    config: Callable[[], RunConfig]
    state: str
    history: Callable[[], Rows]
    final: Callable[[], dict[str, float]]
    utterances: Callable[[], int]
    levels: Callable[[], Levels]
    audio: Path | None


def from_folder(run: PlannedRun, study: str) -> TrackedRun:
    """A run as its folder shows it."""
    folder = run.folder

    def history() -> Rows:
        if folder.is_done():
            return _records(pd.read_parquet(folder.file("history.parquet")))
        return (folder.read_json("progress.json") or {}).get("history", [])

    def final() -> dict[str, float]:
        scores = pd.read_parquet(folder.file("utterances.parquet"))
        routing = pd.read_parquet(folder.file("routing.parquet"))
        return _final(scores, routing, folder.read_json("run.json") or {})

    def utterances() -> int:
        scores = pd.read_parquet(folder.file("utterances.parquet"), columns=["utterance"])
        return scores["utterance"].nunique()

    level = {name: value for name, value in run.level.items() if value is not None}
    audio = folder.file("examples.npz") if folder.file("examples.npz").exists() else None
    record = folder.read_json("run.json") or {}
    hashes = {"config_hash": run.config.identity(), "data_hash": run.config.data_hash}
    code = {key: record.get(key) or "" for key in ("git_commit", "device")}
    return TrackedRun(
        run_id=folder.run_id,
        name=run_name(run.cell, f"seed {run.seed}", level),
        tags={**_tags(study, run.cell), **hashes, **code},
        params={
            **_params(run.cell, run.seed, run.config.model_dump()),
            **_level_params(level),
        },
        config=lambda: run.config,
        state=run.state(),
        history=history,
        final=final,
        utterances=utterances,
        levels=lambda: example_levels(run.cell, audio) if audio else {},
        audio=audio,
    )


def from_bundle(folder: Path) -> list[TrackedRun]:
    """Return the finished runs of a bundle, `results/<study>`; nothing else needs to be there.

    Raises:
        BundleError: the bundle is incomplete, damaged or of other settings than there are.
    """
    stored = read_bundle(folder)
    study, runs = stored.study, stored.runs
    tables = (stored.utterances, stored.routing, stored.history)
    parts = [dict(list(table.groupby("run_id", observed=True))) for table in tables]
    base, levels = config_of(folder, study), stored.examples
    settings = base.model_dump()
    varied = [name for name in study["study"].get("vary") or {} if name in runs]
    shown = runs.loc[runs["cell"] == str(levels.get("cell", "")), "run_id"].head(1).tolist()

    def tracked(row: dict[str, Any]) -> TrackedRun:
        empty = (table.iloc[:0] for table in tables)
        scores, routing, history = (
            part.get(row["run_id"], none) for part, none in zip(parts, empty, strict=True)
        )
        level = {name: _exact(row[name]) for name in varied if _is_set(row[name])}
        audio = RunFolder.known_as(folder.parent, row["run_id"]).file("examples.npz")
        keys = ("config_hash", "data_hash", "git_commit", "device")
        return TrackedRun(
            run_id=row["run_id"],
            name=run_name(row["cell"], f"seed {row['seed']}", level),
            tags={
                **_tags(folder.name, row["cell"]),
                **_system(row),
                **{key: row[key] for key in keys},
            },
            params={**_params(row["cell"], row["seed"], settings), **_level_params(level)},
            config=lambda: resolve(row["cell"], at_level(base, level)),
            state="done",
            history=lambda: _records(history),
            final=lambda: _final(scores, routing, row),
            utterances=scores["utterance"].nunique,
            levels=lambda: levels if row["run_id"] in shown else {},
            audio=audio if audio.exists() else None,
        )

    return [tracked(row) for row in _records(runs)]


def outside_systems(folder: Path) -> list[TrackedRun]:
    """Return the outside systems of a bundle; as `from_bundle`."""
    return [run for run in from_bundle(folder) if is_outside(run.tags["cell"])]


def config_of(folder: Path, study: dict[str, Any]) -> RunConfig:
    """Return the settings that the cells of a bundle vary.

    Raises:
        BundleError: they are none.
    """
    try:
        config = RunConfig(**study["config"])
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": ""}
        name = plain(".".join(["config", *(str(part) for part in first["loc"])]))
        raise BundleError(
            f"{folder / 'study.json'}: {name}: {first['msg'] or 'no settings'}: "
            "restore it or run the study again."
        ) from error
    if config.model is None:
        raise BundleError(
            f"{folder / 'study.json'} has no model settings: restore it or run the study again."
        )
    return config


def _tags(study: str, code: str) -> dict[str, str]:
    note = describe_cell(code, study)
    return {**cell_tags(study, code), "summary": "false", "mlflow.note.content": note}


def _system(row: dict[str, Any]) -> dict[str, str]:
    """Tags of an outside system; none of a run of the study's own."""
    if not is_outside(row["cell"]):
        return {}
    return {"outside_system": outside_name(row["cell"]), "version": row["system_version"]}


def _params(code: str, seed: int, config: dict[str, Any]) -> dict[str, str]:
    if not is_trained(code):
        return {**cell_params(code), "seed": str(seed)}
    values = {
        **cell_params(code),
        "seed": seed,
        "init_channels": config["model"]["init_channels"],
        "train_steps": config["train"]["steps"],
        "batch_size": config["train"]["batch_size"],
    }
    return {key: str(value) for key, value in values.items()}


def _is_set(value: Any) -> bool:
    """Whether a varied setting has an effect on the run, so that its row names it."""
    return isinstance(value, list | tuple) or not pd.isna(value)


def _exact(value: Any) -> Any:
    """Return a setting as it was given: whole numbers are stored as others beside empty values."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _level_params(level: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that a study varies as params, under the names of the others."""
    return {
        name.split(".")[-1].replace("steps", "train_steps"): str(v) for name, v in level.items()
    }


def _final(scores: pd.DataFrame, routing: pd.DataFrame, record: dict[str, Any]) -> dict[str, float]:
    """Mean scores over the distorted conditions and within each condition, and what a run cost."""
    learned = scores.loc[scores["counterfactual"] == "learned"]
    values = _means(learned.loc[learned["condition"].isin(DISTORTED)], "")
    for condition, part in learned.groupby("condition"):
        values |= _means(part, f"_{condition}")
    if len(routing):
        known = routing.dropna(subset=["true_class"])
        hits = (known["predicted_class"] == known["true_class"]).astype(float)
        values["test_routing_accuracy"] = float(hits.mean())
    values |= {key: record[key] for key in COSTS if record.get(key) is not None}
    values |= {key: round(values[key]) for key in COUNTS if np.isfinite(values.get(key, np.nan))}
    return {key: float(value) for key, value in values.items() if np.isfinite(value)}


def _means(scores: pd.DataFrame, suffix: str) -> dict[str, float]:
    known = [*METRICS, *FURTHER]
    stored = [metric for metric in known if metric in scores]  # a bundle may be older
    return {f"{metric}{suffix}": float(scores[metric].astype(float).mean()) for metric in stored}


def _records(table: pd.DataFrame) -> Rows:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
