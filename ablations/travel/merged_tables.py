"""The tables of a merged bundle: rows of both parts in the order of the undivided study."""

from typing import Any

import pyarrow as pa

from ablations.bundles.bundle import runs_table
from ablations.bundles.parquet import to_arrow, to_bytes
from ablations.studies.grid import UNPROCESSED
from ablations.travel.part import Part

RUNS = "runs.parquet"


def in_study_order(parts: list[Part], study: dict[str, Any]) -> list[str]:
    """Return the ids of all runs: the unprocessed input, then seeds, cells and varied settings.

    Args:
        parts: The bundles.
        study: The merged `study.json`'s entry of the same name.
    """
    rows = {run_id: row for part in parts for run_id, row in part.runs().items()}
    return sorted(rows, key=lambda run_id: _place(rows[run_id], study))


def _place(run: dict[str, Any], study: dict[str, Any]) -> tuple[int, ...]:
    if run["cell"] == UNPROCESSED:
        return (0,)
    levels = [_index(values, run.get(name)) for name, values in (study.get("vary") or {}).items()]
    return (1, _index(study["seeds"], run["seed"]), _index(study["cells"], run["cell"]), *levels)


def _index(values: list[Any], value: Any) -> int:
    return values.index(value) if value in values else len(values)


def merged_runs(parts: list[Part], order: list[str], owner: dict[str, int]) -> bytes:
    """Return `runs.parquet`, whose types follow from all of its rows as in an undivided study."""
    rows = [part.runs() for part in parts]
    columns = _columns([part.tables[RUNS] for part in parts])
    chosen = [rows[owner[run_id]][run_id] for run_id in order]
    frame = runs_table([{name: row.get(name) for name in columns} for row in chosen])
    return to_bytes(to_arrow(frame))


def merged_rows(parts: list[Part], name: str, order: list[str], owner: dict[str, int]) -> bytes:
    """Return another table: each run's rows from the part that it is taken from."""
    tables = [part.tables[name] for part in parts]
    columns = _columns(tables)
    whole = pa.concat_tables(tables, promote_options="permissive").select(columns)
    part_of = [place for place, table in enumerate(tables) for _ in range(table.num_rows)]
    rank = {run_id: place for place, run_id in enumerate(order)}
    run_ids = whole.column("run_id").to_pylist()
    kept = [row for row, run_id in enumerate(run_ids) if owner[run_id] == part_of[row]]
    kept.sort(key=lambda row: rank[run_ids[row]])
    fullest = max(tables, key=lambda table: table.num_columns)
    chosen = whole.take(pa.array(kept, pa.int64())).combine_chunks()
    return to_bytes(chosen.replace_schema_metadata(fullest.schema.metadata))


def _columns(tables: list[pa.Table]) -> list[str]:
    """Columns of all tables, in the order of the one that has the most."""
    fullest = sorted(tables, key=lambda table: -table.num_columns)
    return list(dict.fromkeys(name for table in fullest for name in table.schema.names))
