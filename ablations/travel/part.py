"""A bundle that is to be merged: as it was checked, and its tables as they lie in their files."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ablations.studies.grid import UNPROCESSED, find
from smoe.errors import UserError
from smoe.schema.bundle import Stored, intact_examples, mark_of, read_bundle
from smoe.schema.columns import TABLES
from smoe.schema.digests import OWN


@dataclass(frozen=True)
class Part:
    """One of the bundles.

    Attributes:
        folder: Where it lies.
        stored: Its content, checked.
        tables: Its tables by file name, with every column and type that they were written with.
        examples: Content of its `examples.npz`; None without.
        study: Content of its `study.json` as it stands there, with the order of its entries.
    """

    folder: Path
    stored: Stored
    tables: dict[str, pa.Table]
    examples: bytes | None
    study: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Part":
        """Read a bundle.

        Raises:
            BundleError: it is incomplete or damaged.
            UserError: it was written anew meanwhile.
        """
        stored = read_bundle(folder)
        tables = {name: pq.read_table(io.BytesIO((folder / name).read_bytes())) for name in TABLES}
        described = json.loads((folder / OWN).read_text("utf-8-sig"))
        part = cls(folder, stored, tables, intact_examples(folder), described)
        part.require_unchanged()
        return part

    def require_unchanged(self) -> None:
        """Refuse to go on with a bundle that was written anew since it was read.

        Raises:
            UserError: it was.
        """
        if mark_of(self.folder) != self.stored.mark:
            raise UserError(
                f"{self.folder} is being written; give the same command again when its study has "
                "ended."
            )

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `runs.parquet` by run id, in their order."""
        return {row["run_id"]: row for row in self.tables["runs.parquet"].to_pylist()}

    def example_run(self) -> str | None:
        """Return the id of the run whose spectrograms are stored; None without."""
        if self.examples is None:
            return None
        cell = str(self.stored.examples["cell"])
        known = [run_id for run_id, row in self.runs().items() if row["cell"] == cell]
        return known[0] if known else None


def layers(run: dict[str, Any]) -> int:
    """Return how many S-MoE layers the network of a run has."""
    return 0 if run["cell"] == UNPROCESSED else len(find(run["cell"]).placement)
