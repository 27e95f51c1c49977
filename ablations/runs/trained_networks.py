"""Trained networks of finished runs, found by study, cell and seed."""

import shlex
from pathlib import Path

import pandas as pd

from ablations.runs.run_folder import RunFolder
from ablations.studies.grid import UNPROCESSED
from smoe.config import ModelConfig
from smoe.errors import UserError
from smoe.schema.bundle import read_runs
from smoe.schema.names import no_such_cell, require_stored, seed_names


def trained_run(results: Path, study: str, cell: str, seed: int) -> tuple[ModelConfig, Path]:
    """Return settings and weights of a finished run that a study's bundle names.

    Raises:
        UserError: the cell or seed has no finished run, or its weights are not here; the sentence
            lists what there is, or says how to train it.
        BundleError: there is no bundle, or an incomplete or damaged one.
    """
    require_stored(results, study)
    runs = read_runs(results / study)
    chosen = _chosen(runs[runs["cell"] != UNPROCESSED], study, cell, seed)
    folder = RunFolder.known_as(results, chosen["run_id"].iloc[0])
    settings = folder.read_json("config.json")
    if settings is None or not settings["model"] or not folder.weights.exists():
        raise UserError(_how_to_train(results, study, runs, chosen.iloc[0]))
    return ModelConfig(**settings["model"]), folder.weights


def _chosen(runs: pd.DataFrame, study: str, cell: str, seed: int) -> pd.DataFrame:
    of_cell = runs[runs["cell"] == _whole(cell, runs)]
    if of_cell.empty:
        raise UserError(no_such_cell(study, cell, runs["cell"]))
    chosen = of_cell[of_cell["seed"] == seed]
    if chosen.empty:
        raise UserError(
            f"{study} has no network {cell} of seed {seed}; "
            f"it has the seeds {seed_names(of_cell['seed'])}."
        )
    return chosen


def _whole(cell: str, runs: pd.DataFrame) -> str:
    """Return the one cell of a study that a placement such as `E-B--` names, or the cell itself."""
    named = {name for name in runs["cell"] if name.split(".")[0] == cell.upper()}
    return next(iter(named)) if len(named) == 1 else cell


def _how_to_train(results: Path, study: str, runs: pd.DataFrame, run: pd.Series) -> str:
    """Return what to do where a network's scores are stored and its weights are not."""
    seeds = sorted(set(runs["seed"]))
    place = seeds.index(run["seed"]) + 1  # runs go seed by seed
    limit = f" --limit {place}" if len(seeds) > 1 else ""
    command = (
        f"python run_all.py run --study {shlex.quote(study)} --only {run['cell']}{limit} "
        "--no-report --results trained"
    )
    spent = f"{run['train_s']:.0f} s on {run['device']}"
    return (
        f"{results} has the scores of {run['cell']}, seed {run['seed']}, but not its weights "
        f"(they are not in git): train it with `{command}` ({spent} for training), "
        "and name `--results trained` here."
    )
