"""Reading a bundle: every file and column checked before anything is reported."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.verdict_rules import verdict_rules

SCHEMA_VERSION = 1
COLUMNS = {
    "runs.parquet": (
        "run_id", "cell", "placement", *words.POSITIONS, *words.AXES, "seed", "status", "params",
        "macs", "train_steps", "train_s", "inference_rtf", "device", "config_hash", "data_hash",
        "git_commit",
    ),
    "utterances.parquet": (
        "run_id", "utterance", "condition", "snr_db", "rt60_s", "counterfactual", *words.METRICS,
        "error",
    ),
    "routing.parquet": (
        "run_id", "utterance", "layer", "weight_noise", "weight_reverb", "confidence",
        "predicted_class", "true_class",
    ),
    "history.parquet": (
        "run_id", "step", "loss", "enhancement_loss", "routing_loss", "routing_accuracy",
        "grad_norm", "learning_rate",
    ),
}  # fmt: skip
_OPTIONAL = {"utterances.parquet": ("speaker", "noise", "noise_type", "room")}  # new bundles
_TEXT = (
    "run_id", "utterance", "condition", "counterfactual", "layer", "error",
    *_OPTIONAL["utterances.parquet"],
)  # fmt: skip


class BundleError(Exception):
    """A results folder that cannot be reported: one sentence with the file and the remedy."""


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: a file or column is missing, the schema is unknown, a run stands twice or is
            not done, two corpora are mixed, or a run has no value of a metric at all.
    """
    study = _read_study(folder / "study.json")
    runs = _read_runs(folder / "runs.parquet", study)
    table = _read(folder / "utterances.parquet")
    run_rows = _rows_of(table["run_id"], runs["run_id"], folder / "utterances.parquet")
    utterances = _utterance_table(table, folder / "utterances.parquet")
    columns = pd.Index(utterances["utterance"]).get_indexer(table["utterance"].cat.categories)
    utterance_rows = columns[table["utterance"].cat.codes]
    scores = _score_arrays(table, folder / "utterances.parquet", run_rows, utterance_rows, runs)
    failed = (table["error"].astype(str) != "").to_numpy() & table["error"].notna().to_numpy()
    errors = pd.DataFrame(
        {
            "run": run_rows[failed],
            "utterance": table.loc[failed, "utterance"].astype(str),
            "counterfactual": table.loc[failed, "counterfactual"].astype(str),
            "error": table.loc[failed, "error"].astype(str),
        }
    ).reset_index(drop=True)
    return Bundle(
        folder=folder, study=study, runs=runs, utterances=utterances, scores=scores, errors=errors,
        routing=_read_routing(folder / "routing.parquet", runs, utterances),
        history=_read(folder / "history.parquet"),
        examples=_read_examples(folder / "examples.npz"),
    )  # fmt: skip


def _read_study(path: Path) -> dict:
    if not path.is_file():
        raise BundleError(
            f"{path} does not exist: name a study that has results, or run the study first."
        )
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} is not valid JSON ({error}): restore it or run again.") from None
    version = study.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version}, this report reads version {SCHEMA_VERSION}: "
            "use the release that wrote it or run the study again."
        )
    if missing := {"name", "cells", "seeds"} - set(study.get("study", {})):
        raise BundleError(
            f"{path} lacks {', '.join(sorted(missing))} under `study`: run the study again."
        )
    try:
        verdict_rules(study)
    except ValueError as error:
        raise BundleError(
            f"{path}: {error}; restore the section from the study file or run the study again."
        ) from None
    return study


def _read(path: Path) -> pd.DataFrame:
    """A table with the columns of the schema; texts that repeat are read as categories."""
    wanted = COLUMNS[path.name]
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise BundleError(f"{path} does not exist: run the study again to rebuild it.") from None
    except Exception as error:  # pyarrow has no common class for a damaged file
        raise BundleError(
            f"{path} cannot be read ({error}): restore it or run the study again."
        ) from None
    if missing := [name for name in wanted if name not in schema.names]:
        raise BundleError(
            f"{path} lacks the column {', '.join(missing)}: "
            "it was written by another version, run the study again."
        )
    wanted += tuple(name for name in _OPTIONAL.get(path.name, ()) if name in schema.names)
    texts = [name for name in _TEXT if name in wanted]
    frame = pq.read_table(path, columns=list(wanted), read_dictionary=texts).to_pandas()
    for name in texts:
        frame[name] = frame[name].astype("category")
    return frame


