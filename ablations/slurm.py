"""Runs as jobs of Slurm, through submitit; without a Slurm, as processes of this machine."""

import time
from collections.abc import Iterator
from typing import Any

from ablations.isolate import RunEnd, end_on_disk, run_isolated
from ablations.means import Means, is_whole
from ablations.store import RUNS_FOLDER
from ablations.worker import Job
from smoe.errors import UserError

POLL_S = 2.0


def slurm_attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """One attempt at each job, at most `means.jobs` in the queue; all nodes see the results folder.

    Raises:
        UserError: submitit is not installed, or Slurm does not take such jobs.
    """
    try:
        import submitit  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            'The Slurm backend needs the extra "slurm": pip install -e ".[slurm]".'
        ) from error
    executor = submitit.AutoExecutor(folder=jobs[0].folder.results / RUNS_FOLDER / ".slurm")
    try:
        executor.update_parameters(**_parameters(means))
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f"--slurm: {error}") from error
    waiting, queued = list(jobs), dict[str, tuple[Job, Any]]()
    try:
        while waiting or queued:
            while waiting and len(queued) < means.jobs:
                job = waiting.pop(0)
                queued[job.folder.run_id] = (job, executor.submit(run_isolated, job))
            for run_id, (job, queue_entry) in list(queued.items()):
                if queue_entry.done():
                    del queued[run_id]
                    yield _end_of(job, queue_entry)
            time.sleep(POLL_S if queued else 0)
    finally:
        for _, queue_entry in queued.values():
            queue_entry.cancel(check=False)


def _parameters(means: Means) -> dict[str, Any]:
    """What each job asks Slurm for; `--slurm` adds to it, e.g. `slurm_partition=gpu`."""
    given = dict(pair.split("=", 1) for pair in means.slurm)
    numbers = {key: int(value) if is_whole(value) else value for key, value in given.items()}
    asked: dict[str, Any] = {"name": "smoe", "cpus_per_task": means.threads, "timeout_min": 24 * 60}
    if means.device != "cpu":
        asked["gpus_per_node"] = 1
    return {**asked, **numbers}


def _end_of(job: Job, queue_entry: Any) -> RunEnd:
    """How a job ended; where the node or the queue killed it, the run goes on another time."""
    try:
        return queue_entry.result()
    except Exception as error:  # whatever became of it, only the run's folder can tell
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        return end_on_disk(job) or RunEnd(job.folder.run_id, "stopped", reason[0])
