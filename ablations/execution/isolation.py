"""One run in a process of its own, so that its death costs that run alone."""

import errno
import logging
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ablations.execution.worker import Job, TooLongError, execute
from ablations.runs.claims import Claim, ClaimLostError, process_exists
from ablations.runs.run_folder import FORBIDDEN, NO_ROOM
from smoe.user import have_a_name

# Exit statuses of a run's process, beside the errors of `NO_ROOM`, which stand for themselves.
CLAIMED_ELSEWHERE = 200
CLAIM_LOST = 201
TIME_UP = 202
NOT_ALLOWED = 203  # to read or write a file
SIGKILL = 9


class RunEnd(NamedTuple):
    """How an attempt at a run ended.

    `done`; `failed`, with the reason noted in its folder; `elsewhere`, another runner works on it;
    `stopped`, to go on from its checkpoint; `taken away`, by a queue that gave its node to others,
    to go on however often that happens; `time up`, for the next start to go on with; `no room`, its
    folder cannot be written to, or a file may not be read, with the number of the error as reason.
    """

    run_id: str
    status: Literal["done", "failed", "elsewhere", "stopped", "taken away", "time up", "no room"]
    reason: str = ""


def run_isolated(job: Job) -> RunEnd:
    """Does a run in a process of its own; called in a worker of whatever backend."""
    ended = end_on_disk(job)
    if ended:
        return ended
    if Claim.on(job.folder.path).is_alive():  # spares a process that would find the same
        return RunEnd(job.folder.run_id, "elsewhere")
    if past(job.deadline):
        return RunEnd(job.folder.run_id, "time up", "the time given with --max-hours was up")
    kills_before = kills_for_memory()
    process = _start(job)
    process.join(job.timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
        job.folder.mark_failed("timeout", str(TooLongError(job.timeout_s or 0)))
    return end_after(job, process.exitcode or 0, kills_before)


def end_on_disk(job: Job) -> RunEnd | None:
    """How a run ended as its folder tells it; None while it is not done and has not failed."""
    if job.folder.is_done():
        return RunEnd(job.folder.run_id, "done")
    failure = job.folder.read_json("failed.json")
    return RunEnd(job.folder.run_id, "failed", failure["reason"]) if failure else None


def past(deadline: float | None) -> bool:
    """Whether a time, in seconds since the epoch, is over; None never is."""
    return deadline is not None and time.time() > deadline


def preload() -> None:
    """Imports what every run needs, without starting a thread or touching a GPU."""
    have_a_name()  # PyTorch's compiler, which the first optimiser of a process loads, asks for it
    import pandas  # noqa: F401
    import torch._dynamo  # noqa: F401

    import smoe.evaluation.evaluate
    import smoe.training.train  # noqa: F401


def _start(job: Job) -> BaseProcess:
    # A worker of our own is forked from: the libraries are loaded once per worker instead of once
    # per run. Elsewhere (joblib runs a single job in the main process, Ray's workers have threads)
    # a fork could break what is in use, as it does on a Mac.
    linux = sys.platform.startswith("linux")
    forks = linux and multiprocessing.current_process().name.startswith("Loky")
    if forks:
        preload()
    context: Any = multiprocessing.get_context("fork" if forks else "spawn")
    process = context.Process(target=_child, args=(job, os.getpid()))
    process.start()
    return process


def end_after(job: Job, code: int, kills_before: int) -> RunEnd:
    """How a run ended whose process ended with this exit status; see `kills_for_memory`."""
    if code == -SIGKILL and kills_for_memory() > kills_before:
        job.folder.mark_failed("out of memory", "ended by the operating system: memory ran out")
    return end_on_disk(job) or _end_of(job, code)


def _end_of(job: Job, code: int) -> RunEnd:
    run_id = job.folder.run_id
    if code in NO_ROOM:
        return RunEnd(run_id, "no room", str(code))
    if code == NOT_ALLOWED:
        return RunEnd(run_id, "no room", str(errno.EACCES))
    if code in (CLAIMED_ELSEWHERE, CLAIM_LOST):
        return RunEnd(run_id, "elsewhere")
    if code == TIME_UP:
        return RunEnd(run_id, "time up", "the time given with --max-hours was up")
    return RunEnd(run_id, "stopped", f"signal {-code}" if code < 0 else f"exit status {code}")


def _child(job: Job, worker_pid: int) -> None:
    claim = Claim.on(job.folder.path)

    def leave(code: int) -> None:
        claim.release()
        os._exit(code)

    try:
        if not claim.take():
            os._exit(CLAIMED_ELSEWHERE)
        claim.keep(on_lost=lambda: os._exit(CLAIM_LOST))
        if not job.folder.is_done():  # by another runner, a moment ago
            job.folder.sweep()
            log_into(job.folder.file("log.txt"))
            leave_when_unwanted(job, worker_pid, leave)
            execute(job)
    except ClaimLostError:
        leave(CLAIM_LOST)
    except OSError as error:
        code = status_of(error)
        if code is None:
            raise
        if logging.root.handlers:  # the run's log is open
            logging.getLogger(__name__).error("%s", error)
        leave(code)
    finally:
        claim.release()


def status_of(error: OSError) -> int | None:
    """Return the exit status for an error that is not a run's fault; None for others."""
    number = error.errno
    if number in NO_ROOM:
        return number
    return NOT_ALLOWED if number in FORBIDDEN else None


def log_into(path: Path) -> None:
    """Appends all that the process says, and what its libraries print, to a file."""
    file = path.open("ab", buffering=0)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", force=True
    )


def leave_when_unwanted(job: Job, parent_pid: int, leave: Callable[[int], None]) -> None:
    """Has this process leave when its parent or the job's runner is gone, or its time is up."""

    def loop() -> None:
        while os.getppid() == parent_pid and _runner_lives(job) and not past(job.deadline):
            time.sleep(0.5)
        leave(TIME_UP if past(job.deadline) else 1)

    threading.Thread(target=loop, daemon=True).start()


def _runner_lives(job: Job) -> bool:
    """Whether the runner lives; on another host that is for the cluster to know."""
    host, pid = job.runner
    return host != platform.node() or process_exists(pid)


def kills_for_memory() -> int:
    """How many processes the kernel has ended so far because memory ran out; 0 if unknown."""
    try:
        with open("/proc/vmstat") as file:  # noqa: PTH123
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except OSError:
        return 0
