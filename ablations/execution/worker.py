"""One run from its configuration to its `done` marker, and the parts that this consists of."""

import io
import json
import logging
import platform
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.runs.claims import ClaimLostError, require_held
from ablations.runs.run_folder import FORBIDDEN, NO_ROOM, Failure, RunFolder
from smoe.atomic import write_atomic
from smoe.config import RunConfig
from smoe.network.cost import cost

if TYPE_CHECKING:
    from smoe.evaluation.evaluate import Enhanced
    from smoe.mixtures.mixing import MixtureSource
    from smoe.mixtures.test_set import TestSet
    from smoe.training.train import Trained


class TooLongError(Exception):
    """A run was not done in the time given."""

    def __init__(self, timeout_s: float):
        super().__init__(f"not done after {timeout_s / 3600:.3g} hours (--timeout)")


@dataclass(frozen=True)
class Job:
    """What a worker process is told: the run, where it lives, and the means it may use.

    Attributes:
        folder: The run's folder.
        cell: Cell code, for the record only.
        config: The run.
        seed: Its seed.
        corpus_folder: The prepared corpus.
        git_commit: The code that runs, for the record.
        runner: Host and process of the runner; a run ends with it.
        device: "cpu", "cuda", or one of several GPUs, "cuda:1".
        threads: Threads that torch may use.
        score_jobs: Processes that compute metrics.
        checkpoint_interval_s: Least time between two checkpoints.
        deadline: When to stop, in seconds since the epoch; None for never.
        timeout_s: A run that takes longer at one go has failed; None for no limit.
        depot: On a cluster, name of the actor that serves nodes which do not see the results.
        alone: Not to be trained side by side with others, which may have been its undoing.
    """

    folder: RunFolder
    cell: str
    config: RunConfig
    seed: int
    corpus_folder: Path
    git_commit: str
    runner: tuple[str, int]
    device: str = "cpu"
    threads: int = 1
    score_jobs: int = 1
    checkpoint_interval_s: float = 20.0
    deadline: float | None = None
    timeout_s: float | None = None
    depot: str | None = None
    alone: bool = False


def execute(job: Job) -> None:
    """Does the run, resuming from its checkpoint; afterwards the folder is marked done.

    Raises:
        Exception: whatever went wrong; also noted in the folder, see `fail`.
    """
    import torch

    torch.set_num_threads(job.threads)
    try:
        begin(job)
        test, trained = scoring_data(job), None
        if job.config.model is not None:
            trained = trained_before(job) or _train(job)
        finish(job, trained, enhance(job, trained, test), test)
    except Exception as error:
        fail(job, error)
        raise


def begin(job: Job) -> None:
    """Says in the run's folder that it is being worked on."""
    run_log(job).info("started on %s in %s", platform.node(), job.folder.path)
    resolved = {"cell": job.cell, "seed": job.seed, **job.config.model_dump(mode="json")}
    write_atomic(job.folder.file("config.json"), json.dumps(resolved, indent=1).encode())
    progress(job, step=0, phase="preparing", history=[])


def enhance(job: Job, trained: "Trained | None", test: "TestSet") -> "Enhanced":
    """Saves the weights of a trained network and lets it enhance the test set on its device.

    Without a network the noisy input takes the place of its output.
    """
    from smoe.evaluation.evaluate import enhance_test_set, unprocessed
    from smoe.training.checkpoint import save_checkpoint
    from smoe.training.train import owner_of

    if trained is None:
        return unprocessed(test)
    owner, state = owner_of(job.config, job.seed), trained.enhancer.state_dict()
    save_checkpoint(job.folder.weights, {"owner": owner, "enhancer": state})
    progress(job, step=job.config.train.steps, phase="scoring", history=trained.history)
    return enhance_test_set(trained.enhancer, test, job.config.test, device=job.device)


def finish(job: Job, trained: "Trained | None", enhanced: "Enhanced", test: "TestSet") -> None:
    """Scores what was enhanced, on processors alone, stores everything and marks the run done.

    Args:
        job: The run.
        trained: Its network, of which only the record is looked at; None without one.
        enhanced: What the network made of the test set.
        test: The test set.
    """
    from smoe.evaluation.evaluate import score_test_set

    tables = {
        "utterances": score_test_set(enhanced, test, score_jobs=job.score_jobs),
        "routing": enhanced.routing,
        "history": trained.history if trained else [],
    }
    require_held(job.folder.path)
    if enhanced.examples:
        write_atomic(job.folder.file("examples.npz"), _examples(enhanced.examples))
    for name, rows in tables.items():
        require_held(job.folder.path)
        write_atomic(job.folder.file(f"{name}.parquet"), _parquet(rows))
    counts = cost(job.config.model) if job.config.model else None
    record = {
        "params": counts and counts.params,
        "macs": counts and counts.macs_per_s,
        "train_steps": job.config.train.steps if trained else None,
        "train_s": trained and trained.train_s,
        "batch_parts": trained and trained.parts,
        "inference_rtf": enhanced.inference_rtf,
        "device": device_name(job.device),
        "git_commit": job.git_commit,
    }
    write_atomic(job.folder.file("run.json"), json.dumps(record, indent=1).encode())
    require_held(job.folder.path)
    job.folder.mark_done(["config.json", "run.json", *(f"{name}.parquet" for name in tables)])


