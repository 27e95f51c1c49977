"""What a person reads of a study: what there is to do, and what became of it."""

import os
from collections import Counter
from pathlib import Path

from ablations.bundles.replacing import Key, key_of
from ablations.execution.runner import Outcome
from ablations.runs.plan import STATES, PlannedRun
from ablations.runs.run_folder import RUNS_FOLDER
from ablations.studies.study import Study
from smoe.schema.names import options_of

REASON_CHARACTERS = 110


STORED = "stored"  # finished and in the bundle, e.g. of a clone, without the folder of its run


def summary_lines(
    study: Study, runs: list[PlannedRun], results: Path, stored: set[Key]
) -> list[str]:
    """Return what `plan` prints: cells with their runs, counts by state, time left and disk.

    Args:
        study: The study.
        runs: All of its runs.
        results: Results folder.
        stored: Runs that the study's bundle has.
    """
    states = {run.folder.run_id: _state(run, stored) for run in runs}
    marks: dict[str, list[str]] = {}
    for run in runs:
        state = states[run.folder.run_id]
        marks.setdefault(run.variant, []).append(f"{run.seed}:{state}")
    lines = [f"{study.title}: {study.question}", ""]
    lines += [f"  {cell:34s} {'  '.join(each)}" for cell, each in marks.items()]
    count = Counter(states.values())
    counts = ", ".join(f"{count[state]} {state}" for state in (STORED, *STATES) if count[state])
    controls = sum("." not in cell and cell != "dense" for cell in study.cells)
    cells = f"{len(study.cells) - controls} cells and {controls} controls"
    seeds = f"{len(study.seeds)} seeds, and the unprocessed input"
    lines += ["", f"{cells} x {seeds}: {len(runs)} runs ({counts})"]
    if count[STORED]:
        options = options_of(study.name, results)
        lines.append(
            f"Stored in the bundle {results / study.name}: `report` and `explain` read these runs; "
            f"`python run_all.py run {options} --from-bundle` trains only the others."
        )
    left = _seconds_left(runs)
    lines.append(
        f"Left: about {left / 60:.0f} min for one run at a time, judged from runs done here."
        if left is not None
        else "Left: unknown until a run of this study is done."
    )
    folder = results / RUNS_FOLDER
    return [*lines, f"Disk: {_bytes_below(folder) / 2**20:.0f} MiB in {folder}"]


def _state(run: PlannedRun, stored: set[Key]) -> str:
    state = run.state()
    return STORED if state == "planned" and key_of(run) in stored else state


def plan_rows(runs: list[PlannedRun], stored: set[Key]) -> list[dict[str, object]]:
    """Return the same for programs: cell, seed, state and run id of each run."""
    return [
        {
            "cell": run.cell,
            "seed": run.seed,
            **run.level,
            "state": _state(run, stored),
            "run_id": run.folder.run_id,
        }
        for run in runs
    ]


def outcome_lines(outcome: Outcome, options: str) -> list[str]:
    """Return what to say at the end of a run: what was damaged, failed or stopped, or nothing left.

    Args:
        outcome: What became of the runs.
        options: Those that name the study and the results folder.
    """
    if not (outcome.done or outcome.failed or outcome.stopped):
        return [f"Nothing to train: all {len(outcome.skipped)} runs are done."]
    lines = [f"Damaged, set aside and made again: {path}" for path in outcome.set_aside]
    if outcome.failed:
        again = f"`python run_all.py run {options} --retry failed`"
        lines.append(f"{len(outcome.failed)} runs failed; {again} tries them once more:")
        lines += [_failure_row(run) for run in outcome.failed]
    if outcome.stopped:
        lines.append(f"{len(outcome.stopped)} runs were stopped; the same command goes on:")
        lines += [f"  {'stopped':13s} {run.name}  {why}" for run, why in outcome.stopped]
    return lines


def _failure_row(run: PlannedRun) -> str:
    failure = run.folder.read_json("failed.json") or {}
    reason = " ".join(str(failure.get("reason", "unknown reason")).split())
    if len(reason) > REASON_CHARACTERS:
        reason = f"{reason[:REASON_CHARACTERS]} ..."
    log = run.folder.file("log.txt")
    return f"  {failure.get('class', 'error'):13s} {run.name}  {reason}\n{'':16s}see {log}"


def _seconds_left(runs: list[PlannedRun]) -> float | None:
    """Extrapolated from the finished runs of the study, by multiply-accumulates."""
    spent = work = remaining = 0.0
    for run in runs:
        if not run.folder.is_done():
            remaining += run.work
            continue
        record = run.folder.read_json("run.json")
        if record and record["train_s"]:
            spent, work = spent + record["train_s"], work + run.work
    return spent / work * remaining if work else None


def _bytes_below(folder: Path) -> int:
    sizes = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                sizes += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118
            except FileNotFoundError:  # a running run has just renamed it
                continue
    return sizes
