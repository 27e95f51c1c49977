"""A study from its corpus to its bundle, and what can be asked of it on the way."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ablations import backends
from ablations.display import study_progress
from ablations.grid import expand
from ablations.plan import STATES, UNKNOWN_HASH, PlannedRun, plan
from ablations.runner import Means, Outcome, carry_out
from ablations.store import RUNS_FOLDER, RunFolder, prepare_results
from ablations.study import Study
from smoe.config import ModelConfig
from smoe.errors import UserError

RUN_BYTES = 2 * 2**30  # of host memory that a run on the CPU may want
GPU_RUN_BYTES = 12 * 2**30  # of GPU memory, at the widths of the small studies
CORPUS_NOTE = "corpus.json"  # which prepared corpus a specification stood for last time


@dataclass(frozen=True)
class Choice:
    """Which of a study's missing runs to do now.

    Attributes:
        only: Patterns of cell codes; empty for all.
        limit: At most so many runs; None for all.
        retry_failed: Whether runs that failed before are tried again.
    """

    only: tuple[str, ...] = ()
    limit: int | None = None
    retry_failed: bool = False

    def of(self, unfinished: list[PlannedRun]) -> list[PlannedRun]:
        """The chosen ones, in the plan's order."""
        cells = set(expand(self.only)) if self.only else None
        return [run for run in unfinished if cells is None or run.cell in cells][: self.limit]


def run_study(
    study: Study,
    results: Path,
    means: Means,
    choice: Choice,
    *,
    tracking_uri: str | None,
    summarise: Callable[[Path], dict[str, dict[str, float]]],
    console: Console,
) -> Outcome:
    """Prepares the corpus, trains what is missing, mirrors to MLflow, writes the bundle.

    Args:
        study: The study.
        results: Results folder.
        means: Parallelism and device.
        choice: Which of the missing runs to do now.
        tracking_uri: MLflow server or database; None for SQLite in the results folder.
        summarise: Means and intervals of each cell from a bundle, for MLflow's summary runs.
        console: Where progress is shown.

    Raises:
        UserError: unwritable results folder, unusable corpus, impossible setting or device.
    """
    study.base("")  # an impossible setting is said before anything is computed
    prepare_results(results)
    corpus = prepare_corpus(study.data, results, console)
    runs = plan(study, results, corpus.data_hash)
    unfinished = [run for run in runs if not run.folder.is_done()]
    bundle = results / study.name
    if not unfinished and (bundle / "study.json").exists():
        return Outcome(skipped=runs)
    unfinished = [run for run in runs if not (run.folder.is_done() and run.folder.verify())]
    from ablations.bundle import write_bundle
    from ablations.tracked import from_folder
    from ablations.tracking import Mirror, Tracker
    from ablations.ui import describe

    def tracker() -> Tracker:
        text = describe(study.title, study.question)
        return Tracker(study.name, text, study.data, results, tracking_uri)

    mirror = Mirror(tracker, console)
    console.print(
        f"[bold]{study.title}[/]: {len(study.cells)} cells x {len(study.seeds)} seeds, "
        f"{len(runs) - len(unfinished)} of {len(runs)} runs done; {means.jobs} at once on "
        f"{means.device}, {means.threads} thread(s) each.",
        highlight=False,
    )
    chosen = choice.of(unfinished)
    with study_progress(console, runs) as show:

        def watch(pending: list[PlannedRun]) -> None:
            show(pending)
            mirror.sync(from_folder(run, study.name) for run in pending if run.has_begun())

        outcome = carry_out(chosen, means, corpus.folder, watch, retry_failed=choice.retry_failed)
    outcome.skipped = [run for run in runs if run not in unfinished]
    begun = [run for run in runs if run.has_begun()]
    mirror.sync((from_folder(run, study.name) for run in begun), closing=True)
    if any(run.folder.is_done() for run in runs):
        write_bundle(study, runs, bundle)
        mirror.log_summaries(summarise(bundle))
    return outcome


def prepare_corpus(data: str, results: Path, console: Console) -> Any:
    """The prepared corpus of a specification, built with progress where it is not cached.

    Raises:
        UserError: unknown or unusable corpus, or no room for it.
    """
    from joblib.externals.loky import get_reusable_executor

    from smoe.corpora import open_corpus

    prepare_results(results)
    with console.status("Preparing the corpus ...") as status:

        def progress(what: str, done: int, total: int) -> None:
            status.update(f"Preparing the corpus: {what} {done} of {total}")

        corpus = open_corpus(data, backends.cache_folder(results), progress)
    # Its workers would go on into the study, too small in memory for what joblib then allows them.
    get_reusable_executor().shutdown(wait=True)
    _remember_hash(results, data, corpus.data_hash)
    return corpus


def study_plan(study: Study, results: Path) -> list[PlannedRun]:
    """The runs of a study as far as they are known without touching a recording."""
    return plan(study, results, _known_hashes(results).get(study.data, UNKNOWN_HASH))


