"""Carries a study out: skips what is done, runs the rest, goes on after a failure."""

import os
import platform
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ablations.execution.backends import attempts
from ablations.execution.isolation import RunEnd
from ablations.execution.resources import Means
from ablations.execution.worker import Job
from ablations.runs.claims import Claim
from ablations.runs.plan import PlannedRun
from ablations.runs.run_folder import RunFolder, forbidden_error, no_room_error

POLL_S = 1.0
SLOW_POLL_S = 15.0
ATTEMPTS = 3  # at a run whose process dies without a word, within one start


@dataclass
class Outcome:
    """What became of a study's runs.

    Attributes:
        skipped: Done before.
        done: Finished now, here or by another runner meanwhile.
        failed: Failed now or before; the reason stands in the folder.
        stopped: Not finished, with the reason: no time was left, or their process was killed again
            and again. They go on from their checkpoints another time.
        set_aside: Files and folders that were found damaged, under their new names.
    """

    skipped: list[PlannedRun] = field(default_factory=list)
    done: list[PlannedRun] = field(default_factory=list)
    failed: list[PlannedRun] = field(default_factory=list)
    stopped: list[tuple[PlannedRun, str]] = field(default_factory=list)
    set_aside: list[Path] = field(default_factory=list)


Watch = Callable[[list[PlannedRun]], None]


def carry_out(
    runs: list[PlannedRun],
    means: Means,
    corpus_folder: Path,
    watch: Watch,
    *,
    retry_failed: bool = False,
) -> Outcome:
    """Trains and scores every run that is not done yet.

    Args:
        runs: The runs to do.
        means: Parallelism and device.
        corpus_folder: The prepared corpus.
        watch: Called about once a second with the unfinished runs, from one other thread.
        retry_failed: Whether runs that failed earlier are tried again.

    Raises:
        UserError: the results folder cannot be written to any more.
    """
    outcome = Outcome()
    pending: dict[str, PlannedRun] = {}
    for run in runs:
        if run.folder.is_done():
            outcome.skipped.append(run)
        elif run.folder.file("failed.json").exists() and not retry_failed:
            outcome.failed.append(run)
        else:
            run.folder.file("failed.json").unlink(missing_ok=True)
            pending[run.folder.run_id] = run
    if not pending:
        return outcome
    commit = git_commit()
    jobs = [_job(run, means, corpus_folder, commit) for run in in_order(pending.values())]
    damaged_before = set(_damaged(pending.values()))
    with _watching(watch, list(pending.values())):
        for end in _ends(jobs, means):
            run = pending[end.run_id]
            if end.status == "done":
                outcome.done.append(run)
            elif end.status == "failed":
                outcome.failed.append(run)
            else:
                outcome.stopped.append((run, end.reason))
    outcome.set_aside = [path for path in _damaged(pending.values()) if path not in damaged_before]
    return outcome


def git_commit() -> str:
    """The commit of the code that runs, with `+` where the tree has changes; "" outside git.

    What the environment's GIT_COMMIT says comes first: a container's copy may know no better.
    """
    if "GIT_COMMIT" in os.environ:
        return os.environ["GIT_COMMIT"]
    here = Path(__file__).parent
    describe = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--match="]
    try:
        found = subprocess.run(describe, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _ends(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """The end of each job, once: killed runs are tried again, those of other runners waited for."""
    waiting = {job.folder.run_id: job for job in jobs}
    killed: Counter[str] = Counter()
    while waiting:
        again: dict[str, Job] = {}
        for end in attempts(list(waiting.values()), means):
            job = waiting[end.run_id]
            if end.status == "no room":
                error = no_room_error(job.folder.results, int(end.reason))
                raise error or forbidden_error(job.folder.path, job.corpus_folder)
            killed[end.run_id] += end.status == "stopped"
            tried_too_often = killed[end.run_id] >= ATTEMPTS
            if end.status in ("elsewhere", "taken away") or (
                end.status == "stopped" and not tried_too_often
            ):
                again[end.run_id] = job
            else:
                yield end
        waiting = again
        while waiting and all(_still_elsewhere(job) for job in waiting.values()):
            time.sleep(POLL_S)


def _still_elsewhere(job: Job) -> bool:
    return Claim.on(job.folder.path).is_alive() and not job.folder.is_done()


@contextmanager
def _watching(watch: Watch, runs: list[PlannedRun]) -> Iterator[None]:
    stop = threading.Event()

    def loop() -> None:
        spent_s = 0.0
        # With thousands of runs a look takes a while; it is to stay a small part of the time.
        while not stop.wait(min(max(POLL_S, 20 * spent_s), SLOW_POLL_S)):
            started = time.monotonic()
            watch(runs)
            spent_s = time.monotonic() - started
        watch(runs)

    watcher = threading.Thread(target=loop)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def in_order(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return runs in the order in which they are begun.

    The unprocessed input comes first: it is done in seconds and shows how fast this machine scores.
    Then long runs before short ones, so that no core idles at the end; seeds stay together.
    """
    return sorted(runs, key=lambda run: (run.config.model is not None, run.seed, -run.work))


def _damaged(runs: Iterable[PlannedRun]) -> list[Path]:
    """What readers of these runs' files have set aside, such as a torn checkpoint."""
    return [path for run in runs for path in sorted(run.folder.path.glob("*.damaged*"))]


def _job(run: PlannedRun, means: Means, corpus_folder: Path, commit: str) -> Job:
    return Job(
        folder=RunFolder(run.folder.path.resolve()),
        cell=run.cell,
        config=run.config,
        seed=run.seed,
        corpus_folder=corpus_folder.resolve(),
        git_commit=commit,
        runner=(platform.node(), os.getpid()),
        device=means.device,
        threads=means.threads,
        checkpoint_interval_s=means.checkpoint_interval_s,
        deadline=means.deadline,
        timeout_s=means.timeout_s,
    )
