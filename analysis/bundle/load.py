"""A checked bundle as the reports know it: scores as arrays over run and utterance."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.parts import reported
from analysis.bundle.verdict_rules import verdict_rules
from smoe.schema.bundle import read_bundle
from smoe.schema.errors import BundleError


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: a file is missing, unreadable or damaged, a column is missing or holds what it
            cannot, a run stands twice or is not done, two corpora are mixed, or a run has no value
            of a metric at all.
    """
    stored = read_bundle(folder)
    try:
        verdict_rules(stored.study)
    except ValueError as error:
        raise BundleError(
            f"{folder / 'study.json'}: {error}; restore the section from the study file or run the "
            "study again."
        ) from None
    path, table = folder / "utterances.parquet", stored.utterances
    runs = _in_order(stored.runs)
    run_rows = _rows_of(table["run_id"], runs["run_id"], path)
    utterances = _utterance_table(table)
    columns = pd.Index(utterances["utterance"]).get_indexer(table["utterance"].cat.categories)
    utterance_rows = columns[table["utterance"].cat.codes]
    scores = _score_arrays(table, path, run_rows, utterance_rows, runs)
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
        folder=folder, study=stored.study, runs=runs, utterances=utterances, scores=scores,
        errors=errors, routing=_routing(stored.routing, runs, utterances, folder),
        history=stored.history, examples=stored.examples, mark=stored.mark,
    )  # fmt: skip


def load_reported(folder: Path) -> Bundle:
    """Read and check a bundle, and keep the runs that its reports speak of, see `parts.reported`.

    Raises:
        BundleError: as `load_bundle`.
    """
    return reported(load_bundle(folder))


def _in_order(runs: pd.DataFrame) -> pd.DataFrame:
    order = runs["cell"].map(words.cell_order)
    return runs.iloc[
        sorted(range(len(runs)), key=lambda i: (order.iloc[i], runs["seed"].iloc[i]))
    ].reset_index(drop=True)


def _rows_of(values: pd.Series, known: pd.Series, path: Path) -> np.ndarray:
    """Return the row number in `known` of each categorical value."""
    rows = pd.Index(known).get_indexer(values.cat.categories)
    used = np.unique(values.cat.codes)
    if unknown := [i for i in used if i < 0 or rows[i] < 0]:
        raise BundleError(
            f"{path} speaks of {values.name} {values.cat.categories[unknown[0]]} that "
            "the other tables do not hold: rebuild the bundle from the run folders."
        )
    return rows[values.cat.codes]


def _utterance_table(table: pd.DataFrame) -> pd.DataFrame:
    later = [name for name in ("speaker", "noise", "noise_type", "room") if name in table]
    meta = table[["utterance", "condition", "snr_db", "rt60_s", *later]].drop_duplicates()
    meta = meta.astype({"utterance": str, "condition": str})
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
    scores = {}
    for metric in {**words.METRICS, **words.FURTHER}:
        if metric not in table and metric in words.FURTHER:
            continue  # nobody has asked for it
        values = np.full(shape, np.nan)
        if metric in table:
            values.ravel()[flat] = table[metric].to_numpy(dtype=float)
        scores[metric] = values
    return scores


def _routing(
    routing: pd.DataFrame, runs: pd.DataFrame, utterances: pd.DataFrame, folder: Path
) -> pd.DataFrame:
    path = folder / "routing.parquet"
    routing["run"] = _rows_of(routing["run_id"], runs["run_id"], path)
    routing["position"] = _rows_of(routing["utterance"], utterances["utterance"], path)
    routing["true_class"] = routing["true_class"].astype(float)  # NaN: clean speech has no class
    return routing
