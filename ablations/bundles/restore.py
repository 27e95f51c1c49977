"""Takes the finished runs of a bundle for done, so that a study goes on where another left it.

A bundle travels where run folders do not: into the repository, from a machine that was lent.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.runs.plan import PlannedRun
from smoe.atomic import write_atomic
from smoe.schema.bundle import read_bundle
from smoe.schema.columns import TABLES as COLUMNS
from smoe.schema.errors import BundleError

TABLES = ("utterances", "routing", "history")
RECORD = (
    "params", "macs", "train_steps", "train_s", "batch_parts", "inference_rtf", "device",
    "git_commit",
)  # fmt: skip


def restore_all(runs: list[PlannedRun], results: Path, study: str) -> int:
    """Make the folders of runs that a study's own bundle has, or one of another study beside it.

    A run is the same in every study that has it, so that a larger study begins with what a smaller
    one has trained. Bundles of others that are damaged are passed over.

    Args:
        runs: A study's plan.
        results: Results folder.
        study: Name of the study.

    Returns:
        How many runs were restored.

    Raises:
        BundleError: the study's own bundle is incomplete or damaged.
    """
    restored = restore(runs, results / study)
    for described in sorted(results.glob("*/study.json")):
        if described.parent.name != study:
            with contextlib.suppress(BundleError):
                restored += restore(runs, described.parent)
    return restored


def restore(runs: list[PlannedRun], bundle: Path) -> int:
    """Make the folders of runs that are not done here but in a bundle, all but their weights.

    Args:
        runs: A study's plan.
        bundle: `results/<study>`; need not exist.

    Returns:
        How many runs were restored.

    Raises:
        BundleError: the bundle is incomplete or damaged.
    """
    if not any((bundle / name).exists() for name in ("study.json", *COLUMNS)):
        return 0
    stored = read_bundle(bundle)
    known = stored.runs.set_index("run_id")
    rows = {name: _by_run(getattr(stored, name)) for name in TABLES}
    restored = 0
    for run in runs:
        run_id = run.folder.run_id
        if run.folder.is_done() or run_id not in known.index:
            continue
        record: Any = known.loc[run_id]
        if record["config_hash"] != run.config.identity():
            continue
        resolved = {"cell": run.cell, "seed": run.seed, **run.config.model_dump(mode="json")}
        files = {
            "config.json": json.dumps(resolved, indent=1).encode(),
            "run.json": json.dumps(
                {key: _plain(record.get(key)) for key in RECORD}, indent=1
            ).encode(),
            **{f"{name}.parquet": _parquet(rows[name].get(run_id)) for name in TABLES},
        }
        for name, content in files.items():
            write_atomic(run.folder.file(name), content)
        run.folder.mark_done(list(files))
        restored += 1
    return restored


def _by_run(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    parts = table.groupby("run_id", sort=False, observed=True)
    return {str(run_id): part.drop(columns="run_id") for run_id, part in parts}


def _parquet(rows: pd.DataFrame | None) -> bytes:
    buffer = io.BytesIO()
    (pd.DataFrame() if rows is None else rows).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """A value of a table as JSON knows it."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
