"""Timing of alternatives against each other, on machines that others use as well.

Also what the networks among them are timed on: their sizes, signals and way of being trained.
"""

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from smoe.config import SAMPLE_RATE, ModelConfig, RunConfig, TrainConfig
from smoe.corpora import cores
from smoe.mixtures.mixing import Mixture
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer
from smoe.ops.processor import instructions, native_bfloat16, processor_name
from smoe.reference.network import ReferenceEnhancer, translate
from smoe.training.step import training_step

# One turn of an alternative; gets the number of the round, so that all see the same input.
Side = Callable[[int], object]
Times = dict[str, dict[str, list[float]]]
Record = dict[str, Any]
LEARNING_RATE = 1e-4

_LAYOUT = {"cat", "clone", "contiguous", "copy_", "stack"}
_PACKAGES = ("torch", "numpy", "scipy", "pesq", "pystoi")


class Size(NamedTuple):
    """Channels of the first level, signals per batch, seconds per signal."""

    width: int
    batch: int
    length_s: float

    @property
    def samples(self) -> int:
        """Of one signal."""
        return round(self.length_s * SAMPLE_RATE)

    def __str__(self) -> str:
        return f"width {self.width}, batch {self.batch}, {self.length_s:g} s"


def record_of(what: str, size: Size, times: Times, **extra: Any) -> Record:
    """One measurement, as it is stored."""
    return {"what": what, **size._asdict(), **extra, "times": times}


def alternate(sides: dict[str, Side], rounds: int, device: str) -> Times:
    """Times alternatives in turn, A B A B, after one round that is not counted.

    What else runs on the machine then slows all of them alike, so that the ratio within a round
    means something where times do not.

    Returns:
        For each side `wall_s` and `cpu_s` (all threads of the process), one value per round.
    """
    times: Times = {name: {"wall_s": [], "cpu_s": []} for name in sides}
    for index in range(rounds + 1):
        for name, side in sides.items():
            wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            side(index)
            wait(device)
            if index:
                times[name]["wall_s"].append(time.perf_counter() - wall)
                times[name]["cpu_s"].append(time.process_time() - cpu)
    return times


def per_step(times: Times, counts: dict[str, int]) -> Times:
    """Times of turns as times of each of the so many steps that a side does in one."""
    return {
        name: {kind: [value / counts[name] for value in values] for kind, values in side.items()}
        for name, side in times.items()
    }


def wait(device: str) -> None:
    """Until a GPU has done what it was told; a processor has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def twins(size: Size, *, multi: bool = True) -> tuple[SpeechEnhancer, ReferenceEnhancer]:
    """The full S-MoE, fast and literal, with the same weights."""
    config = ModelConfig(init_channels=size.width, enable_multi_expert=multi)
    fast, literal = SpeechEnhancer(config), ReferenceEnhancer(config)
    initialise(fast, seed=0)
    literal.load_state_dict(translate(fast.state_dict()))
    return fast, literal


def batches(size: Size, device: str) -> Callable[[int], Mixture]:
    """Speech-like noise in noise; labels go through the classes from round to round."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, size.batch, size.samples, generator=generator)
    rhythm = torch.sin(torch.arange(size.samples) * (2 * torch.pi * 3 / SAMPLE_RATE)).clamp_min(0)
    clean, unknown = 0.1 * clean * rhythm, torch.full((size.batch,), torch.nan)
    noisy = (clean + 0.03 * noise).to(device)
    clean, labels = clean.to(device), torch.arange(size.batch)
    rounds = [
        Mixture(noisy, clean, (labels + i).to(device) % 3, unknown, unknown) for i in range(3)
    ]
    return lambda index: rounds[index % 3]


def stepper(network: nn.Module, precision: Any, batch: Callable[[int], Mixture]) -> Side:
    """A training step on the batch of the round: loss, gradients, clipping, AdamW."""
    train = TrainConfig(precision=precision)
    config = RunConfig(train=train, data_hash="")
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=True)
    network.train()

    def side(index: int) -> None:
        mixture = batch(index)
        training_step(network, optimiser, config, mixture, mixture.label)  # type: ignore[arg-type]

    return side


class _Traffic(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.layout = self.all = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "is_view", False) or func.overloadpacket.__name__ in ("detach", "empty"):
            return result
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        moved = sum(t.numel() * t.element_size() for t in tensors)
        self.all += moved
        if func.overloadpacket.__name__ in _LAYOUT:
            self.layout += moved
        return result


def traffic(step: Callable[[], object]) -> dict[str, int]:
    """Bytes that the operators of a step read and write, and those of mere copies among them.

    Counted from shapes, so exact and the same on every machine. Copies are concatenations, stacking
    and changes of memory layout; a conversion to another precision is none.
    """
    with _Traffic() as counter:
        step()
    return {"all_bytes": counter.all, "layout_bytes": counter.layout}


def environment(device: str) -> dict[str, Any]:
    """Machine and versions that a time belongs to."""
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else None
    return {
        "host": platform.node(),
        "cpu": processor_name(),
        "instructions": instructions(),
        "native_bfloat16": native_bfloat16(),
        "cpus": cores(),
        "gpu": gpu,
        "device": device,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: version(name) for name in _PACKAGES},
    }
