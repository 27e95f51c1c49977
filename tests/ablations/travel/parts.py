"""Parts of the smoke study as other machines would have stored them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ablations.bundles.bundle import write_bundle
from ablations.bundles.replacing import FILES
from ablations.runs.plan import plan
from ablations.studies.study import Study, load_study


def store_part(
    smoke: Path, results: Path, chosen: Sequence[int], study: Study | None = None
) -> Path:
    """Store the runs at some places of the plan, all of them trained by the smoke study."""
    data_hash = pd.read_parquet(smoke / "smoke" / "runs.parquet")["data_hash"].iloc[0]
    study = study or load_study("smoke")
    runs = plan(study, results, data_hash)
    for place in chosen:
        folder = runs[place].folder.path
        shutil.copytree(smoke / folder.relative_to(results), folder)
    write_bundle(study, runs, results / study.name)
    return results / study.name


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a bundle."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def describe_otherwise(bundle: Path, **changes: object) -> None:
    """Change entries of a bundle's `study.json`, as one without digests; `a__b` is `b` in `a`."""
    path = bundle / "study.json"
    described = {**json.loads(path.read_text()), "sha256": None}
    for name, value in changes.items():
        *above, last = name.split("__")
        place = described
        for each in above:
            place = place[each]
        place[last] = value
    path.write_text(json.dumps(described))


def change_table(bundle: Path, name: str, change) -> None:
    """Change a table of a bundle, as one without digests."""
    path = bundle / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    describe_otherwise(bundle)
