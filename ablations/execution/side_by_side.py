"""Runs side by side in one process, on the same batches, each scored while the next ones train.

A run's failure is its own. What may have been the fault of its company is not noted as one: the
run is left unfinished, to be tried alone.
"""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from ablations.execution import worker
from ablations.execution.isolation import (
    CLAIM_LOST,
    end_on_disk,
    leave_when_unwanted,
    log_into,
    status_of,
)
from ablations.execution.worker import Job
from ablations.runs.claims import Claim, ClaimLostError
from ablations.runs.run_folder import RUNS_FOLDER

if TYPE_CHECKING:
    from smoe.training.train import History, OnLog, Trained

UNSCORED_GROUPS = 2  # whose output may wait in memory until it is scored
BEAT_S = 1.0  # between two signs of life of a run: the GPU may idle while one is written


class _Claims:
    """The runs that this process works on."""

    def __init__(self) -> None:
        self._held: dict[str, Claim] = {}

    def take(self, job: Job) -> bool:
        """Claims a run and opens its log, unless it has ended or is another runner's."""
        claim = Claim.on(job.folder.path)
        if end_on_disk(job) or not claim.take():
            return False
        if end_on_disk(job):  # by another runner, a moment ago
            claim.release()
            return False
        claim.keep(on_lost=lambda: self.leave(CLAIM_LOST))
        self._held[job.folder.run_id] = claim
        job.folder.sweep()
        handler = logging.FileHandler(
            job.folder.file("log.txt"), encoding="utf-8", errors="backslashreplace"
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        worker.run_log(job).addHandler(handler)
        return True

    def release(self, job: Job) -> None:
        """Gives a run back."""
        self._held.pop(job.folder.run_id).release()
        handler = worker.run_log(job).handlers.pop()
        handler.close()

    def leave(self, code: int) -> None:
        """Ends this process at once, its runs given back."""
        for claim in list(self._held.values()):
            claim.release()
        os._exit(code)


def do_together(jobs: list[Job], size: int, begun: Connection, parent_pid: int) -> None:
    """Does all runs that nobody has claimed; called in a process of its own.

    Args:
        jobs: The runs, on one device.
        size: How many to train at once.
        begun: Is told the name of every run that is begun.
        parent_pid: With whom this process ends.
    """
    import torch
    from joblib.externals.loky import get_reusable_executor

    first, claims = jobs[0], _Claims()
    log_into(first.folder.results / RUNS_FOLDER / f".{first.device.replace(':', '-')}.log")
    logging.getLogger("run").setLevel(logging.INFO)
    logging.getLogger("run").propagate = False  # each run has its own file
    leave_when_unwanted(first, parent_pid, claims.leave)
    torch.set_num_threads(first.threads)
    try:
        if first.device != "cpu":
            torch.cuda.set_device(first.device)
        _do_all(list(jobs), size, begun, claims)
    except Exception as error:
        logging.getLogger(__name__).exception("this process has to end")
        claims.leave((status_of(error) if isinstance(error, OSError) else None) or 1)
    get_reusable_executor().shutdown(wait=True)  # the process would wait minutes for its workers


def _do_all(left: list[Job], size: int, begun: Connection, claims: _Claims) -> None:
    scorer, scores = ThreadPoolExecutor(max_workers=1), list[Future[None]]()
    while group := _claim_group(left, size, claims):
        alone = group[0].alone
        if alone:
            wait(scores)
        for job in group:
            begun.send(job.folder.run_id)
        for job, trained in _networks(group):
            try:
                if isinstance(trained, Exception):
                    raise trained
                test = worker.scoring_data(job)
                enhanced = worker.enhance(job, trained, test)
            except Exception as error:
                _end_with(error, job, claims)
                continue
            if trained:
                trained.enhancer.cpu()
            scores.append(scorer.submit(_score, claims, job, trained, enhanced, test))
            wait(scores[: -UNSCORED_GROUPS * size])
        if alone:
            wait(scores)
    wait(scores)


def _claim_group(left: list[Job], size: int, claims: _Claims) -> list[Job]:
    """Claims the next runs that share their batches; what was looked at is no longer `left`."""
    group: list[Job] = []
    for job in list(left):
        if len(group) == size:
            break
        if not group or _batches(job) == _batches(group[0]):
            left.remove(job)
            group += [job] if claims.take(job) else []
    return group


def _batches(job: Job) -> tuple[Any, ...]:
    """Runs for which this is equal can be trained side by side."""
    config, train = job.config, job.config.train
    shared = (job.seed, config.data_hash, config.mix, train.batch_size, train.steps)
    return (*shared, job.folder if job.alone else None)


def _networks(group: list[Job]) -> Iterator[tuple[Job, "Trained | Exception | None"]]:
    """The network of each run of a group, or its error, as they end; None if it needs none."""
    from smoe.training.train import Run, train_together

    left: dict[int, Job] = {}
    for job in group:
        try:
            worker.begin(job)
            before = worker.trained_before(job)
        except Exception as error:
            yield job, error
            continue
        if before or job.config.model is None:
            yield job, before
        else:
            left[len(left)] = job
    if not left:
        return
    first = left[0]
    runs = [Run(job.config, job.seed, job.folder.checkpoint, _on_log(job)) for job in left.values()]
    means = {"device": first.device, "checkpoint_interval_s": first.checkpoint_interval_s}
    try:
        for index, ended in train_together(runs, worker.training_data(first), **means):
            yield left.pop(index), ended
    except Exception as error:  # no one's in particular
        yield from ((job, error) for job in left.values())


def _on_log(job: Job) -> "OnLog":
    began = time.monotonic()
    beaten = -BEAT_S

    def on_log(history: "History") -> None:
        nonlocal beaten
        now = time.monotonic()
        if now - beaten >= BEAT_S:
            beaten = now
            worker.progress(job, step=int(history[-1]["step"]), phase="training", history=history)
        if job.timeout_s is not None and now - began > job.timeout_s:
            raise worker.TooLongError(job.timeout_s)

    return on_log


def _score(claims: _Claims, job: Job, *results: Any) -> None:
    try:
        worker.finish(job, *results)
        claims.release(job)
    except Exception as error:
        _end_with(error, job, claims)


def _end_with(error: Exception, job: Job, claims: _Claims) -> None:
    """Notes a failure that is the run's own; leaves a process whose GPU answers no longer."""
    import torch

    from smoe.training.memory import is_out_of_memory

    if isinstance(error, ClaimLostError):
        claims.leave(CLAIM_LOST)
    worker.run_log(job).error("failed", exc_info=error)
    poisoned = isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
    excused = poisoned or is_out_of_memory(error) or isinstance(error, BrokenProcessPool)
    try:
        if job.alone or not excused:
            worker.fail(job, error)
    except OSError as full:
        claims.leave(status_of(full) or 1)
    claims.release(job)
    if poisoned:
        claims.leave(1)
