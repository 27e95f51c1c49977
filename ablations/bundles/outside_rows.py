"""Rows of outside systems in a bundle: kept when the study is stored again, added by `score`."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ablations.bundles.parquet import to_bytes
from smoe.atomic import write_atomic
from smoe.schema.bundle import EXAMPLES, read_bundle
from smoe.schema.cells import is_outside
from smoe.schema.columns import TABLES
from smoe.schema.digests import OWN, with_digests
from smoe.schema.errors import BundleError

RUNS, UTTERANCES = "runs.parquet", "utterances.parquet"
Rows = dict[str, pa.Table]  # by the name of the file; none where a study has no outside system


def kept_rows(folder: Path, data_hash: str) -> Rows:
    """Return a bundle's rows of outside systems that were scored on this corpus.

    Args:
        folder: `results/<study>`; need not hold a bundle.
        data_hash: Of the corpus of the study's runs.
    """
    try:
        runs = read_bundle(folder).runs
    except BundleError:
        return {}
    outside = runs["cell"].map(is_outside) & (runs["data_hash"] == data_hash)
    known = set(runs.loc[outside, "run_id"])
    if not known:
        return {}
    return {n: _of_runs(pq.read_table(folder / n), known) for n in (RUNS, UTTERANCES)}


def with_rows(own: dict[str, pa.Table], outside: Rows) -> dict[str, pa.Table]:
    """Return tables with the rows of outside systems; own rows are empty in columns of theirs."""
    return {**own, **{name: _joined(own[name], rows) for name, rows in outside.items()}}


def replace_rows(folder: Path, cell: str, rows: Rows) -> None:
    """Store an outside system in a bundle, in place of what the bundle has of that cell.

    All else stays byte for byte, but for the digests in `study.json`, which is written last.
    """
    stored = stored_tables(folder)
    cells = dict(zip(*(stored[RUNS][name].to_pylist() for name in ("run_id", "cell")), strict=True))
    others = {run_id for run_id, each in cells.items() if each != cell}
    own = {name: _of_runs(table, others) for name, table in stored.items()}
    store_tables(folder, with_rows(own, rows))


def stored_tables(folder: Path) -> dict[str, pa.Table]:
    """Return a bundle's tables of runs and of utterances as they are stored."""
    return {name: pq.read_table(folder / name) for name in (RUNS, UTTERANCES)}


def store_tables(folder: Path, tables: dict[str, pa.Table]) -> None:
    """Put tables in the place of a bundle's; `study.json` with the new digests is written last."""
    changed = {name: to_bytes(table) for name, table in tables.items()}
    names = [name for name in (*TABLES, EXAMPLES) if (folder / name).exists()]
    files = {name: changed.get(name) or (folder / name).read_bytes() for name in names}
    description = with_digests(json.loads((folder / OWN).read_text("utf-8-sig")), files)
    changed[OWN] = json.dumps(description, indent=1).encode()
    for name, content in changed.items():
        write_atomic(folder / name, content)


def _of_runs(table: pa.Table, run_ids: set[str]) -> pa.Table:
    return table.filter(pa.array([each in run_ids for each in table["run_id"].to_pylist()]))


def _joined(own: pa.Table, rows: pa.Table) -> pa.Table:
    parts = [own.replace_schema_metadata(None), rows.replace_schema_metadata(None)]
    joined = pa.concat_tables(parts, promote_options="permissive")
    return joined.replace_schema_metadata(own.schema.metadata)
