"""A study from its corpus to its bundle, and what can be asked of it on the way."""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ablations.bench.emulation import emulation_warning
from ablations.bundles.replacing import Kept, look, require_nothing_lost, require_same_study
from ablations.cli.display import study_progress
from ablations.execution import backends
from ablations.execution.resources import Means
from ablations.execution.runner import Outcome, Watch, carry_out, in_order
from ablations.runs.plan import UNKNOWN_HASH, PlannedRun, by_level, plan
from ablations.runs.run_folder import RUNS_FOLDER, prepare_results
from ablations.studies.grid import expand
from ablations.studies.study import Study
from ablations.tracking.addresses import require_tracking
from ablations.until_decided import require_same_looks
from smoe.atomic import write_atomic
from smoe.errors import UserError
from smoe.schema.text import plain

if TYPE_CHECKING:
    from ablations.tracking.live_writer import Mirror
    from ablations.tracking.study_view import Draw, Summarise

CORPUS_NOTE = "corpus.json"  # which prepared corpus a specification stood for last time


@dataclass(frozen=True)
class Choice:
    """Which of a study's missing runs to do now.

    Attributes:
        only: Patterns of cell codes; empty for all.
        limit: At most so many runs, of each seed every cell once before a second level of the
            varied settings; None for all.
        retry: "failed" for those that failed before as well; None for none of them.
        from_bundle: Whether what the study's bundle has is taken for done.

    Raises:
        UserError: `retry` is something else, or a pattern names no cell.
    """

    only: tuple[str, ...] = ()
    limit: int | None = None
    retry: str | None = None
    from_bundle: bool = False

    def __post_init__(self) -> None:
        if self.retry not in (None, "failed"):
            raise UserError(f'--retry takes only "failed", not "{self.retry}".')
        expand(self.only)

    def of(self, runs: list[PlannedRun], unfinished: list[PlannedRun]) -> list[PlannedRun]:
        """Choose from the unfinished runs of a plan; they come in the plan's order."""
        cells = set(expand(self.only)) if self.only else None
        wanted = [run for run in unfinished if cells is None or run.cell in cells]
        if self.limit is None:
            return wanted
        order = {run.folder.run_id: place for place, run in enumerate(by_level(runs))}
        first = sorted(wanted, key=lambda run: order[run.folder.run_id])[: self.limit]
        taken = {run.folder.run_id for run in first}
        return [run for run in wanted if run.folder.run_id in taken]


def run_study(
    study: Study,
    results: Path,
    means: Means,
    choice: Choice,
    *,
    tracking_uri: str | None,
    summarise: "Summarise",
    draw: "Draw",
    console: Console,
) -> Outcome:
    """Prepares the corpus, trains what is missing, mirrors to MLflow, writes the bundle.

    Args:
        study: The study.
        results: Results folder.
        means: Parallelism and device.
        choice: Which of the missing runs to do now.
        tracking_uri: MLflow server or database; None for SQLite in the results folder.
        summarise: What a bundle says, for MLflow's summary runs and its head.
        draw: Draws the figures of a run, for MLflow.
        console: Where progress is shown.

    Raises:
        UserError: unwritable results folder, unusable corpus, impossible setting or device.
    """
    require_tracking(tracking_uri)
    plan(study, results)  # an impossible setting is said before anything is computed
    bundle = results / study.name
    kept = look(bundle)
    require_same_study(kept, study, None)
    require_same_looks(kept, study)
    prepare_results(results)
    corpus = prepare_corpus(study.data, results, console)
    require_same_study(kept, study, corpus.data_hash)
    runs = plan(study, results, corpus.data_hash)
    if choice.from_bundle:
        from ablations.bundles.restore import restore_all

        console.print(f"{restore_all(runs, results, study.name)} runs taken from bundles.")
    damaged = [path for run in runs for path in run.folder.set_aside_damage(run.config)]
    finished, unfinished = _parted(runs)
    chosen = choice.of(runs, unfinished)
    require_nothing_lost(kept, runs, [*finished, *chosen], from_bundle=choice.from_bundle)
    # There from here until bundle and MLflow are complete, whenever this process may die.
    unclosed = results / RUNS_FOLDER / f".unclosed-{study.name}"
    if not unfinished and not unclosed.exists() and _holds(kept, study):
        return Outcome(skipped=runs)
    unclosed.touch()
    spent = f"{means.jobs} at once on {means.device}, {means.threads} thread(s) each"
    done = f"{len(finished)} of {len(runs)} runs done; {spent}."
    console.print(Text.assemble((plain(study.title), "bold"), f": {done}"))
    if chosen and (warning := emulation_warning(study, means)):
        console.print(Text(warning, "yellow"))
    mirror = _mirror(study, results, tracking_uri, draw, console)
    with study_progress(console, in_order(runs), means) as show:
        watch = _watch(study, runs, show, mirror)
        outcome = carry_out(chosen, means, corpus.folder, watch, retry_failed=bool(choice.retry))
    outcome.skipped = finished
    outcome.set_aside = damaged + outcome.set_aside
    if _close(study, runs, bundle, mirror, summarise, console):
        unclosed.unlink(missing_ok=True)
    return outcome


