"""One run from its configuration to its `done` marker, in a process of its own."""

import io
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.store import NO_ROOM, Failure, RunFolder
from smoe.config import RunConfig
from smoe.cost import cost

if TYPE_CHECKING:
    from smoe.train import Trained

log = logging.getLogger(__name__)


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
        device: "cpu" or "cuda".
        threads: Threads that torch may use.
        score_jobs: Processes that compute metrics.
        checkpoint_interval_s: Least time between two checkpoints.
        deadline: When to stop, in seconds since the epoch; None for never.
        timeout_s: A run that takes longer at one go has failed; None for no limit.
        depot: On a cluster, name of the actor that serves nodes which do not see the results.
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


def execute(job: Job) -> None:
    """Does the run, resuming from its checkpoint; afterwards the folder is marked done.

    Raises:
        Exception: whatever went wrong; also noted in the folder as `failed.json`, except where the
            disk is full, which is not the run's fault.
    """
    from smoe.checkpoint import write_atomic
    from smoe.train import DivergedError

    try:
        _execute(job)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        if isinstance(error, DivergedError):
            write_atomic(job.folder.file("history.parquet"), _parquet(error.history))
        job.folder.mark_failed(_failure_class(error), f"{type(error).__name__}: {error}")
        raise


def _execute(job: Job) -> None:
    import torch

    from smoe.checkpoint import save_checkpoint, write_atomic
    from smoe.corpora.pool import load
    from smoe.corpora.test_set import test_set
    from smoe.evaluate import evaluate, evaluate_unprocessed
    from smoe.train import owner_of

    torch.set_num_threads(job.threads)
    config = job.config
    corpus = load(job.corpus_folder, job.corpus_folder.name)
    if corpus is None or corpus.data_hash != config.data_hash:
        raise RuntimeError(f"the prepared corpus {job.corpus_folder} was changed or damaged")
    resolved = {"cell": job.cell, "seed": job.seed, **config.model_dump(mode="json")}
    write_atomic(job.folder.file("config.json"), json.dumps(resolved, indent=1).encode())
    history, train_s, parts, counts = [], None, None, None
    names = ["config.json", "run.json", "utterances.parquet", "routing.parquet", "history.parquet"]
    _progress(job, step=0, phase="preparing", history=[])
    test = test_set(corpus, config.test)
    if config.model is None:
        found = evaluate_unprocessed(test, score_jobs=job.score_jobs)
    else:
        trained = _trained_before(job) or _train(job, corpus)
        history, train_s, parts = trained.history, trained.train_s, trained.parts
        counts = cost(config.model)
        weights = {"owner": owner_of(config, job.seed), "enhancer": trained.enhancer.state_dict()}
        save_checkpoint(job.folder.weights, weights)
        _progress(job, step=config.train.steps, phase="scoring", history=history)
        found = evaluate(
            trained.enhancer, test, config.test, device=job.device, score_jobs=job.score_jobs
        )
        write_atomic(job.folder.file("examples.npz"), _examples(found.examples))
    write_atomic(job.folder.file("utterances.parquet"), _parquet(found.utterances))
    write_atomic(job.folder.file("routing.parquet"), _parquet(found.routing))
    write_atomic(job.folder.file("history.parquet"), _parquet(history))
    record = {
        "params": counts and counts.params,
        "macs": counts and counts.macs_per_s,
        "train_steps": config.train.steps if config.model else None,
        "train_s": train_s,
        "batch_parts": parts,
        "inference_rtf": found.inference_rtf,
        "device": device_name(job.device),
        "git_commit": job.git_commit,
    }
    write_atomic(job.folder.file("run.json"), json.dumps(record, indent=1).encode())
    job.folder.mark_done(names)


def _trained_before(job: Job) -> "Trained | None":
    """The network of a run that only its scores are missing of, e.g. since a file was damaged."""
    import pandas as pd

    from smoe.checkpoint import load_checkpoint
    from smoe.train import Trained, owner_of
    from smoe.unet import SpeechEnhancer

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
    return Trained(enhancer, rows, record["train_s"], record["batch_parts"])


def _train(job: Job, corpus: Any) -> "Trained":
    from smoe.mixing import MixtureSource
    from smoe.train import train

    source = MixtureSource(corpus, "train", job.config.mix, device=job.device)
    return train(
        job.config,
        job.seed,
        source,
        device=job.device,
        checkpoint=job.folder.checkpoint,
        checkpoint_interval_s=job.checkpoint_interval_s,
        on_log=lambda history: _progress(
            job, step=int(history[-1]["step"]), phase="training", history=history
        ),
    )


def _progress(job: Job, *, step: int, phase: str, history: list[dict[str, float]]) -> None:
    """The heartbeat: how far the run is, for display, tracking and the detection of dead runs."""
    from smoe.checkpoint import write_atomic

    log.info("%s: step %d", phase, step)
    beat = {"step": step, "phase": phase, "time": time.time(), "history": history}
    write_atomic(job.folder.file("progress.json"), json.dumps(beat).encode())


def device_name(device: str) -> str:
    """The device as a person would name it, e.g. "cpu (x86_64)" or "NVIDIA H200"."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu ({platform.machine()})"


def _failure_class(error: Exception) -> Failure:
    from smoe.train import DivergedError, is_out_of_memory

    if isinstance(error, DivergedError):
        return "diverged"
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
