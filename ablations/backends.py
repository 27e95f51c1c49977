"""Where runs are carried out: joblib with local processes, or on a Ray cluster."""

import contextlib
import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablations.worker import Job, execute
from smoe.errors import UserError

BACKENDS = ("loky", "ray")


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


def run_isolated(job: Job) -> tuple[str, str | None]:
    """Does a run in a process of its own, so that its death is its own; runs in a worker.

    Returns:
        The run's id and None, or the reason why it failed.
    """
    preload()
    job.folder.path.mkdir(parents=True, exist_ok=True)
    job.folder.file("failed.json").unlink(missing_ok=True)
    # Forked, not spawned: the libraries are loaded once per worker instead of once per run.
    process = multiprocessing.get_context("fork").Process(target=_child, args=(job, os.getpid()))
    process.start()
    process.join()
    if process.exitcode == 0:
        return job.folder.run_id, None
    failure = job.folder.read_json("failed.json")
    if failure is None and process.exitcode is not None and process.exitcode < 0:
        return job.folder.run_id, f"killed by signal {-process.exitcode}"
    reason = failure["reason"] if failure else f"exit status {process.exitcode}"
    return job.folder.run_id, reason


def preload() -> None:
    """Imports what every run needs, without starting a thread or touching a GPU."""
    import pandas  # noqa: F401

    import smoe.evaluate
    import smoe.train  # noqa: F401


def _child(job: Job, worker_pid: int) -> None:
    log = job.folder.file("log.txt").open("ab", buffering=0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    threading.Thread(target=_exit_when_orphaned, args=(job, worker_pid), daemon=True).start()
    execute(job)


def _exit_when_orphaned(job: Job, worker_pid: int) -> None:
    """Ends this process when its worker or the runner is gone: nobody waits for the run then."""
    while os.getppid() == worker_pid and _alive(job):
        time.sleep(0.5)
    os._exit(1)


def _alive(job: Job) -> bool:
    """Whether the runner lives; on another host that is for the cluster to know."""
    host, pid = job.runner
    if host != platform.node():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder(results: Path) -> Path:
    """Where prepared corpora are kept."""
    return results / ".corpora"
