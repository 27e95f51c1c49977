"""What the network costs in time and memory, against the source carried out to the letter.

The reference computes in float32 throughout, since complex tensors have no bfloat16; so the ratio
in bfloat16 is what a user gains who replaces the one by the other. A GPU has a plan of its own, in
`gpu`.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ablations.bench import gpu
from ablations.bench.floors import by_class, floors, flops, own_times
from ablations.bench.timing import (
    Record,
    Side,
    Size,
    alternate,
    batches,
    environment,
    per_step,
    record_of,
    stepper,
    traffic,
    twins,
)
from smoe.atomic import write_atomic
from smoe.config import LossConfig
from smoe.errors import UserError
from smoe.metrics import score
from smoe.ops.processor import kind, native_bfloat16, slug
from smoe.training.cuda_graph import CapturedStep
from smoe.training.losses import enhancement_loss
from smoe.training.memory import keep_freed_memory, saved_bytes

SCHEMA_VERSION = 1
TRIAL = "-quick"  # ends the name of a file that measures nothing worth reporting


class Plan(NamedTuple):
    """What is measured: the size of the headline numbers, and one sweep along each of its axes."""

    size: Size
    rounds: int
    widths: tuple[int, ...]
    batches: tuple[int, ...]
    lengths_s: tuple[float, ...]
    sweep_rounds: int

    def sweep(self) -> list[Size]:
        """All sizes of the three sweeps, each once."""
        sizes = [self.size._replace(width=w) for w in self.widths]
        sizes += [self.size._replace(batch=b) for b in self.batches]
        sizes += [self.size._replace(length_s=s) for s in self.lengths_s]
        return list(dict.fromkeys(sizes))


PASSES = 2  # of inference in a turn
FULL = Plan(Size(8, 4, 3.0), 20, (4, 8, 16), (1, 2, 4, 8), (1.0, 2.0, 3.0, 6.0), 4)
QUICK = Plan(Size(2, 2, 0.5), 1, (1, 2), (2,), (0.5,), 1)


def bench(
    results: Path,
    device: str = "cpu",
    *,
    threads: int = 0,
    quick: bool = False,
    make_step: gpu.MakeStep | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Measures this machine and writes a file named by the kind of its processor or GPU.

    A trial's name ends in "-quick", so that it takes the place of no measurement.

    Args:
        results: Results folder.
        device: "cpu" or "cuda".
        threads: Processor threads; 0 for all cores. Where other programs keep cores busy, threads
            that wait for each other distort every ratio: take fewer.
        quick: Tiny sizes and few rounds: exercises everything, measures nothing worth reporting.
        make_step: What trains a network in a GPU's plan; given for the processor, that goes
            through the GPU's plan, too, which then measures nothing worth reporting.
        on_progress: Told what is measured next.

    Returns:
        The file written: settings of this machine and all raw times. That of a GPU's plan is
        written anew after each measurement.

    Raises:
        UserError: there is no such device.
    """
    on_gpu = device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise UserError("No GPU was found; use --device cpu.")
    threads_before, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(threads or threads_before)
    try:
        where, records = environment(device), []
        content = {"schema": SCHEMA_VERSION, "quick": quick, **where, "measurements": records}
        named = slug(where["gpu"]) if on_gpu else kind()
        trial = quick or (make_step is not None and not on_gpu)
        path = results / "bench" / f"{named}{TRIAL * trial}.json"
        if not (on_gpu or native_bfloat16()):
            on_progress(f"{where['cpu']} ({where['instructions']}) emulates bfloat16.")
        measurements = _measurements(QUICK if quick else FULL, quick)
        if on_gpu or make_step:
            content["plan"] = "gpu"
            measurements = gpu.measurements(quick, device, make_step or CapturedStep)
        for title, measure in measurements:
            on_progress(f"{time.perf_counter() - started:4.0f} s  {title}")
            records.append(measure())
            for part, reason in records[-1].get("errors", {}).items():
                on_progress(f"        failed: {part}: {reason}")
            if "plan" in content:
                _write(path, content)
        _write(path, content)
    finally:
        torch.set_num_threads(threads_before)
    return path


def _write(path: Path, content: Record) -> None:
    write_atomic(path, json.dumps(content, indent=1).encode())


def _measurements(plan: Plan, quick: bool) -> Iterator[tuple[str, Callable[[], Record]]]:
    size, rounds = plan.size, plan.rounds
    for multi in (True, False):
        mode = "multi" if multi else "single"
        yield f"training step, {mode}", lambda m=multi: _step(size, m, rounds)
    for one in (size._replace(batch=1), size, size._replace(width=2 * size.width)):
        yield f"inference: {one}", lambda s=one: _inference(s, rounds)
    yield "loss", lambda: _loss(size, rounds)
    yield "metrics", lambda: _metrics(size, rounds)
    yield "memory and copies", lambda: _memory(size)
    for each in plan.sweep():
        title = f"sweep: {each}"
        yield title, lambda s=each: _step(s, True, plan.sweep_rounds, "sweep_step")
        yield title, lambda s=each: _inference(s, plan.sweep_rounds, "sweep_inference")
    yield "floors", lambda: _floors(size, quick)


