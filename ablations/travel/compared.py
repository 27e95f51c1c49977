"""Two stored results of one run, compared value by value."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from smoe.schema.bundle import Stored
from smoe.schema.columns import METRICS

TABLES = {
    "utterances": ["utterance", "counterfactual"],
    "routing": ["utterance", "layer", "expert"],
    "history": ["step"],
}
UNLIKE = float("inf")  # a value that one has and the other lacks, or a text that differs
Columns = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Differences:
    """How far two results of a run lie apart.

    Attributes:
        values: Largest absolute difference of a single value, by column; `UNLIKE` where one of the
            two lacks it, or where texts differ.
        means: Difference of mean scores over the distorted utterances as routed by the network, by
            metric, second minus first.
        errors: Standard error of each of these, from its spread over utterances.
        losses: Root mean square difference of the training losses, in units of how much those of
            the first vary from one logged step to the next; about 1.4 for other batches.
        rows: Tables whose rows are others, so that their values cannot be compared.
        forms: Tables that are stored in another form, and were therefore not compared.
    """

    values: dict[str, float]
    means: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    losses: float = 0.0
    rows: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """Whether every value that both have is the same to the bit."""
        return not self.rows and not any(self.values.values())

    @property
    def trained_alike(self) -> bool:
        """Whether the training losses are the same to the bit, so that scoring alone may differ."""
        return self.values.get("loss") == 0.0


def differences(first: Stored, second: Stored, run_id: str) -> Differences:
    """Compare what two bundles hold of one run; only columns that both have are compared."""
    values: dict[str, float] = {}
    means: dict[str, float] = {}
    errors: dict[str, float] = {}
    losses, rows, forms = 0.0, [], []
    for name, keys in TABLES.items():
        pair = _of_run(first, name, run_id), _of_run(second, name, run_id)
        key = [column for column in keys if column in pair[0]]
        if key != [column for column in keys if column in pair[1]]:
            forms.append(name)
            continue
        columns = _aligned(*pair, key)
        if columns is None:
            rows.append(name)
            continue
        values |= {column: _largest(*each) for column, each in columns.items()}
        if name == "utterances":
            means, errors = _means(columns)
        elif name == "history" and len(pair[0]):
            losses = _apart(*columns["loss"])
    return Differences(values, means, errors, losses, tuple(rows), tuple(forms))


def _of_run(stored: Stored, table: str, run_id: str) -> pd.DataFrame:
    rows = getattr(stored, table)
    return rows[rows["run_id"].astype(str) == run_id].drop(columns="run_id")


def _aligned(first: pd.DataFrame, second: pd.DataFrame, keys: list[str]) -> Columns | None:
    """Return the values of each common column, row by row; None if the rows are others."""
    a, b = (
        table.astype(dict.fromkeys(table.select_dtypes("category"), "str"))
        .sort_values(keys)
        .reset_index(drop=True)
        for table in (first, second)
    )
    if len(a) != len(b) or not a[keys].equals(b[keys]):
        return None
    common = [name for name in a.columns if name in b and (name not in keys or name in _SELECTING)]
    return {name: (_array(a[name]), _array(b[name])) for name in common}


_SELECTING = ("counterfactual",)


def _array(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=str)


def _largest(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest absolute difference of two columns."""
    if first.dtype.kind != "f" or second.dtype.kind != "f":
        same = np.array_equal(first.astype(str), second.astype(str))
        return 0.0 if same else UNLIKE
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return UNLIKE
    apart = np.abs(first - second)
    return float(np.nanmax(apart)) if np.isfinite(apart).any() else 0.0


def _means(columns: Columns) -> tuple[dict[str, float], dict[str, float]]:
    """Return the difference of each metric's mean, and its standard error."""
    judged = (columns["condition"][0] != "clean") & (columns["counterfactual"][0] == "learned")
    means, errors = {}, {}
    for metric in METRICS:
        first, second = (side[judged] for side in columns[metric])
        apart = (second - first)[~np.isnan(first) & ~np.isnan(second)]
        if len(apart):
            means[metric] = float(apart.mean())
            errors[metric] = float(apart.std(ddof=1) / np.sqrt(len(apart))) if len(apart) > 1 else 0
    return means, errors


def _apart(first: np.ndarray, second: np.ndarray) -> float:
    square = float(np.sqrt(np.mean((first - second) ** 2)))
    changes = np.diff(first)
    if not square or not len(changes):
        return UNLIKE if square else 0.0
    # Of independent values; the median leaves out the steep beginning of a training.
    varying = float(np.median(np.abs(changes - np.median(changes)))) * 1.4826 / np.sqrt(2)
    return float(square / varying) if varying else UNLIKE