def summary_lines(study: Study, runs: list[PlannedRun], results: Path) -> list[str]:
    """What `plan` prints: cells with their runs, counts by state, time left and disk."""
    states = {(run.cell, run.seed): run.state() for run in runs}
    lines = [f"{study.title}: {study.question}", ""]
    for cell in dict.fromkeys(run.cell for run in runs):
        marks = [f"{seed}:{state}" for (code, seed), state in states.items() if code == cell]
        lines.append(f"  {cell:34s} {'  '.join(marks)}")
    counts = [f"{list(states.values()).count(state)} {state}" for state in STATES]
    controls = sum("." not in cell and cell != "dense" for cell in study.cells)
    lines += ["", f"{len(study.cells) - controls} cells and {controls} controls x "
              f"{len(study.seeds)} seeds, and the unprocessed input: {len(runs)} runs ("
              f"{', '.join(c for c in counts if not c.startswith('0 '))})"]  # fmt: skip
    left = _seconds_left(runs)
    lines.append(
        f"Left: about {left / 60:.0f} min for one run at a time, judged from runs done here."
        if left is not None
        else "Left: unknown until a run of this study is done."
    )
    used = sum(f.stat().st_size for f in (results / RUNS_FOLDER).rglob("*") if f.is_file())
    lines.append(f"Disk: {used / 2**20:.0f} MiB in {results / RUNS_FOLDER}")
    return lines


def outcome_lines(outcome: Outcome) -> list[str]:
    """What to say at the end of a run: that nothing was left, what failed, what was stopped."""
    if not (outcome.done or outcome.failed or outcome.stopped):
        return [f"Nothing to train: all {len(outcome.skipped)} runs are done."]
    lines = [f"  failed   {run_id}: {reason}" for run_id, reason in outcome.failed.items()]
    if lines:
        lines.insert(0, f"{len(lines)} runs failed; `run --retry failed` tries them once more:")
    stopped = [f"  stopped  {run_id}: {reason}" for run_id, reason in outcome.stopped.items()]
    if stopped:
        lines.append(f"{len(stopped)} runs were stopped; the same command goes on with them:")
    return lines + stopped


def trained_run(results: Path, study: str, cell: str, seed: int) -> tuple[ModelConfig, Path]:
    """Settings and weights of a finished run that a study's bundle names.

    Raises:
        UserError: the study, cell or seed has no finished run, or its weights are not here.
    """
    import pandas as pd

    table = results / study / "runs.parquet"
    if not table.is_file():
        raise UserError(f"There are no results in {table.parent}; run the study first.")
    runs = pd.read_parquet(table)
    run_ids = runs.loc[(runs["cell"] == cell) & (runs["seed"] == seed), "run_id"].tolist()
    if not run_ids:
        have = ", ".join(sorted(set(runs["cell"]))[:6])
        raise UserError(f"{study} has no finished run of {cell}, seed {seed}; it has {have}, ...")
    identity, _, _ = run_ids[0].rpartition("-")
    folder = RunFolder(results / RUNS_FOLDER / identity / str(seed))
    settings = folder.read_json("config.json")
    if settings is None or not settings["model"]:
        raise UserError(
            f"The weights of {cell}, seed {seed} are not on this machine; "
            f"train them with `run_all.py run --study {study}`."
        )
    return ModelConfig(**settings["model"]), folder.weights


def means_of(jobs: str, device: str, backend: str, max_hours: float | None) -> Means:
    """The means that the command line asks for.

    Raises:
        UserError: unknown device or backend, no GPU, or an impossible number of jobs.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f'There is no device "{device}"; choose auto, cpu or cuda.')
    if backend not in backends.BACKENDS:
        known = " or ".join(backends.BACKENDS)
        raise UserError(f'There is no backend "{backend}"; choose {known}.')
    if device != "cpu":
        import torch

        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise UserError("No GPU was found; use --device cpu.")
        device = "cuda" if available else "cpu"
    if jobs != "auto" and not (jobs.isdigit() and int(jobs) > 0):
        raise UserError(f'--jobs wants a number from 1 or auto, not "{jobs}".')
    at_once = _jobs_that_fit(device) if jobs == "auto" else int(jobs)
    deadline = time.time() + 3600 * max_hours if max_hours else None
    return Means(jobs=at_once, device=device, backend=backend, deadline=deadline)


def _jobs_that_fit(device: str) -> int:
    """One run per core, or a few per GPU, as far as memory goes."""
    import psutil

    if device == "cuda":
        import torch

        free = min(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count()))
        return max(1, min(backends.available_cores() // 2, free // GPU_RUN_BYTES))
    by_memory = psutil.virtual_memory().available // RUN_BYTES
    return max(1, min(backends.available_cores(), by_memory))


def _seconds_left(runs: list[PlannedRun]) -> float | None:
    """Extrapolated from the finished runs of the study, by multiply-accumulates."""
    spent = work = 0.0
    for run in runs:
        record = run.folder.read_json("run.json") if run.folder.is_done() else None
        if record and record["train_s"]:
            spent, work = spent + record["train_s"], work + run.work
    remaining = sum(run.work for run in runs if not run.folder.is_done())
    return spent / work * remaining if work else None


def _known_hashes(results: Path) -> dict[str, str]:
    try:
        return json.loads((backends.cache_folder(results) / CORPUS_NOTE).read_text())
    except (OSError, ValueError):
        return {}


def _remember_hash(results: Path, data: str, data_hash: str) -> None:
    from smoe.checkpoint import write_atomic

    known = {**_known_hashes(results), data: data_hash}
    write_atomic(backends.cache_folder(results) / CORPUS_NOTE, json.dumps(known, indent=1).encode())
