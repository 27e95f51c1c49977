"""What a person sees while a study runs: progress with the time left, and a line per run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ablations.plan import PlannedRun
from ablations.runner import Watch
from stored.text import plain

PIPED_INTERVAL_S = 30.0
# How much of a run's work is done once it is trained. Beside a GPU it then waits for processors
# that are slower to score it than the GPU was to train it.
TRAINED_SHARE = {"cpu": 0.95, "cuda": 0.5}


@contextmanager
def study_progress(console: Console, runs: list[PlannedRun], device: str) -> Iterator[Watch]:
    """A progress display of a study; yields what `carry_out` is to call.

    Work is counted in multiply-accumulates, so that a wide control counts for what it costs. On a
    terminal the display is live; into a pipe it is a line per finished run and one every 30 s.

    Args:
        console: Where to.
        runs: All of the study.
        device: Where they are trained, "cpu" or "cuda".
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    total = sum(run.work for run in runs) or 1.0
    done_before = sum(run.folder.is_done() for run in runs)
    work_before = sum(run.work for run in runs if run.folder.is_done())
    work_at_start: float | None = None  # with what interrupted runs had behind them
    trained_share = TRAINED_SHARE[device]
    finished: set[str] = set()
    last_line = started = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("study", total=total)

        def watch(pending: list[PlannedRun]) -> None:
            nonlocal last_line, work_at_start
            states = {run.folder.run_id: run.state() for run in pending}
            for run in pending:
                state = states[run.folder.run_id]
                if state in ("done", "failed") and run.folder.run_id not in finished:
                    finished.add(run.folder.run_id)
                    console.print(_run_line(run, state), highlight=False)
            completed = work_before + sum(
                run.work * _fraction(run, states[run.folder.run_id], trained_share)
                for run in pending
            )
            work_at_start = completed if work_at_start is None else work_at_start
            count = f"{done_before + len(finished)} of {len(runs)} runs"
            bar.update(task, completed=completed, description=count)
            if not console.is_terminal and time.monotonic() - last_line > PIPED_INTERVAL_S:
                last_line = time.monotonic()
                left = _left(completed - work_at_start, total - completed, last_line - started)
                console.print(f"{count}, {completed / total:.0%}, {left}")

        yield watch


def _left(done: float, todo: float, spent_s: float) -> str:
    if done <= 0:
        return "time left not known yet"
    return f"about {todo / done * spent_s / 60:.0f} min left"


def _run_line(run: PlannedRun, state: str) -> Text:
    name = run.cell if run.config.model is None else f"{run.cell}, seed {run.seed}"
    if state == "failed":
        reason = (run.folder.read_json("failed.json") or {}).get("reason", "unknown reason")
        return Text.assemble(("failed", "red"), plain(f"  {name}: {reason}"))
    seconds = (run.folder.read_json("run.json") or {}).get("train_s")
    spent = f" ({seconds:.0f} s of training)" if seconds else ""
    return Text.assemble(("done", "green"), plain(f"    {name}{spent}"))


def _fraction(run: PlannedRun, state: str, trained_share: float) -> float:
    if state == "done":
        return 1.0
    beat = run.folder.read_json("progress.json") or {}
    return trained_share * beat.get("step", 0) / run.config.train.steps
