"""What the network costs in time and memory, against the source carried out to the letter.

The reference computes in float32 throughout, since complex tensors have no bfloat16; so the ratio
in bfloat16 is what a user gains who replaces the one by the other.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ablations.floors import floors, flops, time_by_class
from ablations.timing import Side, alternate, environment, traffic
from smoe.checkpoint import write_atomic
from smoe.config import SAMPLE_RATE, LossConfig, ModelConfig, RunConfig, TrainConfig
from smoe.errors import UserError
from smoe.initialise import initialise
from smoe.losses import enhancement_loss
from smoe.memory import saved_bytes
from smoe.metrics import score
from smoe.mixing import Mixture
from smoe.reference import ReferenceEnhancer, translate
from smoe.step import training_step
from smoe.unet import SpeechEnhancer

SCHEMA_VERSION = 1
Record = dict[str, Any]


class Size(NamedTuple):
    """Channels of the first level, signals per batch, seconds per signal."""

    width: int
    batch: int
    length_s: float


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


# Even numbers of rounds, so that a lone signal goes to each of the two experts equally often.
FULL = Plan(Size(8, 4, 3.0), 20, (4, 8, 16), (1, 2, 4, 8), (1.0, 2.0, 3.0, 6.0), 4)
QUICK = Plan(Size(2, 2, 0.5), 2, (1, 2), (1, 2), (0.5, 0.6), 2)


def bench(
    results: Path,
    device: str = "cpu",
    *,
    threads: int = 0,
    quick: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Measures this machine and writes `results/bench/<host>.json`.

    Args:
        results: Results folder.
        device: "cpu" or "cuda".
        threads: Processor threads; 0 for all cores. Where other programs keep cores busy, threads
            that wait for each other distort every ratio: take fewer.
        quick: Tiny sizes and few rounds: exercises everything, measures nothing worth reporting.
        on_progress: Told what is measured next.

    Returns:
        The file written: settings of this machine and all raw times.

    Raises:
        UserError: there is no such device.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("No GPU was found; use --device cpu.")
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    try:
        records = []
        plan = QUICK if quick else FULL
        for title, measure in _measurements(plan, device):
            on_progress(title)
            records.append(measure())
        on_progress("floors")
        records.append(_floors(plan.size, device, quick))
        where = environment(device)
    finally:
        torch.set_num_threads(threads_before)
    content = {"schema": SCHEMA_VERSION, "quick": quick, **where, "measurements": records}
    suffix = "-gpu" if where["gpu"] else ""
    path = results / "bench" / f"{where['host']}{suffix}.json"
    write_atomic(path, json.dumps(content, indent=1).encode())
    return path


def _measurements(plan: Plan, device: str) -> Iterator[tuple[str, Callable[[], Record]]]:
    size, rounds = plan.size, plan.rounds
    for multi in (True, False):
        mode = "multi" if multi else "single"
        yield f"training step, {mode}", lambda m=multi: _step(size, m, rounds, device)
    for batch in (1, size.batch):
        one = size._replace(batch=batch)
        yield f"inference, batch {batch}", lambda s=one: _inference(s, rounds, device)
    yield "loss", lambda: _loss(size, rounds, device)
    yield "metrics", lambda: _metrics(size, rounds)
    yield "memory and copies", lambda: _memory(size, device)
    for each in plan.sweep():
        title = f"sweep: width {each.width}, batch {each.batch}, {each.length_s:g} s"
        yield title, lambda s=each: _step(s, True, plan.sweep_rounds, device, "sweep_step")
        yield title, lambda s=each: _inference(s, plan.sweep_rounds, device, "sweep_inference")


def _step(size: Size, multi: bool, rounds: int, device: str, what: str = "step") -> Record:
    """Forward, default loss, backward, clipping, AdamW."""
    fast, literal = _networks(size, multi, device)
    batch = _batches(size, device)
    sides = {
        "fast_float32": _stepper(fast, "float32", batch),
        "fast_bfloat16": _stepper(fast, "bfloat16", batch),
        "reference": _stepper(literal, "float32", batch),
    }
    return _record(
        what, size, alternate(sides, rounds, device), mode="multi" if multi else "single"
    )


def _inference(size: Size, rounds: int, device: str, what: str = "inference") -> Record:
    """Waveform to waveform; in single-expert mode each expert is chosen for half of the signals.

    The choice is fixed from outside, since an untrained router would choose one expert for all.
    """
    multi, literal = _networks(size, True, device)
    single, _ = _networks(size, False, device)
    batch = _batches(size, device)

    def run(network: nn.Module, precision: str, chosen: bool = False) -> Side:
        network.eval()

        def side(index: int) -> None:
            noisy = batch(index).noisy
            choice = torch.eye(2, device=device)[(torch.arange(len(noisy)) + index) % 2]
            options = {"intervention": lambda _: choice} if chosen else {}
            bfloat16 = precision == "bfloat16"
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                network(noisy, **options)

        return side

    sides = {
        "fast_float32": run(multi, "float32"),
        "fast_bfloat16": run(multi, "bfloat16"),
        "single_float32": run(single, "float32", chosen=True),
        "reference": run(literal, "float32"),
    }
    return _record(what, size, alternate(sides, rounds, device))


def _loss(size: Size, rounds: int, device: str) -> Record:
    """Each objective, forward and backward."""
    batch = _batches(size, device)

    def run(kind: Any) -> Side:
        def side(index: int) -> None:
            mixture = batch(index)
            estimate = mixture.noisy.clone().requires_grad_()
            signals = {"enhanced": estimate, "clean": mixture.clean, "noisy": mixture.noisy}
            enhancement_loss(LossConfig(kind=kind), **signals).backward()

        return side

    sides = {kind: run(kind) for kind in ("wsdr_stft", "wsdr", "si_sdr")}
    return _record("loss", size, alternate(sides, rounds, device))


def _metrics(size: Size, rounds: int) -> Record:
    """All four metrics of one utterance of 3 s, in one process."""
    one = size._replace(batch=1, length_s=3.0)
    mixture = _batches(one, "cpu")(0)
    clean, noisy = mixture.clean[0].numpy(), mixture.noisy[0].numpy()
    sides: dict[str, Side] = {"all": lambda _: score(reference=clean, estimate=noisy)}
    return _record("metrics", one, alternate(sides, rounds, "cpu"))


def _memory(size: Size, device: str) -> Record:
    """Activations kept for the backward pass, and bytes moved by a step; on a GPU the peak, too."""
    fast, literal = _networks(size, True, device)
    mixture = _batches(size, device)(0)
    record = _record("memory", size, {})
    for name, network in {"fast": fast, "reference": literal}.items():
        record[f"{name}_activation_bytes"] = saved_bytes(
            network, lambda n=network: n(mixture.noisy, mixture.label)["enhanced_waveform"]
        )
    for precision in ("float32", "bfloat16"):
        step = _stepper(fast, precision, lambda _: mixture)
        record[f"fast_{precision}_traffic"] = traffic(lambda s=step: s(0))
    if device.startswith("cuda"):
        for name, network in {"fast": fast, "reference": literal}.items():
            torch.cuda.reset_peak_memory_stats()
            _stepper(network, "float32", lambda _: mixture)(0)
            record[f"{name}_peak_bytes"] = torch.cuda.max_memory_allocated()
    return record


def _floors(size: Size, device: str, quick: bool) -> Record:
    """The machine's rates, the work of a training step, and where its time goes."""
    fast, _ = _networks(size, True, device)
    batch = _batches(size, device)
    record = {**_record("floors", size, {}), **floors(device, quick=quick)}
    for precision in ("float32", "bfloat16"):
        step = _stepper(fast, precision, batch)
        rounds = range(3)  # labels decide which experts compute; three rounds show all alike
        record[f"fast_{precision}_flops"] = sum(flops(lambda i=i, s=step: s(i)) for i in rounds) / 3
        record[f"fast_{precision}_profile_s"] = time_by_class(lambda s=step: s(0), device)
    return record


