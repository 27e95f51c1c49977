"""Carries a study out: skips what is done, runs the rest, goes on after a failure."""

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ablations import backends
from ablations.backends import RunEnd
from ablations.claims import Claim
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
        deadline: Time, in seconds since the epoch, at which runs are stopped; None for never.
    """

    jobs: int
    device: str = "cpu"
    backend: str = "loky"
    checkpoint_interval_s: float = 20.0
    deadline: float | None = None

    @property
    def threads(self) -> int:
        """Threads of each run, so that jobs x threads is the number of cores."""
        return max(1, backends.available_cores() // self.jobs)


@dataclass
class Outcome:
    """What became of a study's runs.

    Attributes:
        skipped: Done before.
        done: Finished now, here or by another runner meanwhile.
        failed: Failed now or before, with the reason.
        stopped: Not finished for lack of time or because their process was killed; they go on from
            their checkpoints another time.
    """

    skipped: list[PlannedRun] = field(default_factory=list)
    done: list[PlannedRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)


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
    """
    outcome = Outcome()
    pending: dict[str, PlannedRun] = {}
    for run in runs:
        failure = run.folder.read_json("failed.json")
        if run.folder.is_done():
            outcome.skipped.append(run)
        elif failure and not retry_failed:
            outcome.failed[run.folder.run_id] = failure["reason"]
        else:
            run.folder.file("failed.json").unlink(missing_ok=True)
            pending[run.folder.run_id] = run
    if not pending:
        return outcome
    commit = git_commit()
    ordered = _longest_first(list(pending.values()))
    jobs = [_job(run, means, corpus_folder, commit) for run in ordered]
    with _watching(watch, list(pending.values())):
        for end in _results(jobs, means):
            if end.status == "done":
                outcome.done.append(pending[end.run_id])
            else:
                reasons = outcome.failed if end.status == "failed" else outcome.stopped
                reasons[end.run_id] = end.reason
    return outcome


def git_commit() -> str:
    """The commit of the code that runs, with `+` where the tree has changes; "" outside git."""
    here = Path(__file__).parent
    describe = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--match="]
    try:
        found = subprocess.run(describe, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _results(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """Yields the end of each job once; runs that another runner has are waited for."""
    waiting = {job.folder.run_id: job for job in jobs}
    while waiting:
        elsewhere: dict[str, Job] = {}
        for end in _attempts(list(waiting.values()), means):
            if end.status == "elsewhere":
                elsewhere[end.run_id] = waiting[end.run_id]
            else:
                yield end
        waiting = elsewhere
        while waiting and all(_still_elsewhere(job) for job in waiting.values()):
            time.sleep(POLL_S)


def _still_elsewhere(job: Job) -> bool:
    return Claim.on(job.folder.path).is_alive() and not job.folder.is_done()


def _attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """One attempt at each job; a lost worker process costs no other run its result."""
    from joblib import delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = {job.folder.run_id: job for job in jobs}
    for _ in range(len(jobs) + 1):
        try:
            with backends.parallel(means.backend, means.jobs) as pool:
                batch = [delayed(backends.run_isolated)(job) for job in waiting.values()]
                for end in pool(batch):
                    del waiting[end.run_id]
                    yield end
            return
        except TerminatedWorkerError:  # joblib gives the whole batch up; what is left starts anew
            continue
    yield from (RunEnd(i, "stopped", "its worker was killed again and again") for i in waiting)


@contextmanager
def _watching(watch: Watch, runs: list[PlannedRun]) -> Iterator[None]:
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(POLL_S):
            watch(runs)
        watch(runs)

    watcher = threading.Thread(target=loop)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


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
        deadline=means.deadline,
    )
