"""Checks of a bundle's tables: kinds and bounds of each column, and rows that fit together."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from smoe.schema.cells import is_trained
from smoe.schema.columns import (
    AXES,
    CONDITIONS,
    COUNTERFACTUALS,
    LETTERS,
    METRICS,
    POSITIONS,
    ROUNDING,
    ROUTING_FORMS,
    Column,
)
from smoe.schema.errors import BundleError
from smoe.schema.text import plain

AGAIN = "restore it or run the study again"


def check_columns(path: Path, table: pa.Table, columns: dict[str, Column]) -> None:
    """Refuse a table that lacks a column, or has values of another kind or beyond the bounds."""
    present = table.schema.names
    if len(set(present)) < len(present):
        raise BundleError(f"{path} names a column twice: {AGAIN}.")
    if missing := [n for n, column in columns.items() if column.required and n not in present]:
        raise BundleError(
            f"{path} lacks the column {', '.join(missing)}: "
            "it was written by another version, run the study again."
        )
    for name, column in columns.items():
        if name in present:
            _check_column(path, name, table.column(name), column)


def _check_column(path: Path, name: str, values: pa.ChunkedArray, column: Column) -> None:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (_is_kind(kind, column) or pa.types.is_null(kind)):
        raise BundleError(f"{path} has no {_KINDS[column.kind]} in column {name}: {AGAIN}.")
    frame = values.to_pandas()
    numbers = column.kind in ("number", "whole")
    if not column.empty and bool(frame.isna().any()):
        raise BundleError(f"{path} has an empty value in column {name}: {AGAIN}.")
    if column.words and (other := sorted(set(frame.dropna().astype(str)) - set(column.words))):
        raise BundleError(
            f"{path} has {plain(other[0])} in column {name}, expected one of "
            f"{', '.join(column.words)}: {AGAIN}."
        )
    if not numbers or pa.types.is_null(kind):
        return
    found = pd.to_numeric(frame).astype(float).to_numpy(na_value=np.nan)
    room = ROUNDING * max(1.0, abs(column.high)) if abs(column.high) < 1e3 else 0.0
    known = found[~np.isnan(found)]
    wrong = known[(known < column.low - room) | (known > column.high + room)]
    if column.kind == "whole" and not len(wrong):
        wrong = known[known != np.floor(known)]
    if len(wrong):
        raise BundleError(
            f"{path} has {float(wrong[0]):.6g} in column {name}, which cannot be: {AGAIN}."
        )


_KINDS = {"text": "text", "number": "numbers", "whole": "whole numbers", "flag": "yes or no"}


def _is_kind(kind: Any, column: Column) -> bool:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return {
        "text": text,
        "number": number,
        "whole": number,
        "flag": pa.types.is_boolean(kind),
    }[column.kind]


def check_runs(path: Path, runs: pd.DataFrame, study: dict[str, Any]) -> None:
    """Refuse runs that are unfinished, there twice, or of two corpora."""
    if runs.empty:
        raise BundleError(f"{path} has no finished run: run the study first.")
    unfinished = runs[runs["status"] != "done"]
    if len(unfinished):
        raise BundleError(
            f"{path} holds run {unfinished['run_id'].iloc[0]} which is not done: "
            "let the study finish, only finished runs are reported."
        )
    varied = [name for name in study["study"].get("vary") or {} if name in runs]
    for keys in (["run_id"], ["cell", "seed", *varied]):
        twice = runs[runs.duplicated(keys)]
        if len(twice):
            row = twice.iloc[0]
            raise BundleError(
                f"{path} holds cell {row['cell']} with seed {row['seed']} (run {row['run_id']}) "
                "twice: rebuild the bundle from the run folders."
            )
    trained = runs[runs["cell"].map(is_trained)]
    for name in ("params", "macs", "train_steps", "train_s"):
        if len(empty := trained[trained[name].isna()]):
            raise BundleError(
                f"{path} has no {name} of run {empty['run_id'].iloc[0]}, a trained one: {AGAIN}."
            )
    for row in runs.itertuples():
        if not _is_cell(row):
            raise BundleError(
                f"{path} describes run {row.run_id} as another network than its cell {row.cell}: "
                f"{AGAIN}."
            )
    known = [study["data_hash"]] if study["data_hash"] else []
    hashes = sorted({*runs["data_hash"], *known})
    if len(hashes) > 1:
        raise BundleError(
            f"{path} mixes results of two corpora (data hashes {hashes[0][:8]} and "
            f"{hashes[1][:8]}): report them as two studies with results folders of their own."
        )


def _is_cell(row: Any) -> bool:
    """Whether placement and axes of a run are those that its cell's code names."""
    switches = [bool(getattr(row, position)) for position in POSITIONS]
    letters = "".join(x if on else "-" for x, on in zip(LETTERS, switches, strict=True))
    placement = letters if isinstance(row.placement, str) else None
    placed = row.placement == letters or (not any(switches) and placement is None)
    axes = [getattr(row, axis) for axis in AXES]
    named = row.cell.split(".")
    return placed and (len(named) == 1 or named == [placement, *axes])


