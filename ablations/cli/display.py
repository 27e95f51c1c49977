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
)
from rich.text import Text

from ablations.execution.resources import Means
from ablations.execution.runner import Watch
from ablations.runs.estimate import Estimate, Look
from ablations.runs.plan import PlannedRun
from smoe.schema.text import plain

PIPED_INTERVAL_S = 30.0


@contextmanager
def study_progress(console: Console, runs: list[PlannedRun], means: Means) -> Iterator[Watch]:
    """Show the progress of a study; yields what `carry_out` is to call.

    On a terminal the display is live; into a pipe it is a line per finished run and one every 30 s.
    The time left counts until tables and figures are written.

    Args:
        console: Where to.
        runs: All of the study, in the order in which they are begun.
        means: How many work at once, and where.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    last_line = time.monotonic()
    done_before = sum(run.folder.is_done() for run in runs)
    estimate = Estimate(
        {run.folder.run_id: run.load for run in runs},
        {run.folder.run_id: _look(run, run.state()) for run in runs},
        jobs=means.jobs,
        side_by_side=means.device == "cuda" and means.backend == "loky",
        now=last_line,
    )
    finished: set[str] = set()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("study", total=1.0, left=_left(None))

        def watch(pending: list[PlannedRun]) -> None:
            nonlocal last_line
            states = {run.folder.run_id: run.state() for run in pending}
            for run in pending:
                state = states[run.folder.run_id]
                if state in ("done", "failed") and run.folder.run_id not in finished:
                    finished.add(run.folder.run_id)
                    console.print(_run_line(run, state), highlight=False)
            now = time.monotonic()
            looks = {run.folder.run_id: _look(run, states[run.folder.run_id]) for run in pending}
            estimate.see(looks, now)
            share, left = estimate.share(now), _left(estimate.seconds_left(now))
            count = f"{done_before + len(finished)} of {len(runs)} runs"
            bar.update(task, completed=share, description=count, left=left)
            if not console.is_terminal and now - last_line > PIPED_INTERVAL_S:
                last_line = now
                console.print(f"{count}, {share:.0%}, {left}")

        yield watch


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "time left not known yet"
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s left"
    return f"about {seconds / 60:.0f} min left"


def _look(run: PlannedRun, state: str) -> Look:
    if state in ("done", "failed"):
        return Look("ended", 1.0)
    beat = run.folder.read_json("progress.json")
    if beat is None:
        return Look("planned")
    share = beat["step"] / run.config.train.steps
    return Look(beat["phase"] if state == "running" else "planned", share, beat["time"])


def _run_line(run: PlannedRun, state: str) -> Text:
    if state == "failed":
        reason = (run.folder.read_json("failed.json") or {}).get("reason", "unknown reason")
        return Text.assemble(("failed", "red"), plain(f"  {run.name}: {reason}"))
    seconds = (run.folder.read_json("run.json") or {}).get("train_s")
    spent = f" ({seconds:.0f} s of training)" if seconds else ""
    return Text.assemble(("done", "green"), plain(f"    {run.name}{spent}"))