def _networks(size: Size, multi: bool, device: str) -> tuple[SpeechEnhancer, ReferenceEnhancer]:
    """The full S-MoE, fast and literal, with the same weights."""
    config = ModelConfig(init_channels=size.width, enable_multi_expert=multi)
    fast, literal = SpeechEnhancer(config), ReferenceEnhancer(config)
    initialise(fast, seed=0)
    literal.load_state_dict(translate(fast.state_dict()))
    return fast.to(device), literal.to(device)


def _batches(size: Size, device: str) -> Callable[[int], Mixture]:
    """Speech-like noise in noise; labels go through the classes from round to round."""
    generator = torch.Generator().manual_seed(0)
    samples = round(size.length_s * SAMPLE_RATE)
    clean, noise = torch.randn(2, size.batch, samples, generator=generator)
    rhythm = torch.sin(torch.arange(samples) * (2 * torch.pi * 3 / SAMPLE_RATE)).clamp_min(0)
    clean, unknown = 0.1 * clean * rhythm, torch.full((size.batch,), torch.nan)
    noisy = clean + 0.03 * noise
    noisy, clean = noisy.to(device), clean.to(device)

    def batch(index: int) -> Mixture:
        label: Tensor = (torch.arange(size.batch) + index) % 3
        return Mixture(noisy, clean, label.to(device), unknown, unknown)

    return batch


def _stepper(network: nn.Module, precision: Any, batch: Callable[[int], Mixture]) -> Side:
    train = TrainConfig(precision=precision)
    config = RunConfig(train=train, data_hash="")
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    network.train()

    def side(index: int) -> None:
        mixture = batch(index)
        training_step(network, optimiser, config, mixture, mixture.label)  # type: ignore[arg-type]

    return side


def _record(what: str, size: Size, times: dict[str, Any], **extra: str) -> Record:
    return {"what": what, **size._asdict(), **extra, "times": times}