def _holds(kept: Kept, study: Study) -> bool:
    """Whether there is a bundle, of the seeds that the study has now."""
    return kept.study is not None and kept.study["study"]["seeds"] == list(study.seeds)


def _parted(runs: list[PlannedRun]) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """Finished and unfinished runs; each is looked at once, for others may work on them."""
    parts: tuple[list[PlannedRun], list[PlannedRun]] = ([], [])
    for run in runs:
        parts[not run.folder.is_done()].append(run)
    return parts


def _mirror(
    study: Study, results: Path, tracking_uri: str | None, draw: "Draw", console: Console
) -> "Mirror":
    from ablations.tracking.live_writer import Mirror, claim_folder
    from ablations.tracking.mlflow_ui import describe
    from ablations.tracking.study_view import Tracker

    def tracker(before_write: Callable[[], None]) -> Tracker:
        text = describe(study.title, study.question)
        return Tracker(
            study.name, text, study.data, results, tracking_uri, draw, before_write, study.cells
        )

    return Mirror(tracker, claim_folder(results, study.name), console)


def _watch(study: Study, runs: list[PlannedRun], show: Watch, mirror: "Mirror") -> Watch:
    """Shows progress and mirrors it; the first time of all runs, for some died with a runner."""
    from ablations.tracking.run_contents import from_folder

    unseen = list(runs)

    def watch(pending: list[PlannedRun]) -> None:
        show(pending)
        mirror.sync(from_folder(run, study.name) for run in unseen or pending if run.has_begun())
        unseen.clear()

    return watch


def _close(
    study: Study,
    runs: list[PlannedRun],
    bundle: Path,
    mirror: "Mirror",
    summarise: "Summarise",
    console: Console,
) -> bool:
    """Store the bundle and bring MLflow up to it; True if that is complete."""
    from ablations.bundles.storing import store_bundle
    from ablations.tracking.run_contents import from_folder, outside_systems
    from ablations.tracking.study_view import Summary

    summary = Summary()
    done = any(run.folder.is_done() for run in runs)
    claim = bundle.parent / RUNS_FOLDER / f".bundle-{study.name}"
    complete = not done or store_bundle(study, runs, bundle, claim, console)
    if done and complete:
        summary = summarise(bundle)
    begun = [from_folder(run, study.name) for run in runs if run.has_begun()]
    begun += outside_systems(bundle) if done and complete else []
    return mirror.close(begun, summary) and complete


def prepare_corpus(data: str, results: Path, console: Console) -> Any:
    """The prepared corpus of a specification, built with progress where it is not cached.

    Raises:
        UserError: unknown or unusable corpus, or no room for it.
    """
    from joblib.externals.loky import get_reusable_executor

    from smoe.corpora import open_corpus

    _require_home(data)
    prepare_results(results)
    with console.status("Preparing the corpus ...") as status:

        def progress(what: str, done: int, total: int) -> None:
            status.update(escape(plain(f"Preparing the corpus: {what} {done} of {total}")))

        corpus = open_corpus(data, backends.cache_folder(results.absolute()), progress)
    # Its workers would go on into the study, too small in memory for what joblib then allows them.
    get_reusable_executor().shutdown(wait=True)
    _remember_hash(results, data, corpus.data_hash)
    return corpus


def _require_home(data: str) -> None:
    """Refuses a `~name` that is nobody's home folder."""
    for root in re.split("[+:=,]", data):
        try:
            Path(root).expanduser()
        except RuntimeError as error:
            raise UserError(
                f"{data}: {root.split('/')[0]} is nobody's home folder; write the whole path."
            ) from error


def study_plan(study: Study, results: Path) -> list[PlannedRun]:
    """The runs of a study as far as they are known without touching a recording."""
    return plan(study, results, _known_hashes(results).get(study.data, UNKNOWN_HASH))


def _known_hashes(results: Path) -> dict[str, str]:
    try:
        return json.loads((backends.cache_folder(results) / CORPUS_NOTE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _remember_hash(results: Path, data: str, data_hash: str) -> None:

    if _known_hashes(results).get(data) == data_hash:
        return
    known = {**_known_hashes(results), data: data_hash}
    # In a folder that may only be read, `plan` has to do without.
    with contextlib.suppress(OSError):
        write_atomic(
            backends.cache_folder(results) / CORPUS_NOTE, json.dumps(known, indent=1).encode()
        )