def _step(size: Size, multi: bool, rounds: int, what: str = "step") -> Record:
    """Forward, default loss, backward, clipping, AdamW."""
    fast, literal = twins(size, multi=multi)
    batch = batches(size, "cpu")
    sides = {
        "fast_float32": stepper(fast, "float32", batch),
        "fast_bfloat16": stepper(fast, "bfloat16", batch),
        "reference": stepper(literal, "float32", batch),
    }
    return record_of(
        what, size, alternate(sides, rounds, "cpu"), mode="multi" if multi else "single"
    )


def _inference(size: Size, rounds: int, what: str = "inference") -> Record:
    """Waveform to waveform; in single-expert mode each expert is chosen for half of the signals.

    The choice is fixed from outside, since an untrained router would choose one expert for all. A
    turn is two passes that exchange the experts, for one of them costs more; times are of a pass.
    """
    multi, literal = twins(size)
    single, _ = twins(size, multi=False)
    batch = batches(size, "cpu")

    keep_freed_memory()  # as `enhance` and `evaluate` do

    def run(network: nn.Module, precision: str, chosen: bool = False) -> Side:
        network.eval()

        def side(index: int) -> None:
            noisy = batch(index).noisy
            bfloat16 = precision == "bfloat16"
            for first in range(PASSES):
                choice = torch.eye(2)[(torch.arange(len(noisy)) + first) % 2]
                options = {"intervention": lambda _, c=choice: c} if chosen else {}
                with (
                    torch.inference_mode(),
                    torch.autocast("cpu", torch.bfloat16, enabled=bfloat16),
                ):
                    network(noisy, **options)

        return side

    sides = {
        "fast_float32": run(multi, "float32"),
        "fast_bfloat16": run(multi, "bfloat16"),
        "single_float32": run(single, "float32", chosen=True),
        "reference": run(literal, "float32"),
    }
    times = alternate(sides, rounds, "cpu")
    return record_of(what, size, per_step(times, dict.fromkeys(sides, PASSES)))


def _loss(size: Size, rounds: int) -> Record:
    """Each objective, forward and backward."""
    batch = batches(size, "cpu")

    def run(kind: Any) -> Side:
        def side(index: int) -> None:
            mixture = batch(index)
            estimate = mixture.noisy.clone().requires_grad_()
            signals = {"enhanced": estimate, "clean": mixture.clean, "noisy": mixture.noisy}
            enhancement_loss(LossConfig(kind=kind), **signals).backward()

        return side

    sides = {kind: run(kind) for kind in ("wsdr_stft", "wsdr", "si_sdr")}
    return record_of("loss", size, alternate(sides, rounds, "cpu"))


def _metrics(size: Size, rounds: int) -> Record:
    """All four metrics of one utterance of 3 s, in one process."""
    one = size._replace(batch=1, length_s=3.0)
    mixture = batches(one, "cpu")(0)
    clean, noisy = mixture.clean[0].numpy(), mixture.noisy[0].numpy()
    sides: dict[str, Side] = {"all": lambda _: score(reference=clean, estimate=noisy)}
    return record_of("metrics", one, alternate(sides, rounds, "cpu"))


def _memory(size: Size) -> Record:
    """Activations kept for the backward pass, and bytes moved by a step."""
    fast, literal = twins(size)
    mixture = batches(size, "cpu")(0)
    record = record_of("memory", size, {})
    for name, network in {"fast": fast, "reference": literal}.items():
        record[f"{name}_activation_bytes"] = saved_bytes(
            network, lambda n=network: n(mixture.noisy, mixture.label)["enhanced_waveform"]
        )
    for precision in ("float32", "bfloat16"):
        step = stepper(fast, precision, lambda _: mixture)
        record[f"fast_{precision}_traffic"] = traffic(lambda s=step: s(0))
    return record


def _floors(size: Size, quick: bool) -> Record:
    """The machine's rates, the work of a training step, and where its time goes."""
    fast, _ = twins(size)
    batch = batches(size, "cpu")
    record = {**record_of("floors", size, {}), **floors("cpu", quick=quick)}
    for precision in ("float32", "bfloat16"):
        step = stepper(fast, precision, batch)
        rounds = range(3)  # labels decide which experts compute; three rounds show all alike
        record[f"fast_{precision}_flops"] = sum(flops(lambda i=i, s=step: s(i)) for i in rounds) / 3
        record[f"fast_{precision}_profile_s"] = by_class(
            own_times(lambda s=step: s(0), "cpu"), "cpu"
        )
    return record
