"""Training of one network: a fixed number of steps, resumable to the bit.

Batch and learning rate are functions of the step alone, so weights, optimiser and history are the
whole state.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoe.config import RunConfig, TrainConfig
from smoe.mixtures.mixing import Mixture, MixtureSource
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import load_checkpoint, save_checkpoint
from smoe.training.cuda_graph import CapturedStep
from smoe.training.memory import is_out_of_memory
from smoe.training.routed_loss import is_due, routed_losses
from smoe.training.step import StepTerms, training_labels, training_step
from smoe.user import have_a_name

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
        train_s: Seconds from beginning to end of the training, over all resumptions; others may
            have been trained at the same time.
        parts: Pieces of each batch; 2 once memory ran out for a whole one, None if nobody knows.
    """

    enhancer: SpeechEnhancer
    history: History
    train_s: float
    parts: int | None


@dataclass(frozen=True)
class Run:
    """One of several networks that are trained side by side.

    Attributes:
        config: Its settings; `model` is not None.
        seed: Sets initial values and batches, the same ones for every cell.
        checkpoint: File to resume from and to save to.
        on_log: Called with the whole history whenever a row is added.
    """

    config: RunConfig
    seed: int
    checkpoint: Path | None = None
    on_log: OnLog | None = None


@dataclass
class _Progress:
    step: int = 0
    history: History = field(default_factory=list)
    spent_s: float = 0.0
    parts: int = 1

    def log(self, window: list[Tensor], rate: float) -> None:
        """Add the mean of the steps since the last row, and forget them."""
        values = torch.stack(window).double().mean(dim=0).tolist()
        row = dict(zip(StepTerms._fields, values, strict=True))
        self.history.append({"step": self.step, **row, "learning_rate": rate})
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
    run = Run(config, seed, checkpoint, on_log)
    together = train_together(
        [run], source, device=device, checkpoint_interval_s=checkpoint_interval_s
    )
    _, trained = next(together)
    if isinstance(trained, Exception):
        raise trained
    return trained


def train_together(
    runs: Sequence[Run],
    source: MixtureSource,
    *,
    device: str = "cpu",
    checkpoint_interval_s: float = 20.0,
) -> Iterator[tuple[int, Trained | Exception]]:
    """Trains networks side by side on the same batches, step by step in turn.

    Args:
        runs: They share seed, mixing, batch size and number of steps. Those resumed at a later step
            wait for the others.
        source: Training mixtures.
        device: Where to compute; on a GPU the networks work at the same time.
        checkpoint_interval_s: Least time between two saves; they fall on log points.

    Yields:
        Index of a run and its network, or the error that ended it; one run's costs no other.
    """
    live: dict[int, _Training] = {}
    for index, run in enumerate(runs):
        try:
            live[index] = _Training(run, device, checkpoint_interval_s)
        except Exception as error:
            yield index, error
    first = min((training.progress.step for training in live.values()), default=0)
    train_config, seed = runs[0].config.train, runs[0].seed
    batch = partial(source.batch, seed=seed, batch_size=train_config.batch_size)
    unseen = batch(step=train_config.steps)  # the batch after the last: no network learns from it
    for step in range(first, train_config.steps):
        mixture = batch(step=step)
        for index, training in list(live.items()):
            if training.progress.step != step:
                continue
            try:
                training.advance(mixture, unseen)
            except Exception as error:
                del live[index]
                yield index, error
    while live:
        index = next(iter(live))
        yield index, live.pop(index).trained()


