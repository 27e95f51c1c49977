"""Bundles with known effects, written as `ablations` writes them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from smoe.schema.columns import TABLES

CONTROLS = ["dense", "dense-params", "dense-macs", "uniform", "shuffled-labels"]
FULL = words.FULL_CELL
SINGLES = [words.cell_code(p) for p in words.placements()[1:6]]
ALL_AXES = list(product(*words.AXIS_LEVELS.values()))
QUICK = [*CONTROLS, *SINGLES, *[words.cell_code("EMBDL", axes) for axes in ALL_AXES]]
CORE = [*CONTROLS, *[words.cell_code(p) for p in words.placements()[1:]]]
EVERY = [
    *CONTROLS,
    *[words.cell_code(p, axes) for p in words.placements()[1:] for axes in ALL_AXES],
]
_BASE = {  # value of the unprocessed input and typical gain of a dense network, per condition
    "pesq_wb": {"noise": 2.05, "reverb": 2.30, "both": 1.90, "clean": 4.20},
    "stoi": {"noise": 0.70, "reverb": 0.68, "both": 0.58, "clean": 0.90},
    "estoi": {"noise": 0.60, "reverb": 0.55, "both": 0.40, "clean": 0.90},
    "si_sdr_db": {"noise": 5.0, "reverb": -3.0, "both": -6.0, "clean": 40.0},
}
_GAIN = {"pesq_wb": 0.10, "stoi": 0.04, "estoi": 0.05, "si_sdr_db": 3.0}
_SCALE = {"pesq_wb": 1.0, "stoi": 0.3, "estoi": 0.4, "si_sdr_db": 20.0}
COUNTERFACTUAL = {  # true change against the learned routing, by condition
    "oracle": {"noise": 0.005, "reverb": 0.005, "both": 0.005},
    "uniform": {"noise": -0.02, "reverb": -0.02, "both": -0.02},
    "random": {"noise": -0.03, "reverb": -0.03, "both": -0.03},
    "swapped": {"noise": -0.08, "reverb": -0.06, "both": 0.0},
    "noise-only": {"noise": -0.002, "reverb": -0.05, "both": -0.03},
    "reverb-only": {"noise": -0.06, "reverb": -0.002, "both": -0.03},
    "learned-normalized": {"noise": 0.0, "reverb": 0.0, "both": 0.01},
    "oracle-paper": {"noise": 0.005, "reverb": 0.005, "both": -0.01},
}


POSITION_EFFECTS = (0.005, 0.010, 0.030, 0.015, 0.020)


def additive_effect(cell: str) -> float:
    """A game without interactions: each position adds its own gain, each axis level too."""
    if "." not in cell:
        return {"dense-params": 0.01, "dense-macs": 0.012, "uniform": 0.04}.get(cell, 0.0)
    placement, mode, routing, scope = cell.split(".")
    gain = sum(e for e, letter in zip(POSITION_EFFECTS, placement, strict=True) if letter != "-")
    return (
        gain - 0.01 * (mode == "single") - 0.006 * (routing == "implicit")
        + 0.002 * (scope == "per_layer")
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a simulated study looks like; `effect` is a cell's true PESQ gain over dense.

    `late_seed_sd` is what a seed does to all cells with a late decoder alike; `room_sd` what a room
    adds to all processed scores. Without `clusters` the bundle is an old one: it does not say who
    speaks, nor which noise and room. `verdict` is the section of the study file, None without one.
    """

    cells: list[str]
    seeds: tuple[int, ...] = (0, 1, 2)
    per_condition: int = 30
    clean: int = 10
    seed_sd: float = 0.01
    utterance_sd: float = 0.15
    rest_sd: float = 0.03
    counterfactual_per_condition: int = 10
    late_seed_sd: float = 0.0
    room_sd: float = 0.0
    clusters: bool = True
    verdict: dict | None = None
    effect: Callable[[str], float] = additive_effect
    random_state: int = 0


def write_bundle(folder: Path, plan: Plan) -> Path:
    """Simulate a study and write its bundle; returns the folder."""
    rng = np.random.default_rng(plan.random_state)
    folder.mkdir(parents=True, exist_ok=True)
    utterances = _utterances(plan, rng)
    runs = _runs(plan)
    _scores(plan, runs, utterances, rng).to_parquet(folder / "utterances.parquet", index=False)
    runs.to_parquet(folder / "runs.parquet", index=False)
    _routing(runs, utterances, rng).to_parquet(folder / "routing.parquet", index=False)
    _history(runs, rng).to_parquet(folder / "history.parquet", index=False)
    study = {
        "schema_version": 1,
        "study": {
            "name": folder.name, "title": "A simulated study", "question": "Does it report?",
            "cells": plan.cells, "seeds": list(plan.seeds),
        },
        "failed": [], "corpus": "simulated", "data_hash": "d" * 64,
        "config": {"model": {"init_channels": 4}, "train": {"steps": 400}},
        "packages": {"numpy": "2"}, "python": "3.11",
    }  # fmt: skip
    if plan.verdict is not None:
        study["verdict"] = plan.verdict
    (folder / "study.json").write_text(json.dumps(study))
    _examples(folder / "examples.npz", rng)
    return folder


