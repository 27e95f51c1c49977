"""Carries a study out: skips what is done, runs the rest, goes on after a failure."""

import os
import platform
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ablations import backends
from ablations.plan import PlannedRun
from ablations.worker import Job

POLL_S = 1.0


@dataclass(frozen=True)
class Means:
    """What the machine may spend; nothing here changes a result's meaning.

    Attributes:
        jobs: Runs at once.
        device: "cpu" or "cuda".
        backend: "loky" for local processes, "ray" for a cluster.
        checkpoint_interval_s: Least time between two checkpoints of a run.
    """

    jobs: int
    device: str = "cpu"
    backend: str = "loky"
    checkpoint_interval_s: float = 20.0

    @property
    def threads(self) -> int:
        """Threads of each run, so that jobs x threads is the number of cores."""
        return max(1, backends.available_cores() // self.jobs)


@dataclass
class Outcome:
    """What a call of `carry_out` did: runs that were done already, trained now, and failed."""

    skipped: list[PlannedRun] = field(default_factory=list)
    done: list[PlannedRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


Watch = Callable[[list[PlannedRun]], None]


def carry_out(runs: list[PlannedRun], means: Means, corpus_folder: Path, watch: Watch) -> Outcome:
    """Trains and scores every run that is not done yet.

    Args:
        runs: The plan.
        means: Parallelism and device.
        corpus_folder: The prepared corpus.
        watch: Called about once a second with the plan's unfinished runs, from one other thread.
    """
    outcome = Outcome(skipped=[run for run in runs if run.folder.is_done() and run.folder.verify()])
    skipped = {run.folder.run_id for run in outcome.skipped}
    pending = {run.folder.run_id: run for run in runs if run.folder.run_id not in skipped}
    if not pending:
        return outcome
    commit = git_commit()
    ordered = _longest_first(list(pending.values()))
    jobs = [_job(run, means, corpus_folder, commit) for run in ordered]
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(watch, list(pending.values()), stop))
    watcher.start()
    try:
        for run_id, failure in _results(jobs, means):
            if failure is None:
                outcome.done.append(pending[run_id])
            else:
                outcome.failed[run_id] = failure
    finally:
        stop.set()
        watcher.join()
    return outcome


def git_commit() -> str:
    """The commit of the code that runs, with `+` where the tree has changes; "" outside git."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--match="],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _results(jobs: list[Job], means: Means) -> Iterator[tuple[str, str | None]]:
    """Yields run id and failure of each job; a lost worker process costs no other run's result."""
    from joblib import delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = {job.folder.run_id: job for job in jobs}
    for _ in range(len(jobs) + 1):
        try:
            with backends.parallel(means.backend, min(means.jobs, len(waiting))) as pool:
                batch = [delayed(backends.run_isolated)(job) for job in waiting.values()]
                for run_id, failure in pool(batch):
                    del waiting[run_id]
                    yield run_id, failure
            return
        except TerminatedWorkerError:  # joblib gives the whole batch up; what is left starts anew
            finished = [run_id for run_id, job in waiting.items() if job.folder.is_done()]
            for run_id in finished:
                del waiting[run_id]
                yield run_id, None
            if not waiting:
                return
    yield from ((run_id, "its worker process was killed again and again") for run_id in waiting)


def _longest_first(runs: list[PlannedRun]) -> list[PlannedRun]:
    """Long runs first, so that no core idles at the end; seeds stay together."""
    return sorted(runs, key=lambda run: (run.seed, -run.work))


def _job(run: PlannedRun, means: Means, corpus_folder: Path, commit: str) -> Job:
    return Job(
        folder=run.folder,
        cell=run.cell,
        config=run.config,
        seed=run.seed,
        corpus_folder=corpus_folder.resolve(),
        git_commit=commit,
        runner=(platform.node(), os.getpid()),
        device=means.device,
        threads=means.threads,
        score_jobs=means.threads if means.device != "cpu" else 1,
        checkpoint_interval_s=means.checkpoint_interval_s,
    )


def _watch(watch: Watch, runs: list[PlannedRun], stop: threading.Event) -> None:
    while not stop.wait(POLL_S):
        watch(runs)
    watch(runs)