class _Training:
    """A network in training, with all that belongs to it."""

    def __init__(self, run: Run, device: str, checkpoint_interval_s: float):
        self.run, self.interval_s = run, checkpoint_interval_s
        self.enhancer, self.optimiser = untrained(run.config, run.seed, device)
        self.owner = owner_of(run.config, run.seed)
        self.progress = _restored(run.checkpoint, self.owner, self.enhancer, self.optimiser, device)
        captured = partial(CapturedStep, self.enhancer, self.optimiser, run.config)
        self.captured = captured() if device.startswith("cuda") else None
        self.window: list[Tensor] = []
        self.spent_before_s = self.progress.spent_s
        self.started = self.saved = time.perf_counter()

    def trained(self) -> Trained:
        """The network as it is now."""
        progress = self.progress
        return Trained(self.enhancer, progress.history, progress.spent_s, progress.parts)

    def advance(self, mixture: Mixture, unseen: Mixture) -> None:
        """Do a step, and at times log and save; losses by routing are measured on `unseen`."""
        config, progress = self.run.config, self.progress
        steps, log_interval = config.train.steps, max(1, config.train.steps // LOG_POINTS)
        rate = learning_rate(config.train, progress.step)
        self.window.append(self._step_in_memory(mixture, rate))
        progress.step += 1
        if progress.step % log_interval and progress.step < steps:
            return
        if self.captured:
            self.captured.stream.synchronize()
        progress.log(self.window, rate)
        if is_due(progress.history, steps, recorded=bool(self.captured)):
            progress.history[-1].update(routed_losses(self.enhancer, config, unseen))
        if self.run.on_log:
            self.run.on_log(progress.history)
        now = time.perf_counter()
        progress.spent_s = self.spent_before_s + now - self.started
        due = now - self.saved > self.interval_s or progress.step == steps
        if self.run.checkpoint and due:
            self.saved = now
            parts = {"enhancer": self.enhancer, "optimiser": self.optimiser}
            state = {name: part.state_dict() for name, part in parts.items()}
            content = {"owner": self.owner, **state, "progress": vars(progress)}
            save_checkpoint(self.run.checkpoint, content)

    def _step_in_memory(self, mixture: Mixture, rate: float) -> Tensor:
        """A step; if memory runs out for the first time, this and all later ones in halves."""
        try:
            return self._step(mixture, rate)
        except (RuntimeError, MemoryError) as error:
            if self.progress.parts > 1 or len(mixture.label) < 2 or not is_out_of_memory(error):
                raise
        self.progress.parts = 2
        self.optimiser.zero_grad()
        if mixture.noisy.is_cuda:
            torch.cuda.empty_cache()
        return self._step(mixture, rate)

    def _step(self, mixture: Mixture, rate: float) -> Tensor:
        """Terms of the step, stacked, [5]."""
        config, parts = self.run.config, self.progress.parts
        labels = training_labels(config, mixture.label, self.progress.step)
        if self.captured:
            return self.captured(mixture, labels, rate, parts)
        self.optimiser.param_groups[0]["lr"] = rate
        terms = training_step(self.enhancer, self.optimiser, config, mixture, labels, parts)
        return torch.stack(list(terms))


def owner_of(config: RunConfig, seed: int) -> str:
    """The mark by which a run knows its checkpoints and weights again."""
    return f"{config.identity()} {seed}"


def untrained(
    config: RunConfig, seed: int, device: str
) -> tuple[SpeechEnhancer, torch.optim.Optimizer]:
    """The network with its initial values, on its device, and its optimiser.

    From here on torch computes deterministically. On a GPU everything that changes from step to
    step is held there, so that a step can be recorded.
    """
    assert config.model is not None, "the unprocessed input is not trained"
    on_gpu = device.startswith("cuda")
    if on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its sums vary
    have_a_name()  # which PyTorch's compiler, imported by the next line, asks for
    torch.use_deterministic_algorithms(mode=True, warn_only=on_gpu)
    # A debugging aid of that mode writes all new memory once more, 5 % of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore
    enhancer = SpeechEnhancer(config.model)
    initialise(enhancer, seed)
    enhancer.to(device).train()
    rate = config.train.learning_rate
    optimiser = torch.optim.AdamW(
        enhancer.parameters(),
        lr=torch.tensor(rate, device=device) if on_gpu else rate,
        weight_decay=config.train.weight_decay,
        fused=True,
        capturable=on_gpu,
    )
    return enhancer, optimiser


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `final_lr_fraction` of the peak."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    progress = step / max(1, config.steps - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    decay = config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine
    return config.learning_rate * warmup * decay


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
    of_this_device = {name: optimiser.param_groups[0][name] for name in ("lr", "capturable")}
    optimiser.load_state_dict(state["optimiser"])
    optimiser.param_groups[0].update(of_this_device)
    return _Progress(**state["progress"])
