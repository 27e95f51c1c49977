"""Columns of further measures in a bundle's table of utterances: filled, and kept."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from smoe.schema.bundle import read_bundle
from smoe.schema.errors import BundleError
from smoe.schema.measures import FURTHER

KEYS = ["run_id", "utterance", "counterfactual"]


def filled(utterances: pa.Table, values: pd.DataFrame) -> pa.Table:
    """Return the table of utterances with values of further measures.

    Args:
        utterances: As stored.
        values: `KEYS`, columns of `FURTHER`, and optionally `error`, which is added to the reasons
            that the table has; rows that the table has not are left out.
    """
    keys = utterances.select(KEYS).to_pandas().astype(str)
    found = keys.merge(values, how="left", on=KEYS)
    for name in [column for column in FURTHER if column in values]:
        new = found[name].astype("float64")
        if name in utterances.column_names:
            new = new.fillna(utterances[name].to_pandas().astype("float64"))
        utterances = _with(utterances, name, pa.array(new, pa.float32(), from_pandas=True))
    if "error" in values:
        known = utterances["error"].to_pandas().fillna("").astype(str)
        reasons = [joined(a, b) for a, b in zip(known, found["error"].fillna(""), strict=True)]
        utterances = _with(utterances, "error", pa.array(reasons, utterances["error"].type))
    return utterances


def kept_columns(folder: Path) -> pd.DataFrame | None:
    """Return what a bundle has of further measures, for `filled`; None where it has none."""
    try:
        stored = read_bundle(folder).utterances
    except BundleError:
        return None
    names = [name for name in FURTHER if name in stored]
    rows = stored[stored[names].notna().any(axis=1)] if names else stored.iloc[:0]
    if rows.empty:
        return None
    return rows[[*KEYS, *names, "error"]].astype(dict.fromkeys([*KEYS, "error"], str))


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.column_names.index(name), name, values)


def joined(known: str, more: str) -> str:
    """Return reasons, separated by semicolons, of two texts; each reason once."""
    reasons = [*known.split("; "), *(r for r in more.split("; ") if r not in known.split("; "))]
    return "; ".join(filter(None, reasons))