def _read_runs(path: Path, study: dict) -> pd.DataFrame:
    runs = _read(path)
    runs["run_id"] = runs["run_id"].astype(str)
    if runs.empty:
        raise BundleError(f"{path} has no finished run: run the study first.")
    unfinished = runs[runs["status"] != "done"]
    if len(unfinished):
        raise BundleError(
            f"{path} holds run {unfinished['run_id'].iloc[0]} which is not done: "
            "let the study finish, only finished runs are reported."
        )
    for keys in (["run_id"], ["cell", "seed"]):
        twice = runs[runs.duplicated(keys)]
        if len(twice):
            row = twice.iloc[0]
            raise BundleError(
                f"{path} holds cell {row['cell']} with seed {row['seed']} (run {row['run_id']}) "
                "twice: rebuild the bundle from the run folders."
            )
    hashes = sorted(set(runs["data_hash"]) | {study.get("data_hash", runs["data_hash"].iloc[0])})
    if len(hashes) > 1:
        raise BundleError(
            f"{path} mixes results of two corpora (data hashes {hashes[0][:8]} and "
            f"{hashes[1][:8]}): report them as two studies with results folders of their own."
        )
    order = runs["cell"].map(words.cell_order)
    return runs.iloc[
        sorted(range(len(runs)), key=lambda i: (order.iloc[i], runs["seed"].iloc[i]))
    ].reset_index(drop=True)


def _rows_of(values: pd.Series, known: pd.Series, path: Path) -> np.ndarray:
    """Row number in `known` of each categorical value."""
    rows = pd.Index(known).get_indexer(values.cat.categories)
    used = np.unique(values.cat.codes)
    if unknown := [i for i in used if i < 0 or rows[i] < 0]:
        raise BundleError(
            f"{path} speaks of {values.name} {values.cat.categories[unknown[0]]} that "
            "the other tables do not hold: rebuild the bundle from the run folders."
        )
    return rows[values.cat.codes]


def _utterance_table(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    known = [name for name in _OPTIONAL["utterances.parquet"] if name in table]
    meta = table[["utterance", "condition", "snr_db", "rt60_s", *known]].drop_duplicates()
    meta = meta.astype({"utterance": str, "condition": str})
    twice = meta[meta["utterance"].duplicated()]
    if len(twice):
        raise BundleError(
            f"{path} describes utterance {twice['utterance'].iloc[0]} in two ways: its runs were "
            "scored on different test sets, rebuild the bundle from runs of one plan."
        )
    if unknown := sorted(set(meta["condition"]) - set(words.CONDITIONS)):
        raise BundleError(
            f"{path} has the unknown condition {unknown[0]}: expected one of "
            f"{', '.join(words.CONDITIONS)}."
        )
    meta["stratum"] = meta["condition"].map(words.CONDITIONS.index)
    return meta.sort_values(["stratum", "utterance"]).reset_index(drop=True)


def _score_arrays(
    table: pd.DataFrame, path: Path, run_rows: np.ndarray, utterance_rows: np.ndarray,
    runs: pd.DataFrame,
) -> dict[str, np.ndarray]:  # fmt: skip
    known = pd.Series(words.COUNTERFACTUALS, name="counterfactual")
    kinds = _rows_of(table["counterfactual"], known, path)
    shape = (len(known), len(runs), int(utterance_rows.max()) + 1)
    flat = np.ravel_multi_index((kinds, run_rows, utterance_rows), shape)
    if len(np.unique(flat)) < len(flat):
        raise BundleError(f"{path} scores an utterance of a run twice: rebuild the bundle.")
    scores = {}
    for metric in words.METRICS:
        values = np.full(shape, np.nan)
        values.ravel()[flat] = table[metric].to_numpy(dtype=float)
        values[~np.isfinite(values)] = np.nan
        empty = np.flatnonzero(np.isnan(values[0]).all(axis=1))
        if len(empty):
            raise BundleError(
                f"{path} has no {words.METRICS[metric].label} at all for run "
                f"{runs['run_id'].iloc[empty[0]]} (cell {runs['cell'].iloc[empty[0]]}): "
                "see its `error` column, remove that run's folder and run the study again."
            )
        scores[metric] = values
    return scores


def _read_routing(path: Path, runs: pd.DataFrame, utterances: pd.DataFrame) -> pd.DataFrame:
    routing = _read(path)
    routing["run"] = _rows_of(routing["run_id"], runs["run_id"], path)
    routing["position"] = _rows_of(routing["utterance"], utterances["utterance"], path)
    routing["true_class"] = routing["true_class"].astype(float)  # NaN: clean speech has no class
    return routing


def _read_examples(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