def _utterances(plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for condition in words.CONDITIONS:
        n = plan.clean if condition == "clean" else plan.per_condition
        for i in range(n):
            rows.append(
                {
                    "utterance": f"{condition}-{i:03d}", "condition": condition,
                    "snr_db": (-5, 0, 5, 10, 15)[i % 5] if condition in ("noise", "both") else None,
                    "rt60_s": rng.uniform(0.2, 1.0) if condition in ("reverb", "both") else None,
                    **(_shared(condition, i) if plan.clusters else {}),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).astype({"snr_db": float, "rt60_s": float})


def _shared(condition: str, i: int) -> dict[str, str | None]:
    """Who speaks, which noise and which room: crossed, each shared by several utterances."""
    noisy, reverberant = condition in ("noise", "both"), condition in ("reverb", "both")
    return {
        "speaker": f"speaker-{i % 6}",
        "noise": f"noise-{i % 4}" if noisy else None,
        "noise_type": ("rain", "babble")[i % 2] if noisy else None,
        "room": f"room-{i % 5}" if reverberant else None,
    }


def _run(cell: str, seed: int) -> dict:
    placement, mode, routing, scope = words.NO_PLACEMENT, None, None, None
    if "." in cell:
        placement, mode, routing, scope = cell.split(".")
    elif cell == "uniform":
        placement, mode, routing = "EMBDL", "multi", "uniform"
    elif cell == "shuffled-labels":
        placement, mode, routing, scope = "EMBDL", *words.REFERENCE_AXES
    n = len(placement) - placement.count("-")
    if cell in ("dense-params", "dense-macs"):
        n = 5
    processed = cell != "unprocessed"
    return {
        "run_id": f"{cell}-{seed}", "cell": cell,
        "placement": placement if processed else None,
        **{p: placement[i] != "-" for i, p in enumerate(words.POSITIONS)},
        "expert_mode": mode, "routing": routing, "router_scope": scope, "seed": seed,
        "status": "done", "params": 1e5 * (1 + 0.1 * n) if processed else None,
        "macs": 2e8 * (1 + 0.15 * n) if processed else None,
        "train_steps": 400 if processed else None, "train_s": 30.0 + n if processed else None,
        "inference_rtf": 0.01 * (1 + 0.2 * n) if processed else None, "device": "cpu",
        "config_hash": f"{cell}".encode().hex()[:16], "data_hash": "d" * 64,
        "git_commit": "c" * 40,
    }  # fmt: skip


def _runs(plan: Plan) -> pd.DataFrame:
    rows = [_run("unprocessed", 0)]
    rows += [_run(cell, seed) for cell in plan.cells for seed in plan.seeds]
    return pd.DataFrame(rows)


def has_router(cell: str) -> bool:
    """Whether counterfactual routing applies to a cell."""
    return "." in cell or cell == "shuffled-labels"


def _scores(
    plan: Plan, runs: pd.DataFrame, utterances: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    difficulty = rng.normal(0, plan.utterance_sd, len(utterances))
    conditions, everything = utterances["condition"], np.arange(len(utterances))
    clean = (conditions == "clean").to_numpy()
    position = utterances.groupby("condition").cumcount()
    subset = everything[(position < plan.counterfactual_per_condition) & ~clean]
    rooms = {f"room-{i}": plan.room_sd * rng.normal() for i in range(5)} if plan.room_sd else {}
    room = utterances["room"].map(rooms).fillna(0).to_numpy() if rooms else 0.0
    late = {s: plan.late_seed_sd * rng.normal() for s in plan.seeds} if plan.late_seed_sd else {}
    shifts = {
        name: conditions.map(by_condition).fillna(0).to_numpy()
        for name, by_condition in COUNTERFACTUAL.items()
    }
    base = {metric: conditions.map(values).to_numpy() for metric, values in _BASE.items()}
    parts: list[tuple[str, str, np.ndarray, dict[str, np.ndarray]]] = []
    for run in runs.itertuples():
        gain = plan.effect(run.cell) + rng.normal(0, plan.seed_sd)
        gain += late.get(run.seed, 0.0) if run.late_decoder else 0.0
        noise = rng.normal(0, plan.rest_sd, len(utterances)) + room
        change = gain + noise if run.cell != "unprocessed" else None
        parts.append((run.run_id, "learned", everything, _values(base, difficulty, clean, change)))
        for name, shift in shifts.items() if has_router(run.cell) else ():
            other = noise + shift + rng.normal(0, plan.rest_sd / 3, len(utterances))
            parts.append((run.run_id, name, subset, _values(base, difficulty, clean, gain + other)))
    lengths = [len(rows) for _, _, rows, _ in parts]
    frame = utterances.iloc[np.concatenate([rows for _, _, rows, _ in parts])]
    return frame.reset_index(drop=True).assign(
        run_id=np.repeat(np.array([run_id for run_id, *_ in parts], object), lengths),
        counterfactual=np.repeat(np.array([name for _, name, *_ in parts], object), lengths),
        error="",
        **{
            metric: np.concatenate([values[metric][rows] for _, _, rows, values in parts])
            for metric in _BASE
        },
    )


def _values(
    base: dict[str, np.ndarray],
    difficulty: np.ndarray,
    clean: np.ndarray,
    change: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return each metric of each utterance; `change` is what a network adds, None without one."""
    found = {}
    for metric, typical in base.items():
        values = typical + difficulty * _SCALE[metric] * ~clean
        if change is not None:
            values += np.where(clean, -0.1, 1) * _GAIN[metric] + _SCALE[metric] * change
        bounds = TABLES["utterances.parquet"][metric]
        found[metric] = np.clip(values, bounds.low, bounds.high)
    return found


def _routing(
    runs: pd.DataFrame, utterances: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    classes = utterances["condition"].map({"noise": 0, "reverb": 1, "both": 2})
    frames = []
    for run in runs[runs["cell"].map(has_router)].itertuples():
        layers = ["global"]
        if run.router_scope == "per_layer":
            layers = [p for p in words.POSITIONS if getattr(run, p)]
        for layer in layers:
            frames.append(_decisions(run, layer, utterances, classes, rng))
    columns = ["run_id", "utterance", "layer", "weight_noise", "weight_reverb", "confidence"]
    empty = pd.DataFrame(columns=[*columns, "predicted_class", "true_class"])
    return pd.concat(frames, ignore_index=True) if frames else empty


def _decisions(
    run, layer: str, utterances: pd.DataFrame, classes: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    sharpness = {"supervised": 2.0, "implicit": 0.5}[run.routing]
    if run.cell == "shuffled-labels":
        sharpness = 0.05
    logits = rng.normal(0, 1, (len(utterances), 3))
    known = classes.notna().to_numpy()
    logits[known, classes[known].astype(int)] += sharpness
    snr = utterances["snr_db"].fillna(20).to_numpy()
    logits[:, 0] += 0.04 * sharpness * (5 - snr)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "run_id": run.run_id, "utterance": utterances["utterance"], "layer": layer,
            "weight_noise": p[:, 0] + p[:, 2], "weight_reverb": p[:, 1] + p[:, 2],
            "confidence": p.max(axis=1), "predicted_class": p.argmax(axis=1),
            "true_class": classes.astype("Int64"),
        }
    )  # fmt: skip


def _history(runs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    steps = np.arange(10, 401, 10)
    frames = []
    for run in runs[runs["cell"] != "unprocessed"].itertuples():
        loss = 0.5 + 1.5 * np.exp(-steps / 120) + rng.normal(0, 0.03, len(steps))
        routed = has_router(run.cell) and run.routing == "supervised"
        accuracy = 1 / 3 + 0.6 * (1 - np.exp(-steps / 100)) + rng.normal(0, 0.03, len(steps))
        frames.append(
            pd.DataFrame(
                {
                    "run_id": run.run_id, "step": steps, "loss": loss, "enhancement_loss": loss,
                    "routing_loss": np.exp(-steps / 100) if routed else np.nan,
                    "routing_accuracy": np.clip(accuracy, 0, 1) if routed else np.nan,
                    "grad_norm": 1.0, "learning_rate": 1e-3,
                }
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def _examples(path: Path, rng: np.random.Generator) -> None:
    time, frequency = np.arange(94) / 62.5, np.arange(257) * 31.25
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.9 * time)
    harmonics = np.cos(2 * np.pi * frequency[:, None] / pitch) ** 8
    envelope = np.exp(-frequency[:, None] / 2500) * (0.6 + 0.4 * np.sin(9 * time)) ** 2
    clean = 20 * np.log10(harmonics * envelope + 1e-4)
    arrays: dict[str, np.ndarray | str] = {"cell": FULL}
    for condition in words.DISTORTED:
        floor = rng.normal(-35, 6, clean.shape)
        noisy = 10 * np.log10(10 ** (clean / 10) + 10 ** (floor / 10))
        enhanced = 10 * np.log10(10 ** (clean / 10) + 10 ** ((floor - 18) / 10))
        for name, image in (("noisy", noisy), ("enhanced", enhanced), ("clean", clean)):
            scaled = (image - noisy.max() + 80) / 80 * 255
            arrays[f"{condition}/{name}"] = np.clip(scaled, 0, 255).astype(np.uint8)
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]


def edit(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Rewrite one parquet file of a bundle with a change applied."""
    path = folder / name
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def edit_study(folder: Path, **changes: object) -> None:
    """Rewrite fields of study.json."""
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def drop_runs(folder: Path, run_ids: Iterable[str]) -> None:
    """Remove runs from all tables, as if they had never finished."""
    gone = set(run_ids)
    for path in folder.glob("*.parquet"):
        edit(folder, path.name, lambda frame: frame[~frame["run_id"].isin(gone)])
