"""Stored bundles that a command names, and the study and runs that a bundle describes."""

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ablations.runs.plan import PlannedRun
from ablations.runs.run_folder import RunFolder
from ablations.studies.files import require_name
from ablations.studies.grid import resolve
from ablations.studies.study import SECTIONS, Study
from ablations.studies.variation import Level, Variation, at_level
from ablations.studies.verdict import Verdict
from smoe.config import RunConfig
from smoe.errors import UserError
from smoe.schema.bundle import Stored
from smoe.schema.digests import OWN
from smoe.schema.text import plain


def bundle_folder(named: str, results: Path) -> Path:
    """Return the folder of a bundle that is named as a folder or as a study.

    Raises:
        UserError: neither holds a bundle.
    """
    places = (results / named, Path(named))
    for folder in places:
        if (folder / OWN).is_file():
            return folder
    raise UserError(
        f"There is no bundle in {places[0]}, nor in a folder {named}; name a study that has "
        "results, or the folder that holds its study.json."
    )


def results_folder(results: Path, name: str) -> Path:
    """Return the folder of a study's results by the name it is to have.

    Raises:
        UserError: the name leads elsewhere, or names something else in a results folder.
    """
    try:
        require_name(Path(f"{name}.toml"))
        plain_name = "/" not in name
    except UserError:
        plain_name = False
    if not plain_name:
        raise UserError(f'"{plain(name)}" cannot name a folder of results; choose a plain name.')
    return results / name


def described_study(stored: Stored) -> Study:
    """Return the study as its bundle describes it; no study file is needed.

    Raises:
        UserError: its settings are of another version of the suite.
    """
    inner, config = stored.study["study"], stored.study["config"]
    varied = {name: tuple(values) for name, values in (inner.get("vary") or {}).items()}
    try:
        verdict = Verdict(**stored.study.get("verdict", {}))
        RunConfig(**config)
    except (ValidationError, TypeError) as error:
        raise UserError(
            f"The settings of {inner['name']} are of another version of the suite; use the commit "
            f"that made it, {stored.runs['git_commit'].iloc[0]}."
        ) from error
    return Study(
        name=inner["name"],
        title=inner["title"],
        question=inner["question"],
        cells=tuple(inner["cells"]),
        seeds=tuple(inner["seeds"]),
        data=stored.study["corpus"],
        settings={section: config[section] for section in SECTIONS},
        variations=(Variation(varied),) if varied else (),
        verdict=verdict,
    )


def described_runs(stored: Stored, study: Study, results: Path) -> list[PlannedRun]:
    """Return the runs of a bundle as a plan would have them in a results folder.

    Raises:
        UserError: this code would do another run than the one that is stored.
    """
    varied = study.varied
    runs = [_planned(row, study, varied, results) for row in stored.runs.to_dict("records")]
    for run, row in zip(runs, stored.runs.to_dict("records"), strict=True):
        if run.config.identity() != row["config_hash"]:
            raise UserError(
                f"Run {row['run_id']} ({run.name}) of {study.name} would be another one here: the "
                "code computes other numbers by now or has other settings; check out commit "
                f"{row['git_commit']} and give the same command there."
            )
    return runs


def _planned(
    row: dict[Any, Any], study: Study, varied: dict[str, tuple[Any, ...]], results: Path
) -> PlannedRun:
    level: Level = {name: _value(row.get(name), values) for name, values in varied.items()}
    effective = {name: value for name, value in level.items() if value is not None}
    config = resolve(row["cell"], at_level(study.base(row["data_hash"]), effective))
    above = RunFolder.above(results, config)
    return PlannedRun(
        row["cell"], int(row["seed"]), config, RunFolder(above / str(row["seed"])), level
    )


def _value(stored: Any, values: tuple[Any, ...]) -> Any:
    """The value of a varied setting as the study has it; None where it has no effect on the run."""
    known = [value for value in values if value == stored]
    return known[0] if known else None if pd.isna(stored) else stored
