"""Trained networks of finished runs, found by study, cell and seed."""

from pathlib import Path

from ablations.runs.run_folder import RunFolder
from smoe.config import ModelConfig
from smoe.errors import UserError
from smoe.schema.bundle import read_bundle


def trained_run(results: Path, study: str, cell: str, seed: int) -> tuple[ModelConfig, Path]:
    """Return settings and weights of a finished run that a study's bundle names.

    Raises:
        UserError: the study, cell or seed has no finished run, or its weights are not here.
        BundleError: the bundle is incomplete or damaged.
    """
    if not (results / study / "study.json").exists():
        raise UserError(f"There are no results in {results / study}; run the study first.")
    runs = read_bundle(results / study).runs
    run_ids = runs.loc[(runs["cell"] == cell) & (runs["seed"] == seed), "run_id"].tolist()
    if not run_ids:
        have = ", ".join(sorted(set(runs["cell"]))[:6])
        raise UserError(f"{study} has no finished run of {cell}, seed {seed}; it has {have}, ...")
    folder = RunFolder.known_as(results, run_ids[0])
    settings = folder.read_json("config.json")
    if settings is None or not settings["model"]:
        raise UserError(
            f"The weights of {cell}, seed {seed} are not on this machine; "
            f"train them with `run_all.py run --study {study}`."
        )
    return ModelConfig(**settings["model"]), folder.weights
