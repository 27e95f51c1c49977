"""What training costs on a GPU: a network's steps recorded and played, alone and side by side.

Each measurement stands for itself: one that fails (memory runs out, say) leaves its reason in the
record and costs no other. The first ones pay for compiling Triton's kernels and say how much.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ablations.bench.floors import by_class, floors, own_times, work
from ablations.bench.timing import (
    LEARNING_RATE,
    Record,
    Side,
    Size,
    alternate,
    batches,
    per_step,
    record_of,
    stepper,
    twins,
    wait,
)
from smoe.config import ModelConfig, RunConfig
from smoe.mixtures.mixing import Mixture
from smoe.network.unet import SpeechEnhancer
from smoe.training.cuda_graph import ORDINARY_STEPS
from smoe.training.train import untrained

# Of a batch, what is taught, learning rate and number of pieces; enqueued, not waited for.
Step = Callable[[Mixture, Tensor, float, int], Tensor]
MakeStep = Callable[[SpeechEnhancer, torch.optim.Optimizer, RunConfig], Step]
Batch = Callable[[int], Mixture]
LARGEST = 30  # kernels whose own times are kept


class Plan(NamedTuple):
    """What is measured.

    Attributes:
        sizes: Of the steps that are held against the literal network and the floors.
        rounds: Turns of each side.
        steps: Of each network in a turn, enqueued before they are waited for; the literal network,
            which is slow enough, does one.
        together: Size of the networks that are trained side by side.
        cells: How many at once.
        profiled: Sizes whose time is told by class of kernels.
    """

    sizes: tuple[Size, ...]
    rounds: int
    steps: int
    together: Size
    cells: tuple[int, ...]
    profiled: tuple[Size, ...]


_NARROW, _WIDE = Size(8, 16, 3.0), Size(45, 8, 3.0)
FULL = Plan(
    (_WIDE, _WIDE._replace(batch=16), Size(16, 16, 3.0), _NARROW),
    6, 10, _NARROW, (1, 2, 4, 8), (_WIDE, _NARROW),
)  # fmt: skip
_TINY = Size(2, 2, 0.5)
QUICK = Plan((_TINY, _TINY._replace(width=1)), 1, 2, _TINY, (1, 2), (_TINY,))


def measurements(
    quick: bool, device: str, make_step: MakeStep
) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Title and doing of each measurement of the plan.

    Args:
        quick: Tiny sizes and few rounds.
        device: Where to compute.
        make_step: What does the steps of a network.
    """
    plan, rates = QUICK if quick else FULL, {}

    def one(what: str, size: Size, *parts: Callable[[], Record]) -> tuple:
        return f"{what}: {size}", lambda: _attempt(what, size, parts)

    def measured_rates() -> Record:
        rates.update(floors(device, quick=quick))
        return rates

    yield one("floors", plan.together, measured_rates)
    # Before the single steps, so that the first cell pays for compiling and the others do not.
    yield one(
        "together", plan.together,
        partial(_together, plan, device, make_step), partial(_work, plan.together, rates),
    )  # fmt: skip
    for size in plan.sizes:
        step = partial(_step, size, plan, device, make_step)
        yield one("step", size, step, partial(_work, size, rates))
    for size in plan.profiled:  # last, since a profiler may leave traces in later timings
        yield one("kernels", size, partial(_kernels, size, device, make_step))


def _attempt(what: str, size: Size, parts: Iterable[Callable[[], Record]]) -> Record:
    """The record of a measurement, whatever comes of its parts; all memory is free again."""
    record, errors = record_of(what, size, {}), {}
    for part in parts:
        try:
            record |= part()
        except Exception as error:
            errors[getattr(part, "func", part).__name__.strip("_")] = _reason(error)
        errors |= record.pop("errors", {})
        _free()
    return record | ({"errors": errors} if errors else {})