def fail(job: Job, error: Exception) -> None:
    """Notes in the run's folder what went wrong, so that it is not tried again.

    Raises:
        OSError: the disk is full or something may not be read or written, which is not the run's
            fault, so nothing is noted.
        ClaimLostError: another process works on the run now.
    """
    from smoe.training.train import DivergedError

    if isinstance(error, ClaimLostError):
        raise error
    if isinstance(error, OSError) and error.errno in (*NO_ROOM, *FORBIDDEN):
        raise error
    require_held(job.folder.path)
    if isinstance(error, DivergedError):
        write_atomic(job.folder.file("history.parquet"), _parquet(error.history))
    job.folder.mark_failed(_failure_class(error), f"{type(error).__name__}: {error}")


def scoring_data(job: Job) -> "TestSet":
    """The test set of a run; made once for runs that share it."""
    where, config = (job.corpus_folder, job.config.data_hash), job.config.test
    return _test_set(*where, config)  # pyright: ignore[reportArgumentType] frozen, so hashable


def training_data(job: Job) -> "MixtureSource":
    """Training mixtures of a run, on its device; made once for runs that share them."""
    where, config = (job.corpus_folder, job.config.data_hash), job.config.mix
    return _source(*where, config, job.device)  # pyright: ignore[reportArgumentType] as above


@lru_cache(maxsize=1)
def _test_set(corpus_folder: Path, data_hash: str, config: Any) -> "TestSet":
    from smoe.mixtures.test_set import test_set

    return test_set(_corpus(corpus_folder, data_hash), config)


@lru_cache(maxsize=1)
def _source(corpus_folder: Path, data_hash: str, config: Any, device: str) -> "MixtureSource":
    from smoe.mixtures.mixing import MixtureSource

    return MixtureSource(_corpus(corpus_folder, data_hash), "train", config, device=device)


@lru_cache(maxsize=1)
def _corpus(folder: Path, data_hash: str) -> Any:
    from smoe.corpora.pool import load

    corpus = load(folder, folder.name)
    if corpus is None or corpus.data_hash != data_hash:
        raise RuntimeError(f"the prepared corpus {folder} was changed or damaged")
    return corpus


def run_log(job: Job) -> logging.Logger:
    """What a run has to say about itself goes here."""
    return logging.getLogger(f"run.{job.folder.run_id}")


def trained_before(job: Job) -> "Trained | None":
    """The network of a run that only its scores are missing of, e.g. since a file was damaged."""
    import pandas as pd

    from smoe.network.unet import SpeechEnhancer
    from smoe.training.checkpoint import load_checkpoint
    from smoe.training.train import Trained, owner_of

    record = job.folder.read_json("run.json")
    history = job.folder.file("history.parquet")
    if record is None or not history.exists() or job.config.model is None:
        return None
    state = load_checkpoint(job.folder.weights, owner=owner_of(job.config, job.seed))
    if state is None:
        return None
    enhancer = SpeechEnhancer(job.config.model)
    enhancer.load_state_dict(state["enhancer"])
    rows: Any = pd.read_parquet(history).to_dict("records")
    return Trained(enhancer, rows, record["train_s"], record.get("batch_parts"))


def _train(job: Job) -> "Trained":
    from smoe.training.train import train

    return train(
        job.config,
        job.seed,
        training_data(job),
        device=job.device,
        checkpoint=job.folder.checkpoint,
        checkpoint_interval_s=job.checkpoint_interval_s,
        on_log=lambda history: progress(
            job, step=int(history[-1]["step"]), phase="training", history=history
        ),
    )


def progress(job: Job, *, step: int, phase: str, history: list[dict[str, float]]) -> None:
    """The heartbeat: how far the run is, for display, tracking and the detection of dead runs."""
    require_held(job.folder.path)
    run_log(job).info("%s: step %d", phase, step)
    beat = {"step": step, "phase": phase, "time": time.time(), "history": history}
    write_atomic(job.folder.file("progress.json"), json.dumps(beat).encode())


def device_name(device: str) -> str:
    """The device as a person would name it, e.g. "cpu (x86_64)" or "NVIDIA H200"."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()})"


def _failure_class(error: Exception) -> Failure:
    from smoe.training.memory import is_out_of_memory
    from smoe.training.train import DivergedError

    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, TooLongError):
        return "timeout"
    return "out of memory" if is_out_of_memory(error) else "error"


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _examples(examples: list[Any]) -> bytes:
    import numpy as np

    arrays = {
        f"{example.condition}/{signal}": getattr(example, signal)
        for example in examples
        for signal in ("noisy", "enhanced", "clean")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
