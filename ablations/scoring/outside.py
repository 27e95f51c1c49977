"""Outside systems: a study's test set for them, and their estimates scored as a cell of it."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from rich.console import Console

from ablations.bundles.bundle import UTTERANCES
from ablations.bundles.further_columns import joined
from ablations.bundles.outside_rows import Rows, replace_rows
from ablations.bundles.parquet import to_arrow
from ablations.bundles.storing import claimed
from ablations.execution.runner import git_commit
from ablations.pipeline import prepare_corpus
from ablations.runs.run_folder import RUNS_FOLDER, prepare_results
from ablations.studies.grid import resolve
from ablations.studies.study import Study
from ablations.tracking.run_contents import config_of
from smoe.config import POSITIONS, RunConfig
from smoe.errors import UserError
from smoe.schema.bundle import Stored, read_bundle
from smoe.schema.cells import UNPROCESSED, outside_code
from smoe.schema.measures import FURTHER

if TYPE_CHECKING:
    from smoe.mixtures.exporting import Estimates
    from smoe.mixtures.test_set import TestSet

AXES = ("expert_mode", "routing", "router_scope")
ABOUT = ("condition", "snr_db", "rt60_s", "speaker", "noise", "noise_type", "room")


def export(study: Study, results: Path, folder: Path, console: Console) -> Path:
    """Write a study's test set as WAV with a manifest; return the manifest.

    Raises:
        UserError: unusable corpus, or a folder that cannot take the files.
    """
    from smoe.mixtures.exporting import export_test_set
    from smoe.mixtures.test_set import test_set

    corpus = prepare_corpus(study.data, results, console)
    return export_test_set(test_set(corpus, study.base(corpus.data_hash).test), folder)


def score_outside(
    estimates: Path,
    name: str,
    bundle: Path,
    console: Console,
    *,
    version: str = "",
    data: str | None = None,
    measures: str = "",
) -> str:
    """Score a folder of estimates as a cell of a stored study, in place of an earlier one.

    Args:
        estimates: One WAV file per utterance, named as `data export` names them.
        name: Of the system.
        bundle: `results/<study>`.
        console: Where progress is shown.
        version: What the system was, in words; empty if nobody says.
        data: Where the study's corpus is here; None for where the bundle says.
        measures: Further measures, separated by commas, or "all" that are installed.

    Returns:
        The cell's code.

    Raises:
        UserError: an impossible name, a file that is not as it should be, another corpus than the
            study's, or a measure that is defined for none of the estimates.
        BundleError: the study has no bundle, or a damaged one.
    """
    from smoe.evaluation.further_metrics import chosen
    from smoe.mixtures.exporting import read_estimates

    further = chosen(measures)
    cell = _code(name)
    stored = read_bundle(bundle)
    config = config_of(bundle, stored.study)
    test = stored_test_set(stored, config, data or stored.study["corpus"], bundle.parent, console)
    found = read_estimates(test, estimates)
    identity = _identity(name, test.utterance, found.sha256)
    known = stored.runs.set_index("run_id").get("system_version", pd.Series(dtype=str))
    if known.get(f"{identity[:16]}-0") == version and not further:
        console.print(f"{cell} has been scored from these files.")
        return cell
    with console.status(f"Scoring {len(test.utterance)} estimates ..."):
        scores = _scores(test, found, further)
    rows = _rows(stored, cell, identity, version, scores)
    prepare_results(bundle.parent)
    with claimed(bundle.parent / RUNS_FOLDER / f".bundle-{bundle.name}", bundle):
        replace_rows(bundle, cell, rows)
    return cell


def _code(name: str) -> str:
    try:
        return outside_code(name)
    except ValueError:
        raise UserError(
            f'"{name}" cannot name a system; use up to 40 letters, digits, - and _.'
        ) from None


def stored_test_set(
    stored: Stored, config: RunConfig, data: str, results: Path, console: Console
) -> "TestSet":
    """The test set of a bundle, mixed again; refused where it would be another one."""
    from smoe.mixtures.test_set import test_set

    corpus = prepare_corpus(data, results, console)
    if corpus.data_hash != stored.study["data_hash"]:
        raise UserError(
            f"The corpus {data} is not the one of the study here (data hash "
            f"{corpus.data_hash[:8]}, not {stored.study['data_hash'][:8]}); name it with --data."
        )
    here = resolve(UNPROCESSED, config).identity()
    if here not in set(stored.runs["config_hash"]):
        raise UserError(
            "The study's bundle was made by a version of the suite that mixed other test sets; "
            "run the study again, or score with that version."
        )
    return test_set(corpus, config.test)


def _identity(name: str, utterances: list[str], digests: list[str]) -> str:
    content = {"system": name, "estimates": dict(zip(utterances, digests, strict=True))}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _scores(test: "TestSet", found: "Estimates", further: tuple[str, ...]) -> pd.DataFrame:
    """Every measure of every estimate, with its digest.

    Raises:
        UserError: a measure is defined for none of them.
    """
    from smoe.corpora import cores
    from smoe.evaluation.evaluate import score_estimates
    from smoe.evaluation.evaluate_further import score_further_set
    from smoe.metrics import METRICS

    scores = pd.DataFrame(score_estimates(test, found.waves, score_jobs=cores()))
    for metric in METRICS:
        if scores[metric].isna().all():
            raise UserError(
                f"{metric} is defined for none of the estimates ({scores['error'].iloc[0]}); "
                "look whether the system wrote what it should."
            )
    if further:
        more = score_further_set(test, found.waves, further, score_jobs=cores())
        others = pd.DataFrame(more).drop(columns="utterance")
        both = zip(scores["error"], others.pop("error"), strict=True)
        scores["error"] = [joined(known, new) for known, new in both]
        scores = pd.concat([scores, others], axis=1)
    return scores.assign(estimate_sha256=found.sha256)


def _rows(stored: Stored, cell: str, identity: str, version: str, scores: pd.DataFrame) -> Rows:
    """A system's rows; what is known of an utterance is taken from the bundle, as it stands."""
    run_id = f"{identity[:16]}-0"
    about = [column for column in ABOUT if column in stored.utterances]
    known = stored.utterances[["utterance", *about]].astype({"utterance": str})
    scores = scores.drop(columns=list(ABOUT)).merge(known.drop_duplicates("utterance"))
    columns = {k: v for k, v in UTTERANCES.items() if k in scores or k == "run_id"}
    columns |= {name: "float32" for name in FURTHER if name in scores}
    utterances = scores.assign(run_id=run_id).astype({**columns, "estimate_sha256": "string"})
    run = {
        "run_id": run_id,
        "cell": cell,
        "placement": None,
        **dict.fromkeys(POSITIONS, False),
        **dict.fromkeys(AXES),
        "seed": 0,
        "status": "done",
        "device": "",
        "config_hash": identity,
        "data_hash": stored.study["data_hash"],
        "git_commit": git_commit(),
        "system_version": version,
    }
    ordered = utterances[[*columns, "estimate_sha256"]]
    return {"runs.parquet": _run_table(run), "utterances.parquet": to_arrow(ordered)}


def _run_table(run: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([run])
