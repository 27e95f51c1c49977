"""What it costs to train in bfloat16 where the processor has no instructions for it."""

from statistics import median

from ablations.execution.resources import Means
from ablations.studies.study import Study

_ROUNDS = 3


def emulation_warning(study: Study, means: Means) -> str | None:
    """Return one sentence for whoever is about to train in an emulated precision, or None.

    Nothing is said of GPUs, nor of machines of a cluster or a queue, which may be of another kind.
    """
    elsewhere = means.backend == "slurm" or means.address is not None
    asked = study.base("").train.precision == "bfloat16"
    if means.device != "cpu" or elsewhere or not asked:
        return None
    from smoe.ops.processor import native_bfloat16, processor_name  # loads PyTorch

    if native_bfloat16():
        return None
    return (
        f"{processor_name()} has no instructions for bfloat16 in use and emulates it: a training "
        f"step takes {emulation_factor():.1f} times as long as in float32 (small network, measured "
        "just now); use --set train.precision=float32."
    )


def emulation_factor() -> float:
    """Return how many times as long a training step in bfloat16 takes as one in float32 here.

    It is the median over a few pairs of steps of a small network, which take about a second where
    bfloat16 is emulated.
    """
    import torch

    from ablations.bench.timing import Size, alternate, batches, stepper, twins

    size, threads = Size(4, 1, 1.0), torch.get_num_threads()
    network, batch = twins(size)[0], batches(size, "cpu")
    sides = {precision: stepper(network, precision, batch) for precision in ("float32", "bfloat16")}
    torch.set_num_threads(1)  # as runs of small networks do
    try:
        times = alternate(sides, _ROUNDS, "cpu")
    finally:
        torch.set_num_threads(threads)
    walls = zip(times["bfloat16"]["wall_s"], times["float32"]["wall_s"], strict=True)
    return median(slow / fast for slow, fast in walls)
