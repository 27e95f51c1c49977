"""Where runs are carried out: joblib with local processes, or on a Ray cluster."""

import contextlib
import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ablations.claims import Claim, process_exists
from ablations.worker import Job, execute
from smoe.errors import UserError

BACKENDS = ("loky", "ray")
CLAIMED_ELSEWHERE = 75  # exit status of a process that found its run claimed


class RunEnd(NamedTuple):
    """How an attempt at a run ended.

    `done`; `failed`, with the reason noted in its folder; `elsewhere`, another runner works on it;
    `stopped`, to go on from its checkpoint another time.
    """

    run_id: str
    status: Literal["done", "failed", "elsewhere", "stopped"]
    reason: str = ""


@contextlib.contextmanager
def parallel(backend: str, jobs: int) -> Iterator[Any]:
    """A joblib.Parallel whose results come in the order in which they finish.

    Raises:
        UserError: Ray is asked for and not installed.
    """
    import joblib

    if backend == "ray":
        try:
            from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise UserError(
                'The Ray backend needs the extra "cluster": pip install -e ".[cluster]".'
            ) from error
        register_ray()
    with joblib.parallel_config(backend=backend):
        yield joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")


def run_isolated(job: Job) -> RunEnd:
    """Does a run in a process of its own, so that its death is its own; runs in a worker."""
    run_id = job.folder.run_id
    if job.folder.is_done():
        return RunEnd(run_id, "done")
    if _past(job.deadline):
        return RunEnd(run_id, "stopped", "the time given with --max-hours was up")
    preload()
    job.folder.path.mkdir(parents=True, exist_ok=True)
    # A worker of our own is forked from: the libraries are loaded once per worker instead of once
    # per run. Elsewhere (joblib runs a single job in the main process) threads or a GPU may be in
    # use, which a fork would break.
    start = {"target": _child, "args": (job, os.getpid())}
    if multiprocessing.current_process().name.startswith("Loky"):
        process = multiprocessing.get_context("fork").Process(**start)
    else:
        process = multiprocessing.get_context("spawn").Process(**start)
    process.start()
    process.join()
    code = process.exitcode or 0
    if job.folder.is_done():
        return RunEnd(run_id, "done")
    if code == CLAIMED_ELSEWHERE:
        return RunEnd(run_id, "elsewhere")
    failure = job.folder.read_json("failed.json")
    if failure:
        return RunEnd(run_id, "failed", failure["reason"])
    return RunEnd(run_id, "stopped", f"signal {-code}" if code < 0 else f"exit status {code}")


def preload() -> None:
    """Imports what every run needs, without starting a thread or touching a GPU."""
    import pandas  # noqa: F401

    import smoe.evaluate
    import smoe.train  # noqa: F401


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder(results: Path) -> Path:
    """Where prepared corpora are kept."""
    return results / ".corpora"


def _child(job: Job, worker_pid: int) -> None:
    claim = Claim.on(job.folder.path)
    if not claim.take():
        os._exit(CLAIMED_ELSEWHERE)
    claim.keep()
    if job.folder.is_done():  # by another runner, a moment ago
        claim.release()
        return
    log = job.folder.file("log.txt").open("ab", buffering=0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    log.write(f"started {time.strftime('%F %T')} on {platform.node()}\n".encode())
    threading.Thread(target=_exit_when_unwanted, args=(job, worker_pid), daemon=True).start()
    try:
        execute(job)
    finally:
        claim.release()


def _exit_when_unwanted(job: Job, worker_pid: int) -> None:
    """Ends this process when its worker or the runner is gone, or its time is up."""
    while os.getppid() == worker_pid and _runner_lives(job) and not _past(job.deadline):
        time.sleep(0.5)
    Claim.on(job.folder.path).release()
    os._exit(1)


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.time() > deadline


def _runner_lives(job: Job) -> bool:
    """Whether the runner lives; on another host that is for the cluster to know."""
    host, pid = job.runner
    return host != platform.node() or process_exists(pid)
