"""Damages of a bundle, one function each, and what its readers make of them."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations.bundles.restore import restore
from ablations.runs.plan import PlannedRun
from ablations.runs.trained_networks import trained_run
from ablations.tracking.run_contents import from_bundle
from analysis.bundle.load import BundleError, load_bundle
from analysis.rendering.forms import to_csv
from analysis.tables.all_tables import all_tables
from smoe.errors import UserError

TABLES = ("runs", "utterances", "routing", "history")
FILES = (*(f"{name}.parquet" for name in TABLES), "study.json", "examples.npz")
CELLS = ("unprocessed", "dense", "EMBDL.multi.supervised.global", "EMBDL.multi.implicit.per_layer")
Damage = Callable[[Path], None]


def small_copy(bundle: Path, folder: Path) -> Path:
    """Copy four runs of a stored bundle, as a bundle without digests."""
    folder.mkdir(parents=True)
    runs = pd.read_parquet(bundle / "runs.parquet")
    kept = set(runs.loc[runs["cell"].isin(CELLS), "run_id"])
    for name in TABLES:
        table = pd.read_parquet(bundle / f"{name}.parquet")
        table[table["run_id"].isin(kept)].to_parquet(folder / f"{name}.parquet", index=False)
    study = json.loads((bundle / "study.json").read_text(encoding="utf-8"))
    study.pop("sha256", None)
    (folder / "study.json").write_text(json.dumps(study, indent=1), encoding="utf-8")
    shutil.copy(bundle / "examples.npz", folder)
    return folder


def flip(name: str, seed: int) -> Damage:
    """Turn one bit of a file over."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        position = random.Random(f"{name} {seed}").randrange(8 * len(content))
        content[position // 8] ^= 1 << position % 8
        (folder / name).write_bytes(content)

    return damage


def cut(name: str, share: float) -> Damage:
    """Keep the first part of a file."""

    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return damage


def _edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        change(pd.read_parquet(path)).to_parquet(path, index=False)

    return damage


def _lacking(name: str, column: str) -> Damage:
    return _edit(name, lambda frame: frame.drop(columns=column))


def _filled(name: str, column: str, value: Any) -> Damage:
    return _edit(name, lambda frame: frame.assign(**{column: value}))


def _one(name: str, column: str, value: Any) -> Damage:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].astype(float).to_numpy(na_value=np.nan).copy()
        values[len(values) // 2] = value
        return frame.assign(**{column: values})

    return _edit(name, change)


def _json(*path: str, value: Any = None, drop: bool = False) -> Damage:
    def damage(folder: Path) -> None:
        study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        where = study
        for key in path[:-1]:
            where = where[key]
        if drop:
            where.pop(path[-1])
        else:
            where[path[-1]] = value
        (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")

    return damage


def _as_folder(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def damages(flips: int) -> Iterator[tuple[str, Damage]]:
    """All damages by name, with so many bit flips of each file."""
    for name in FILES:
        yield from ((f"flip {name} {i}", flip(name, i)) for i in range(flips))
        for share in (0.0, 0.3, 0.7, 0.99):
            yield f"cut {name} {share}", cut(name, share)
        yield f"missing {name}", lambda folder, name=name: (folder / name).unlink()
        yield f"folder {name}", _as_folder(name)
        yield (
            f"other {name}",
            lambda folder, name=name: shutil.copy(__file__, folder / name) and None,
        )
    for name, columns in _columns().items():
        for column, number in columns.items():
            yield f"lacks {name} {column}", _lacking(name, column)
            yield f"null {name} {column}", _filled(name, column, None)
            yield f"text {name} {column}", _filled(name, column, "text" if number else 3.5)
            if number:
                yield f"huge {name} {column}", _one(name, column, 1e78)
                yield f"negative {name} {column}", _one(name, column, -7e5)
        yield f"doubled {name}", _edit(name, lambda f: pd.concat([f, f]))
        yield f"halved {name}", _edit(name, lambda f: f.iloc[::2])
        yield f"empty {name}", _edit(name, lambda f: f.iloc[:0])
    for path in (
        ("schema_version",), ("study",), ("study", "name"), ("study", "title"),
        ("study", "question"), ("study", "cells"), ("study", "seeds"), ("failed",), ("corpus",),
        ("data_hash",), ("config",), ("config", "model"), ("config", "train"), ("packages",),
        ("python",),
    ):  # fmt: skip
        yield f"json lacks {path}", _json(*path, drop=True)
        for value in (None, 3, "text", [None], {"a": None}):
            yield f"json {path} = {value}", _json(*path, value=value)
    yield "json is a list", lambda folder: (folder / "study.json").write_text("[]") and None


def _columns() -> dict[str, dict[str, bool]]:
    """Columns of each table, and whether they hold numbers."""
    return {
        "runs.parquet": {
            "run_id": False, "cell": False, "placement": False, "bottleneck": False,
            "routing": False, "seed": True, "status": False, "params": True, "macs": True,
            "train_steps": True, "train_s": True, "device": False, "config_hash": False,
            "data_hash": False, "git_commit": False,
        },
        "utterances.parquet": {
            "run_id": False, "utterance": False, "condition": False, "snr_db": True,
            "rt60_s": True, "counterfactual": False, "pesq_wb": True, "stoi": True,
            "estoi": True, "si_sdr_db": True, "error": False,
        },
        "routing.parquet": {
            "run_id": False, "utterance": False, "layer": False, "confidence": True,
            "predicted_class": True, "true_class": True,
        },
        "history.parquet": {"run_id": False, "step": True, "loss": True, "grad_norm": True},
    }  # fmt: skip


def readers(folder: Path, runs: list[PlannedRun]) -> dict[str, Callable[[], Any]]:
    """Every way in which the suite reads a bundle; each gives what it has read."""

    def report() -> Any:
        return [to_csv(table) for table in all_tables(load_bundle(folder))]

    def arrays() -> Any:
        bundle = load_bundle(folder)
        history = bundle.history.drop(columns="run_id")
        tables = (bundle.runs, bundle.utterances, bundle.routing, history)
        return (
            [table.to_json() for table in tables],
            [np.nan_to_num(values, nan=-999).tobytes() for values in bundle.scores.values()],
            {name: values.tolist() for name, values in bundle.examples.items()},
            bundle.study,
        )

    def view() -> Any:
        seen = []
        for run in from_bundle(folder):
            seen += [run.run_id, run.params, run.config(), str(run.history()), run.final()]
        return seen

    def again() -> Any:
        for run in runs:
            shutil.rmtree(run.folder.path, ignore_errors=True)
        restore(runs, folder)
        return [
            (file.name, file.read_bytes())
            for run in runs
            for file in sorted(run.folder.path.glob("*.parquet"))
        ]

    def network() -> Any:
        try:
            trained_run(folder.parent, folder.name, "dense", 0)
        except UserError as error:
            if "not in git" not in str(error):
                raise
        return "known"

    return {
        "report": report, "arrays": arrays, "ui": view, "restore": again, "enhance": network,
    }  # fmt: skip


def verdict(read: Callable[[], Any], whole: Any, folder: Path) -> str:
    """`sentence`, `equal`, `traceback ...` or `silent` for one reader of a damaged bundle."""
    try:
        seen = read()
    except (BundleError, UserError) as error:
        text = str(error)
        good = str(folder) in text and "\n" not in text and text.endswith(".")
        return "sentence" if good else f"bad sentence: {text[:200]!r}"
    except Exception as error:
        return f"traceback {type(error).__name__}: {str(error)[:80]!r}"
    return "equal" if seen == whole else "silent"
