"""Trains a sample of a bundle's runs once more and says how far the results lie apart."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ablations.bundles.bundle import write_bundle
from ablations.cli.display import study_progress
from ablations.execution.resources import Means
from ablations.execution.runner import Outcome, carry_out, in_order
from ablations.pipeline import prepare_corpus
from ablations.runs.plan import PlannedRun
from ablations.runs.run_folder import prepare_results
from ablations.studies.study import Study
from ablations.travel.compared import Differences, differences
from ablations.travel.tolerance import Limits, Word, judge, limits_of
from smoe.errors import UserError
from smoe.schema.bundle import Stored, read_bundle


@dataclass(frozen=True)
class Verified:
    """What became of one run.

    Attributes:
        run: The run, in the scratch folder.
        word: The verdict; None where it was not trained to its end, for the reason given.
        found: Its differences; None without a verdict.
        reason: Why there is no verdict.
    """

    run: PlannedRun
    word: Word | None
    found: Differences | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the stored run was confirmed."""
        return self.word in ("equal to the bit", "within rounding")


def require_apart(scratch: Path, folder: Path) -> None:
    """Refuse a scratch folder in which the stored runs would be found, or the bundle replaced.

    Raises:
        UserError: it is the results folder, or the bundle's own.
    """
    if scratch.resolve() in (folder.resolve(), folder.resolve().parent):
        raise UserError(
            f"{scratch} holds the stored results, which are to be compared with others; name an "
            "empty folder with --scratch."
        )


def corpus_of(stored: Stored, data: str | None, results: Path, console: Console) -> Path:
    """Prepare the corpus of a bundle and return its folder.

    Raises:
        UserError: what is there under its name has other content.
    """
    named = data or stored.study["corpus"]
    corpus = prepare_corpus(named, results, console)
    expected = stored.runs["data_hash"].iloc[0]
    if corpus.data_hash != expected:
        raise UserError(
            f"The corpus {named} is another one here (data hash {corpus.data_hash[:12]}, stored "
            f"{expected[:12]}), so nothing can be compared; name the same recordings with --data."
        )
    return corpus.folder


def verify_runs(
    stored: Stored,
    study: Study,
    runs: list[PlannedRun],
    corpus_folder: Path,
    means: Means,
    console: Console,
) -> list[Verified]:
    """Train runs again, in their folders below the scratch folder, and compare them.

    Args:
        stored: The bundle; nothing of it is written to.
        study: As the bundle describes it.
        runs: Runs of it, planned below the scratch folder.
        corpus_folder: The prepared corpus.
        means: Parallelism and device.
        console: Where progress is shown.
    """
    scratch = runs[0].folder.results
    prepare_results(scratch)
    with study_progress(console, in_order(runs), means) as show:
        outcome = carry_out(runs, means, corpus_folder, show)
    done = [run for run in runs if run.folder.is_done()]
    unlike = _unfinished(outcome)
    if not done:
        return unlike
    write_bundle(study, done, scratch / study.name)
    again, limits = read_bundle(scratch / study.name), limits_of(stored.study)
    return [*(_verified(stored, again, run, limits) for run in done), *unlike]


def _verified(stored: Stored, again: Stored, run: PlannedRun, limits: Limits) -> Verified:
    found = differences(stored, again, run.folder.run_id)
    return Verified(run, judge(found, limits), found)


def _unfinished(outcome: Outcome) -> list[Verified]:
    failed = [
        (run, str((run.folder.read_json("failed.json") or {}).get("reason", "unknown reason")))
        for run in outcome.failed
    ]
    return [Verified(run, None, None, why) for run, why in [*failed, *outcome.stopped]]
