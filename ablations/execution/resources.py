"""What a study may spend: runs at once, threads, device, backend, time."""

import time
from dataclasses import dataclass

from ablations.execution.ray_connection import connect
from ablations.execution.submitit_library import require_submitit
from smoe.corpora import cores
from smoe.errors import UserError

BACKENDS = ("loky", "ray", "slurm")
RUN_BYTES = 2 * 2**30  # of host memory that a run on the CPU may want
RUNS_PER_GPU = 8  # networks side by side; more gain little
MOST_JOBS = 4096
MOST_HOURS = 24 * 365 * 10
RUNS_PER_CLUSTER_GPU = 4  # whose free memory nobody knows beforehand


@dataclass(frozen=True)
class Means:
    """What the machine may spend; nothing here changes a result's meaning.

    Attributes:
        jobs: Runs at once; on GPUs of this machine, on each of them.
        device: "cpu" or "cuda".
        backend: "loky" for local processes, "ray" for a cluster, "slurm" for its queue.
        threads: Threads of each run; by default such that jobs x threads is the number of cores.
        address: Of the Ray cluster; None for one on this machine.
        slurm: Parameters of Slurm's jobs, as submitit names them.
        checkpoint_interval_s: Least time between two checkpoints of a run.
        deadline: Time, in seconds since the epoch, at which runs are stopped; None for never.
        timeout_s: A run that takes longer at one go has failed; None for no limit.
    """

    jobs: int
    device: str = "cpu"
    backend: str = "loky"
    threads: int = 1
    address: str | None = None
    slurm: tuple[str, ...] = ()
    checkpoint_interval_s: float = 20.0
    deadline: float | None = None
    timeout_s: float | None = None


def means_of(
    jobs: str,
    device: str,
    backend: str,
    checkpoint_interval_s: float,
    threads: int | None,
    *,
    max_hours: float | None = None,
    timeout_hours: float | None = None,
    address: str | None = None,
    slurm: tuple[str, ...] = (),
) -> Means:
    """The means that the command line asks for.

    Raises:
        UserError: unknown device or backend, no GPU, no cluster, or an impossible number of jobs.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f'There is no device "{device}"; choose auto, cpu or cuda.')
    if backend not in BACKENDS:
        raise UserError(f'There is no backend "{backend}"; choose {" or ".join(BACKENDS)}.')
    _require_amounts(jobs, threads, checkpoint_interval_s, max_hours, timeout_hours)
    if address and backend != "ray":
        raise UserError("--address names a Ray cluster; give --backend ray with it.")
    if slurm and backend != "slurm":
        raise UserError("--slurm sets what Slurm's jobs ask for; give --backend slurm with it.")
    if not all("=" in each for each in slurm):
        raise UserError("--slurm wants NAME=VALUE, e.g. slurm_partition=gpu.")
    if backend == "ray":
        device, fit, processors = _of_cluster(device, address)
    elif backend == "slurm":
        require_submitit()
        device, fit, processors = "cuda" if device == "cuda" else "cpu", cores(), cores()
    else:
        device = _local_device(device)
        fit, processors = _jobs_that_fit(device), cores()
    at_once = fit if jobs == "auto" else int(jobs)
    return Means(
        jobs=at_once,
        device=device,
        backend=backend,
        threads=threads or max(1, processors // at_once),
        address=address,
        slurm=slurm,
        checkpoint_interval_s=checkpoint_interval_s,
        deadline=time.time() + 3600 * max_hours if max_hours else None,
        timeout_s=3600 * timeout_hours if timeout_hours else None,
    )


def _require_amounts(
    jobs: str,
    threads: int | None,
    checkpoint_interval_s: float,
    max_hours: float | None,
    timeout_hours: float | None,
) -> None:
    """Refuses numbers that no machine and nobody's time can meet, "not a number" among them."""
    if jobs != "auto" and not (is_whole(jobs) and 0 < int(jobs) <= MOST_JOBS):
        raise UserError(f'--jobs wants a number from 1 to {MOST_JOBS}, or auto, not "{jobs}".')
    if threads is not None and not 0 < threads <= MOST_JOBS:
        raise UserError(f"--threads wants a number from 1 to {MOST_JOBS}, not {threads}.")
    for option, hours in (("--max-hours", max_hours), ("--timeout", timeout_hours)):
        if hours is not None and not 0 < hours <= MOST_HOURS:
            raise UserError(f"{option} wants hours above 0 and up to {MOST_HOURS}, not {hours:g}.")
    if not 0 <= checkpoint_interval_s <= 3600 * MOST_HOURS:
        raise UserError(f"--checkpoint-every wants seconds from 0, not {checkpoint_interval_s:g}.")


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number in plain digits, without a sign."""
    return text.isascii() and text.isdigit()


def _local_device(device: str) -> str:
    if device == "cpu":
        return device
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("No GPU was found; use --device cpu.")
    return "cuda" if available else "cpu"


def _jobs_that_fit(device: str) -> int:
    """A fixed number per GPU, or one run per core as far as memory goes."""
    import psutil

    if device == "cuda":
        return RUNS_PER_GPU
    by_memory = psutil.virtual_memory().available // RUN_BYTES
    return max(1, min(cores(), by_memory))


def _of_cluster(device: str, address: str | None) -> tuple[str, int, int]:
    """Device, runs at once and cores of a Ray cluster."""
    resources = connect(address)
    processors, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    if device == "cuda" and not gpus:
        raise UserError("The Ray cluster has no GPU; use --device cpu.")
    if device == "cpu" or not gpus:
        return "cpu", processors, processors
    return "cuda", max(1, min(processors // 2, gpus * RUNS_PER_CLUSTER_GPU)), processors
