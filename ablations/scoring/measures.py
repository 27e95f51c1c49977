"""Scores a stored study's runs in further measures, without training them again."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from ablations.bundles.further_columns import filled
from ablations.bundles.outside_rows import UTTERANCES, store_tables, stored_tables
from ablations.bundles.storing import claimed
from ablations.runs.run_folder import RUNS_FOLDER, RunFolder, prepare_results
from ablations.scoring.outside import stored_test_set
from ablations.tracking.run_contents import config_of
from smoe.config import ModelConfig
from smoe.errors import UserError
from smoe.schema.bundle import Stored, read_bundle
from smoe.schema.cells import UNPROCESSED

if TYPE_CHECKING:
    from torch import Tensor

    from smoe.mixtures.test_set import TestSet


def measure(bundle: Path, names: str, console: Console, *, data: str | None = None) -> list[str]:
    """Score the unprocessed input and every network whose weights are here in further measures.

    Outside systems are scored in them from their files, see `outside.score_outside`.

    Args:
        bundle: `results/<study>`.
        names: Measures, separated by commas, or "all" that are installed.
        console: Where progress is shown.
        data: Where the study's corpus is here; None for where the bundle says.

    Returns:
        Names of the runs that were scored.

    Raises:
        UserError: unknown measure, absent package, or another corpus than the study's.
        BundleError: the study has no bundle, or a damaged one.
    """
    from smoe.corpora import cores
    from smoe.evaluation.evaluate_further import score_further_set
    from smoe.evaluation.further_metrics import chosen

    wanted = chosen(names)
    if not wanted:
        raise UserError("Name the measures with --measures, or all.")
    stored = read_bundle(bundle)
    config = config_of(bundle, stored.study)
    test = stored_test_set(stored, config, data or stored.study["corpus"], bundle.parent, console)
    tables, done = [], []
    with console.status("Scoring ...") as status:
        for run_id, name, estimates in _estimates(stored, test, bundle.parent):
            status.update(f"Scoring {name} ...")
            rows = score_further_set(test, estimates, wanted, score_jobs=cores())
            tables.append(pd.DataFrame(rows).assign(run_id=run_id, counterfactual="learned"))
            done.append(name)
    prepare_results(bundle.parent)
    with claimed(bundle.parent / RUNS_FOLDER / f".bundle-{bundle.name}", bundle):
        changed = filled(stored_tables(bundle)[UTTERANCES], pd.concat(tables))
        store_tables(bundle, {UTTERANCES: changed})
    return done


def _estimates(
    stored: Stored, test: "TestSet", results: Path
) -> Iterator[tuple[str, str, "Tensor"]]:
    """Id, name and estimates of each run of which they can be made here."""
    from smoe.evaluation.enhance import load_enhancer
    from smoe.evaluation.evaluate import enhance_all

    for row in stored.runs.to_dict("records"):
        folder = RunFolder.known_as(results, str(row["run_id"]))
        if row["cell"] == UNPROCESSED:
            yield row["run_id"], UNPROCESSED, test.mixture.noisy
        elif folder.weights.is_file():
            settings = folder.read_json("config.json") or {}
            enhancer = load_enhancer(ModelConfig(**settings["model"]), folder.weights)
            yield row["run_id"], f"{row['cell']} seed {row['seed']}", enhance_all(enhancer, test)
