"""Runs on the GPUs of this machine: one process for each, which trains many at once.

What may have been the fault of a run's company (its process died, memory ran out, the GPU gave up)
is tried once more alone, and only then held against it.
"""

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ablations.execution.isolation import (
    CLAIM_LOST,
    NOT_ALLOWED,
    TIME_UP,
    RunEnd,
    end_after,
    end_on_disk,
    kills_for_memory,
    past,
)
from ablations.execution.resources import Means
from ablations.execution.side_by_side import do_together
from ablations.execution.worker import Job
from ablations.runs.claims import Claim
from ablations.runs.run_folder import NO_ROOM
from smoe.corpora import cores

POLL_S = 0.5
FINAL = {
    TIME_UP,
    CLAIM_LOST,
    NOT_ALLOWED,
    *NO_ROOM,
}  # exit statuses after which nothing is started again


@dataclass
class _Child:
    """The process of a device, what it has begun, and its exit status once it is gone."""

    process: BaseProcess
    device: str
    begun: set[str] = field(default_factory=set)
    code: int | None = None
    kills_before: int = field(default_factory=kills_for_memory)


def gpu_attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """One attempt at each job, up to `means.jobs` side by side on each device.

    A run's `--timeout` is the time that it trains at one go, company included; it is looked at
    whenever a row is logged. With `means.device` "cpu" the processor takes the place of a GPU.
    """
    waiting = {job.folder.run_id: job for job in jobs}
    children: dict[Any, _Child] = {}
    idle, code = _devices(means), 0
    size, score_jobs = -(-len(jobs) // len(idle)), scoring_processes(len(idle))
    try:
        while idle or children:
            if past(means.deadline):
                idle, code = [], TIME_UP
            for device in idle if any(map(_is_free, waiting.values())) else []:
                todo = [replace(j, device=device, score_jobs=score_jobs) for j in waiting.values()]
                pipe, children[pipe] = _start(todo, min(size, means.jobs), device)
            idle = []
            dead = [children.pop(p) for p in wait(list(children), POLL_S) if not _hear(p, children)]
            for child in (*children.values(), *dead):
                yield from _ends(child, waiting)
            for child in dead:
                left = child.begun & waiting.keys()
                if child.code not in FINAL and child.begun and (child.code or left):
                    idle.append(child.device)
                else:
                    code = child.code or code
    finally:
        for child in children.values():
            child.process.kill()
            child.process.join()
    for job in waiting.values():
        yield _end_of_untouched(job, code)


def scoring_processes(devices: int) -> int:
    """Return how many processes score beside each device; two cores are left to what trains."""
    return max(1, (cores() - 2) // devices)


def _devices(means: Means) -> list[str]:
    if means.device == "cpu":
        return ["cpu"]
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def _is_free(job: Job) -> bool:
    return not end_on_disk(job) and not Claim.on(job.folder.path).is_alive()


def _start(jobs: list[Job], size: int, device: str) -> tuple[Connection, _Child]:
    context = multiprocessing.get_context("spawn")
    pipe, begun = context.Pipe(duplex=False)
    process = context.Process(target=do_together, args=(jobs, size, begun, os.getpid()))
    process.start()
    begun.close()  # here; so that the pipe ends when the process does
    return pipe, _Child(process, device)


def _hear(pipe: Any, children: dict[Any, _Child]) -> bool:
    """Notes what a child says that it has begun; False if it is gone."""
    child = children[pipe]
    try:
        child.begun.add(pipe.recv())
    except (EOFError, OSError):
        child.process.join()
        child.code = child.process.exitcode
    return child.code is None


def _ends(child: _Child, waiting: dict[str, Job]) -> Iterator[RunEnd]:
    """What a child has ended; if it is gone, what it left unfinished is to be tried alone."""
    gone = child.code is not None and child.code not in FINAL
    for run_id in child.begun & waiting.keys():
        job = waiting[run_id]
        end = end_on_disk(job)
        if not end and gone and job.alone:
            end = end_after(job, child.code or 0, child.kills_before)
        if end:
            del waiting[run_id]
            yield end
        elif gone:
            waiting[run_id] = replace(job, alone=True)


def _end_of_untouched(job: Job, code: int) -> RunEnd:
    """How it stands with a job that no process got to before the last one ended with `code`."""
    if end := end_on_disk(job):
        return end
    if code == 0 or Claim.on(job.folder.path).is_alive():
        return RunEnd(job.folder.run_id, "elsewhere")
    return end_after(job, code, kills_for_memory())
