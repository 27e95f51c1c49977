"""Where runs are carried out: processes and GPUs of this machine, Ray, or Slurm's queue."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ablations.execution.isolation import RunEnd, run_isolated
from ablations.execution.resources import Means
from ablations.execution.worker import Job


def attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """One attempt at each job, in whatever order they end.

    Raises:
        UserError: what the backend needs is not installed or not there.
    """
    if means.backend == "ray":
        from ablations.execution.ray_cluster import ray_attempts

        return ray_attempts(jobs, means)
    if means.backend == "slurm":
        from ablations.execution.slurm import slurm_attempts

        return slurm_attempts(jobs, means)
    if means.device == "cuda":
        from ablations.execution.gpus import gpu_attempts

        return gpu_attempts(jobs, means)
    return _loky_attempts(jobs, means)


def _loky_attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """By joblib's processes; a lost worker process costs no other run its result."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # Said by joblib when a full disk or Ctrl-C ends a study; whoever ends it says so better.
    warnings.filterwarnings("ignore", message=".*tasks which were still being processed")
    waiting = {job.folder.run_id: job for job in jobs}
    for _ in range(len(jobs) + 1):
        # One run at a time to each worker: joblib would hand out several if some ended quickly.
        pool: Any = Parallel(
            means.jobs, backend="loky", return_as="generator_unordered", batch_size=cast(Any, 1)
        )
        try:
            for end in pool([delayed(run_isolated)(job) for job in waiting.values()]):
                del waiting[end.run_id]
                yield end
            return
        except TerminatedWorkerError:  # joblib gives the whole batch up; what is left starts anew
            continue
    yield from (RunEnd(i, "stopped", "its worker was killed again and again") for i in waiting)


def cache_folder(results: Path) -> Path:
    """Where prepared corpora are kept."""
    return results / ".corpora"
