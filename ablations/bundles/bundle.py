"""The compact bundle of a study: four tables, `study.json`, and three spectrogram triplets.

It is the contract between running and analysing: whatever reads results reads only this.
"""

import contextlib
import importlib.metadata
import io
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations.bundles.further_columns import filled, kept_columns
from ablations.bundles.outside_rows import kept_rows, with_rows
from ablations.bundles.parquet import to_arrow, to_bytes
from ablations.runs.plan import PlannedRun
from ablations.studies.grid import find
from ablations.studies.study import Study
from smoe.atomic import write_atomic
from smoe.config import POSITIONS, SAMPLE_RATE
from smoe.metrics import METRICS
from smoe.schema.bundle import intact_examples
from smoe.schema.cells import is_trained
from smoe.schema.description import SCHEMA_VERSION
from smoe.schema.digests import with_digests

PACKAGES = (
    "torch", "torchaudio", "numpy", "scipy", "pandas", "pyarrow", "pesq", "pystoi", "joblib",
    "mlflow", "pydantic", "soundfile", "soxr", "pyroomacoustics",
    "espeakng-loader",
)  # fmt: skip
# Names and types of the columns, so that a column that happens to be empty keeps its type.
UTTERANCES = {
    "run_id": "string", "utterance": "string", "condition": "string", "snr_db": "float64",
    "rt60_s": "float64", "speaker": "string", "noise": "string", "noise_type": "string",
    "room": "string", "counterfactual": "string", **dict.fromkeys(METRICS, "float32"),
    "error": "string",
}  # fmt: skip
ROUTING = {
    "run_id": "string", "utterance": "string", "layer": "string", "weight_noise": "float32",
    "weight_reverb": "float32", "confidence": "float32", "predicted_class": "Int8",
    "true_class": "Int8",
}  # fmt: skip
HISTORY = {
    "run_id": "string", "step": "int64", "loss": "float32", "enhancement_loss": "float32",
    "routing_loss": "float32", "routing_accuracy": "float32", "grad_norm": "float32",
    "learning_rate": "float32", "loss_labelled": "float32", "loss_routed": "float32",
}  # fmt: skip
COLLECTED = {
    "utterances.parquet": UTTERANCES, "routing.parquet": ROUTING, "history.parquet": HISTORY,
}  # fmt: skip
DYNAMIC_RANGE_DB = 80.0


def write_bundle(
    study: Study,
    runs: list[PlannedRun],
    folder: Path,
    before_write: Callable[[], None] = lambda: None,
) -> None:
    """Collect the finished runs of a study; each file is written whole or not at all.

    Further measures and outside systems that the folder's bundle has are kept.

    Everything is made first and then written at once, `study.json` with the digests last, so that
    files of two states lie side by side for a moment only.

    Args:
        study: The study.
        runs: Its plan; runs that are not done stay out and are listed as missing or failed.
        folder: `results/<study>`.
        before_write: Called before each file is written; what it raises ends the writing.
    """
    done = [run for run in runs if run.folder.is_done()]
    tables = {"runs.parquet": to_arrow(runs_table([_run_row(run) for run in done]))}
    for name, columns in COLLECTED.items():
        tables[name] = to_arrow(_collect(done, name, columns))
    kept = kept_columns(folder)
    if kept is not None:
        tables["utterances.parquet"] = filled(tables["utterances.parquet"], kept)
    tables = with_rows(tables, kept_rows(folder, runs[0].config.data_hash))
    files = {name: to_bytes(table) for name, table in tables.items()}
    example = _example_run(done)
    if example:
        buffer = io.BytesIO()
        levels = example_levels(example.cell, example.folder.file("examples.npz"))
        np.savez_compressed(buffer, **levels)  # pyright: ignore[reportArgumentType]
        files["examples.npz"] = buffer.getvalue()
    elif kept := intact_examples(folder):  # the run's folder has none on this machine
        files["examples.npz"] = kept
    described = with_digests(_description(study, runs), files)
    files["study.json"] = json.dumps(described, indent=1).encode()
    for name, content in files.items():
        before_write()
        write_atomic(folder / name, content)
    if example:
        _write_audio(example, folder / "audio")