def check_utterances(path: Path, table: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Refuse scores of unknown runs or conditions, two test sets, and missing or repeated rows."""
    check_known(path, table["run_id"], runs["run_id"])
    meta = table[["utterance", "condition", "snr_db", "rt60_s"]].drop_duplicates()
    twice = meta[meta["utterance"].duplicated()]
    if len(twice):
        raise BundleError(
            f"{path} describes utterance {twice['utterance'].iloc[0]} in two ways: its runs were "
            "scored on different test sets, rebuild the bundle from runs of one plan."
        )
    if unknown := sorted(set(meta["condition"].astype(str)) - set(CONDITIONS)):
        raise BundleError(
            f"{path} has the unknown condition {unknown[0]}: expected one of "
            f"{', '.join(CONDITIONS)}."
        )
    for name, conditions in (("snr_db", ("noise", "both")), ("rt60_s", ("reverb", "both"))):
        if len(empty := meta[meta["condition"].isin(conditions) & meta[name].isna()]):
            raise BundleError(
                f"{path} has no {name} of utterance {empty['utterance'].iloc[0]}: {AGAIN}."
            )
    kinds = table["counterfactual"].cat.remove_unused_categories().cat.categories.astype(str)
    if strange := [k for k in kinds if k not in COUNTERFACTUALS and not k.endswith("-only")]:
        raise BundleError(f"{path} has the unknown counterfactual {strange[0]}: {AGAIN}.")
    if table.duplicated(["run_id", "utterance", "counterfactual"]).any():
        raise BundleError(f"{path} scores an utterance of a run twice: rebuild the bundle.")
    rows = table.groupby(["counterfactual", "run_id"], observed=True).size()
    for kind, counts in rows.groupby(level="counterfactual", observed=True):
        whole = len(meta) if kind == "learned" else int(counts.max())
        short = counts[counts < whole]
        if len(short):
            raise BundleError(
                f"{path} lacks rows of run {short.index[0][1]} ({int(short.iloc[0])} of {whole} "
                f"utterances under {kind}): {AGAIN}."
            )
    if silent := sorted(set(runs["run_id"]) - set(table["run_id"].astype(str))):
        raise BundleError(f"{path} has no row of run {silent[0]}: {AGAIN}.")
    learned = table[table["counterfactual"] == "learned"]
    for metric in METRICS:
        scored = learned.groupby("run_id", observed=True)[metric].count()
        if len(empty := scored[scored == 0]):
            raise BundleError(
                f"{path} has no {metric} at all for run {empty.index[0]}: see its `error` column, "
                "set that run's folder aside and run the study again."
            )
    unsaid = table[list(METRICS)].isna().any(axis=1) & (
        table["error"].astype(str).isin(("", "nan"))
    )
    if unsaid.any():
        row = table[unsaid].iloc[0]
        raise BundleError(
            f"{path} lacks a score of run {row['run_id']} on {row['utterance']} and the reason for "
            f"it: {AGAIN}."
        )


def check_routing(
    path: Path, table: pd.DataFrame, runs: pd.DataFrame, utterances: pd.DataFrame
) -> None:
    """Refuse decisions of unknown runs, and missing or repeated rows of a router."""
    form = next((f for f in ROUTING_FORMS if set(f) <= set(table)), None)
    if form is None:
        raise BundleError(
            f"{path} lacks the column weight: it was written by another version, "
            "run the study again."
        )
    known = utterances["utterance"].cat.remove_unused_categories().cat.categories
    check_known(path, table["run_id"], runs["run_id"])
    check_known(path, table["utterance"], pd.Series(known))
    experts = ["expert"] if "expert" in form else []
    if table.duplicated(["run_id", "utterance", "layer", *experts]).any():
        raise BundleError(f"{path} has a decision of a run twice: rebuild the bundle.")
    groups = table.groupby(["run_id", "layer", *experts], observed=True).size()
    short = groups[groups < len(known)]
    if len(short):
        raise BundleError(
            f"{path} lacks decisions of run {short.index[0][0]} ({int(short.iloc[0])} of "
            f"{len(known)} utterances): {AGAIN}."
        )
    clean = utterances.loc[utterances["condition"] == "clean", "utterance"].astype(str)
    if len(empty := table[table["true_class"].isna() & ~table["utterance"].isin(set(clean))]):
        raise BundleError(
            f"{path} has no true_class of utterance {empty['utterance'].iloc[0]}: {AGAIN}."
        )
    decided: dict[str, set[str]] = {}
    for run_id, layer in table[["run_id", "layer"]].drop_duplicates().astype(str).to_numpy():
        decided.setdefault(run_id, set()).add(layer)
    for row in runs.itertuples():
        if decided.get(str(row.run_id), set()) != _layers(row):
            raise BundleError(f"{path} has not the layers of run {row.run_id}: {AGAIN}.")


def _layers(row: Any) -> set[str]:
    """The layers whose routers decide in a run; none without a router."""
    if row.routing == "uniform" or not isinstance(row.router_scope, str):
        return set()
    placed = {position for position in POSITIONS if getattr(row, position)}
    return {"global"} if row.router_scope == "global" else placed


def check_history(path: Path, table: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Refuse steps of unknown runs, repeated ones, and histories that end before the training."""
    check_known(path, table["run_id"], runs["run_id"])
    if table.duplicated(["run_id", "step"]).any():
        raise BundleError(f"{path} has a step of a run twice: rebuild the bundle.")
    trained = runs.dropna(subset=["train_steps"])
    last = table.groupby("run_id", observed=True)["step"].max()
    ends = trained["run_id"].map(dict(last)).astype(float)
    short = trained[ends.to_numpy() != trained["train_steps"].to_numpy(dtype=float)]
    if len(short):
        raise BundleError(
            f"{path} does not hold the training of run {short['run_id'].iloc[0]} to its last "
            f"step: {AGAIN}."
        )


def check_known(path: Path, values: pd.Series, known: pd.Series) -> None:
    """Refuse a table that speaks of what the other tables do not hold."""
    used = values.cat.remove_unused_categories().cat.categories
    if unknown := sorted(set(used.astype(str)) - set(known.astype(str))):
        raise BundleError(
            f"{path} speaks of {values.name} {plain(unknown[0])} that the other tables do not "
            "hold: rebuild the bundle from the run folders."
        )