def _together(plan: Plan, device: str, make_step: MakeStep) -> Record:
    """Networks that differ in seed, fed the same batches: seconds per network and step by number.

    `prepare_s` are the seconds from nothing to each network's first played step, in order.
    """
    size = plan.together
    batch, steps, prepare_s, errors = batches(size, device), [], [], {}
    for seed in range(max(plan.cells)):
        try:
            step, seconds = _prepared(size, seed, batch, device, make_step)
        except Exception as error:
            errors[f"cell {seed + 1}"] = _reason(error)
            break
        steps.append(step)
        prepare_s.append(seconds)
    counts = [n for n in plan.cells if n <= len(steps)]
    sides = {str(n): _turn(steps[:n], batch, plan.steps) for n in counts}
    times = alternate(sides, plan.rounds, device)
    times = per_step(times, {str(n): n * plan.steps for n in counts})
    return {"times": times, "prepare_s": prepare_s, "errors": errors}


def _step(size: Size, plan: Plan, device: str, make_step: MakeStep) -> Record:
    """A network of the suite and the literal one in turn."""
    batch = batches(size, device)

    def captured() -> Side:
        step, seconds = _prepared(size, 0, batch, device, make_step)
        record["prepare_s"] = [seconds]
        return _turn([step], batch, plan.steps)

    def reference() -> Side:
        side = stepper(twins(size)[1].to(device), "float32", batch)
        side(0)
        wait(device)
        return side

    record: Record = {"tf32_convolutions": torch.backends.cudnn.allow_tf32}
    sides: dict[str, Side] = {}
    errors: dict[str, str] = {}
    for name, build in {"captured": captured, "reference": reference}.items():
        before = _restart_peak(device)
        try:
            sides[name] = build()
        except Exception as error:
            errors[name] = _reason(error)
        if device.startswith("cuda"):
            record[f"{name}_peak_bytes"] = torch.cuda.max_memory_allocated() - before
        _free()
    times = alternate(sides, plan.rounds, device)
    record["times"] = per_step(times, {"captured": plan.steps, "reference": 1})
    return record | {"errors": errors}


def _work(size: Size, rates: Record) -> Record:
    """What a step has to do, counted on the processor, and the least times that takes."""
    each = work(ModelConfig(init_channels=size.width), size.samples)
    flops, map_bytes = each.flops * size.batch, each.map_bytes * size.batch
    found: Record = {"flops": flops, "map_bytes": map_bytes}
    if rates:
        arithmetic_s = flops / rates["matmul_flops_per_s"]["bfloat16"]
        memory_s = map_bytes / rates["copy_bytes_per_s"]
        found["floors_s"] = {"arithmetic": arithmetic_s, "memory": memory_s}
    return found


def _kernels(size: Size, device: str, make_step: MakeStep) -> Record:
    """Where the time of a step goes."""
    batch = batches(size, device)
    step, _ = _prepared(size, 0, batch, device, make_step)
    own = own_times(partial(_turn([step], batch, 1), 0), device)
    largest = sorted(own.items(), key=lambda item: -item[1])[:LARGEST]
    return {"profile_s": by_class(own, device), "largest_s": dict(largest)}


def _prepared(
    size: Size, seed: int, batch: Batch, device: str, make_step: MakeStep
) -> tuple[Step, float]:
    """A network in training, past its ordinary steps and its capture; and the seconds it took."""
    wait(device)
    started = time.perf_counter()
    config = RunConfig(model=ModelConfig(init_channels=size.width), data_hash="")
    enhancer, optimiser = untrained(config, seed, device)
    step = make_step(enhancer, optimiser, config)
    _turn([step], batch, ORDINARY_STEPS + 1)(0)
    wait(device)
    torch.use_deterministic_algorithms(mode=False)  # which the literal network does not pay for
    return step, time.perf_counter() - started


def _turn(steps: list[Step], batch: Batch, count: int) -> Side:
    """So many steps of each network, all on the same batches."""

    def side(index: int) -> None:
        for i in range(count):
            mixture = batch(index + i)
            for step in steps:
                step(mixture, mixture.label, LEARNING_RATE, 1)

    return side


def _restart_peak(device: str) -> int:
    """Bytes in use now; the peak is that, too, from here on."""
    if not device.startswith("cuda"):
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _free() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _reason(error: Exception) -> str:
    """The first line of what an error says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
