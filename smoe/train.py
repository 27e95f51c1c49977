"""Training of one network: a fixed number of steps, resumable to the bit.

Batch and learning rate are functions of the step alone, so weights, optimiser and history are the
whole state.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from smoe.checkpoint import load_checkpoint, save_checkpoint
from smoe.config import RunConfig, TrainConfig
from smoe.initialise import initialise
from smoe.mixing import Mixture, MixtureSource
from smoe.step import StepTerms, training_step
from smoe.unet import SpeechEnhancer

LOG_POINTS = 50
History = list[dict[str, float]]
OnLog = Callable[[History], None]


class DivergedError(Exception):
    """The loss stopped being a number; carries the history up to there."""

    def __init__(self, step: int, history: History):
        super().__init__(f"the loss was not finite at step {step}")
        self.step, self.history = step, history


class Trained(NamedTuple):
    """A network after its last step.

    Attributes:
        enhancer: The network.
        history: What was logged.
        train_s: Seconds spent training, over all resumptions.
        parts: Pieces that each batch was computed in; 2 where memory did not suffice for the whole.
    """

    enhancer: SpeechEnhancer
    history: History
    train_s: float
    parts: int


@dataclass
class _Progress:
    step: int = 0
    history: History = field(default_factory=list)
    spent_s: float = 0.0
    parts: int = 1

    def log(self, window: list[StepTerms], rate: float) -> None:
        """Adds the mean of the steps since the last row, and forgets them."""
        row = {"step": self.step, **_mean(window), "learning_rate": rate}
        self.history.append(row)
        window.clear()
        if not math.isfinite(row["loss"]):
            raise DivergedError(self.step, self.history)


def train(
    config: RunConfig,
    seed: int,
    source: MixtureSource,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_interval_s: float = 20.0,
    on_log: OnLog | None = None,
) -> Trained:
    """Trains the network of `config` from the initial values and batches of `seed`.

    Args:
        config: The run; `config.model` is not None.
        seed: Sets initial values and batches, the same ones for every cell.
        source: Training mixtures.
        device: Where to compute.
        checkpoint: File to resume from and to save to.
        checkpoint_interval_s: Least time between two saves; they fall on log points.
        on_log: Called with the whole history whenever a row is added.

    Raises:
        DivergedError: the loss is not finite.
        RuntimeError: memory does not suffice even for half a batch at a time.
    """
    enhancer, optimiser = _untrained(config, seed, device)
    owner = owner_of(config, seed)
    progress = _restored(checkpoint, owner, enhancer, optimiser, device)
    steps, log_interval = config.train.steps, max(1, config.train.steps // LOG_POINTS)
    window: list[StepTerms] = []
    started = saved = time.perf_counter()
    spent_before_s = progress.spent_s
    for step in range(progress.step, steps):
        mixture = source.batch(seed=seed, step=step, batch_size=config.train.batch_size)
        rate = learning_rate(config.train, step)
        optimiser.param_groups[0]["lr"] = rate
        window.append(_step_in_memory(enhancer, optimiser, config, mixture, step, progress))
        progress.step = step + 1
        if progress.step % log_interval and progress.step < steps:
            continue
        progress.log(window, rate)
        if on_log:
            on_log(progress.history)
        now = time.perf_counter()
        progress.spent_s = spent_before_s + now - started
        if checkpoint and (now - saved > checkpoint_interval_s or progress.step == steps):
            saved = now
            _save(checkpoint, owner, enhancer, optimiser, progress)
    return Trained(enhancer, progress.history, progress.spent_s, progress.parts)


def owner_of(config: RunConfig, seed: int) -> str:
    """The mark by which a run knows its checkpoints and weights again."""
    return f"{config.identity()} {seed}"


def _untrained(
    config: RunConfig, seed: int, device: str
) -> tuple[SpeechEnhancer, torch.optim.Optimizer]:
    """The network with its initial values, on its device, and its optimiser."""
    assert config.model is not None, "the unprocessed input is not trained"
    torch.use_deterministic_algorithms(mode=device == "cpu")
    # A debugging aid of that mode writes all new memory once more, 5 % of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore
    enhancer = SpeechEnhancer(config.model)
    initialise(enhancer, seed)
    enhancer.to(device).train()
    optimiser = torch.optim.AdamW(
        enhancer.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
        fused=True,
    )
    return enhancer, optimiser


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `final_lr_fraction` of the peak."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    progress = step / max(1, config.steps - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    decay = config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine
    return config.learning_rate * warmup * decay


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the GPU or the host has no memory left.

    oneDNN, which computes convolutions on a processor, only says that it could not create what it
    wanted memory for.
    """
    signs = ("can't allocate memory", "could not create a primitive", "could not create a memory")
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(sign in str(error) for sign in signs)


def _step_in_memory(
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    mixture: Mixture,
    step: int,
    progress: _Progress,
) -> StepTerms:
    """A training step; if memory runs out for the first time, this and all later ones in halves."""
    try:
        return training_step(enhancer, optimiser, config, mixture, step, progress.parts)
    except (RuntimeError, MemoryError) as error:
        if progress.parts > 1 or len(mixture.label) < 2 or not is_out_of_memory(error):
            raise
    progress.parts = 2
    optimiser.zero_grad()
    if mixture.noisy.is_cuda:
        torch.cuda.empty_cache()
    return training_step(enhancer, optimiser, config, mixture, step, progress.parts)


def _mean(window: list[StepTerms]) -> dict[str, float]:
    values = torch.stack([torch.stack(list(terms)) for terms in window]).double().mean(dim=0)
    return dict(zip(StepTerms._fields, values.tolist(), strict=True))


def _save(
    path: Path,
    owner: str,
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    progress: _Progress,
) -> None:
    state = {"enhancer": enhancer.state_dict(), "optimiser": optimiser.state_dict()}
    save_checkpoint(path, {"owner": owner, **state, "progress": vars(progress)})


def _restored(
    path: Path | None,
    owner: str,
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    device: str,
) -> _Progress:
    state: dict[str, Any] | None = load_checkpoint(path, device, owner=owner) if path else None
    if state is None:
        return _Progress()
    enhancer.load_state_dict(state["enhancer"])
    optimiser.load_state_dict(state["optimiser"])
    return _Progress(**state["progress"])
