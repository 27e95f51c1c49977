"""Runs as jobs of Slurm, through submitit; without a Slurm, as processes of this machine."""

import contextlib
import io
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ablations.execution.isolation import RunEnd, end_on_disk, run_isolated
from ablations.execution.resources import Means, is_whole
from ablations.execution.submitit_library import require_submitit
from ablations.execution.worker import Job
from ablations.runs.run_folder import RUNS_FOLDER
from smoe.errors import UserError
from smoe.schema.text import plain

POLL_S = 2.0
REQUEUE_S = 180.0  # within which Slurm queues a preempted job again, if it does so at all
REASON_CHARACTERS = 200
# States of Slurm in which a job ends that did not end by itself.
TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REQUEUED", "RESIZING", "REVOKED")
TIME_LIMIT = ("TIMEOUT", "DEADLINE")


def slurm_attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """Attempt each job once, at most `means.jobs` in the queue; all nodes see the results folder.

    Raises:
        UserError: submitit is not installed, or Slurm does not take such jobs.
    """
    submitit = require_submitit()
    executor = submitit.AutoExecutor(folder=jobs[0].folder.results / RUNS_FOLDER / ".slurm")
    try:
        executor.update_parameters(**_parameters(means))
    except (NameError, TypeError, ValueError, AssertionError) as error:
        raise UserError(f"--slurm: {_last_line(error)}") from error
    waiting, queued = list(jobs), dict[str, _Queued]()
    try:
        while waiting or queued:
            while waiting and len(queued) < means.jobs:
                job = waiting.pop(0)
                queued[job.folder.run_id] = _Queued(job, _submit(executor, job))
            for run_id, each in list(queued.items()):
                end = each.end()
                if end is not None:
                    del queued[run_id]
                    yield end
            time.sleep(POLL_S if queued else 0)
    finally:
        for each in queued.values():
            each.cancel()


@dataclass
class _Queued:
    """A run in the queue, and since when its node has been taken away."""

    job: Job
    entry: Any
    gone_since: float | None = None

    def end(self) -> RunEnd | None:
        """How it ended; None while it waits or runs."""
        if self.entry.done():
            return _end_of(self.job, self.entry)
        # For submitit a preempted job still runs, since Slurm may queue it again; where Slurm does
        # not, it would be waited for without end.
        if _state(self.entry) not in TAKEN_AWAY:
            self.gone_since = None
            return None
        self.gone_since = self.gone_since or time.monotonic()
        if time.monotonic() - self.gone_since < REQUEUE_S:
            return None
        self.cancel()
        ended = end_on_disk(self.job)
        return ended or _taken_from(self.job, _state(self.entry), "")

    def cancel(self) -> None:
        """Take it out of the queue."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.entry.cancel(check=False)


def _submit(executor: Any, job: Job) -> Any:
    """Puts a run into the queue.

    Raises:
        UserError: the queue refuses it, e.g. since there is no such partition.
    """
    from submitit.core.utils import (  # pyright: ignore[reportMissingImports]
        FailedJobError,
        FailedSubmissionError,
    )

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # sbatch's words are in the error
            return executor.submit(run_isolated, job)
    except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError) as error:
        raise UserError(
            f"Slurm does not take the job ({_last_line(error)}); see --slurm, which sets what jobs "
            "ask for. What runs by now goes on with the same command."
        ) from error


def _parameters(means: Means) -> dict[str, Any]:
    """What each job asks Slurm for; `--slurm` adds to it, e.g. `slurm_partition=gpu`."""
    given = dict(pair.split("=", 1) for pair in means.slurm)
    numbers = {key: int(value) if is_whole(value) else value for key, value in given.items()}
    asked: dict[str, Any] = {"name": "smoe", "cpus_per_task": means.threads, "timeout_min": 24 * 60}
    if means.device != "cpu":
        asked["gpus_per_node"] = 1
    return {**asked, **numbers}


def _end_of(job: Job, queue_entry: Any) -> RunEnd:
    """How a job ended: by itself, or by the queue's hand, which is told by the job's state."""
    try:
        return queue_entry.result()
    except Exception as error:  # whatever became of it, only the run's folder and Slurm can tell
        ended = end_on_disk(job)
        return ended or _taken_from(job, _state(queue_entry), _last_line(error))


def _taken_from(job: Job, state: str, said: str) -> RunEnd:
    """How a job ended that has left no result, by its state."""
    run_id = job.folder.run_id
    if state in TAKEN_AWAY:
        return RunEnd(run_id, "taken away", f"Slurm took its node away ({state})")
    if state in TIME_LIMIT:
        why = "Slurm's time limit was reached; --slurm timeout_min=MINUTES sets it"
        return RunEnd(run_id, "stopped", why)
    if state == "CANCELLED":  # by somebody, who would not like it to be queued again
        return RunEnd(run_id, "time up", "it was cancelled in Slurm's queue")
    if state == "OUT_OF_MEMORY":
        why = "ended by Slurm: memory ran out; --slurm mem_gb=GIB sets it"
        job.folder.mark_failed("out of memory", why)
        return RunEnd(run_id, "failed", why)
    named = f"{state}: " if state not in ("UNKNOWN", "FINISHED", "COMPLETED") else ""
    return RunEnd(run_id, "stopped", f"{named}{said}")


def _state(queue_entry: Any) -> str:
    """A job's state as Slurm names it; "CANCELLED by 1000" is CANCELLED."""
    try:
        named = str(queue_entry.state).split()
    except Exception:  # sacct may be away; the job has ended all the same
        return "UNKNOWN"
    return named[0].rstrip("+").upper() if named else "UNKNOWN"


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return plain(lines[-1].strip() if lines else type(error).__name__)[:REASON_CHARACTERS]