def runs_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of runs, whose types follow from all of its rows."""
    table = pd.DataFrame(rows)
    return table.astype({"batch_parts": "Int8"}) if "batch_parts" in table else table


def _run_row(run: PlannedRun) -> dict[str, Any]:
    cell = find(run.cell)
    record = run.folder.read_json("run.json") or {}
    return {
        "run_id": run.folder.run_id,
        "cell": cell.code,
        "placement": cell.placement_code if is_trained(cell.code) else None,
        **{position: position in cell.placement for position in POSITIONS},
        "expert_mode": cell.expert_mode,
        "routing": cell.routing,
        "router_scope": cell.router_scope,
        "seed": run.seed,
        **run.level,
        "status": "done",
        **{key: record[key] for key in ("params", "macs", "train_steps", "train_s")},
        "batch_parts": record.get("batch_parts"),
        "inference_rtf": record["inference_rtf"],
        "device": record["device"],
        "config_hash": run.config.identity(),
        "data_hash": run.config.data_hash,
        "git_commit": record["git_commit"],
    }


def _collect(done: list[PlannedRun], name: str, columns: dict[str, str]) -> pd.DataFrame:
    parts = []
    for run in done:
        part = pd.read_parquet(run.folder.file(name))
        if len(part):
            parts.append(part.assign(run_id=run.folder.run_id))
    table = pd.concat(parts) if parts else pd.DataFrame(columns=list(columns))
    return table.reindex(columns=list(columns)).astype(columns).reset_index(drop=True)


def _description(study: Study, runs: list[PlannedRun]) -> dict[str, Any]:
    failed = [
        {
            "cell": run.cell,
            "seed": run.seed,
            **run.level,
            **(run.folder.read_json("failed.json") or {}),
        }
        for run in runs
        if run.state() == "failed"
    ]
    base = study.base(runs[0].config.data_hash)
    return {
        "schema_version": SCHEMA_VERSION,
        "study": {
            "name": study.name,
            "title": study.title,
            "question": study.question,
            "cells": list(study.cells),
            "seeds": list(study.seeds),
            "runs_per_seed": sum(run.config.model is not None for run in runs) // len(study.seeds),
            "vary": {name: list(values) for name, values in study.varied.items()},
        },
        "verdict": study.verdict.described(),
        "failed": failed,
        "corpus": study.data,
        "data_hash": base.data_hash,
        "config": base.model_dump(mode="json"),
        "packages": _versions(),
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    """Versions of the packages that are installed; MLflow may be absent on a compute host."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _example_run(done: list[PlannedRun]) -> PlannedRun | None:
    """The run whose spectrograms stand for the study: the first with the most S-MoE layers."""
    trained = [run for run in done if run.folder.file("examples.npz").exists()]
    return max(trained, key=lambda run: len(find(run.cell).placement), default=None)


def example_levels(cell: str, examples: Path) -> dict[str, np.ndarray]:
    """Magnitudes as uint8, 0 to 255 for -80 to 0 dB of each condition's noisy maximum."""
    arrays: dict[str, np.ndarray] = {"cell": np.array(cell)}
    with np.load(examples) as waves:
        for condition in ("noise", "reverb", "both"):
            names = ("noisy", "enhanced", "clean")
            levels = {name: _level_db(waves[f"{condition}/{name}"]) for name in names}
            top = levels["noisy"].max()
            for signal, level in levels.items():
                scaled = 1 + (level - top) / DYNAMIC_RANGE_DB
                arrays[f"{condition}/{signal}"] = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return arrays


def _write_audio(run: PlannedRun, folder: Path) -> None:
    """The same triplets to listen to, 16 kHz WAV; they stay on this machine (see .gitignore)."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    with np.load(run.folder.file("examples.npz")) as waves:
        for name in waves:
            path = folder / f"{name.replace('/', '-')}.wav"
            soundfile.write(path, waves[name], SAMPLE_RATE, subtype="PCM_16")


def _level_db(wave: np.ndarray) -> np.ndarray:
    from scipy.signal import stft

    _, _, spec = stft(wave, SAMPLE_RATE, nperseg=512, noverlap=256)
    return 20 * np.log10(np.abs(spec) + 1e-10)
