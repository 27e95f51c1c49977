"""Training of one network: a fixed number of steps, resumable to the bit.

Batch and learning rate are functions of the step alone, so weights, optimiser and history are the
whole state.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoe.checkpoint import load_checkpoint, save_checkpoint
from smoe.config import RunConfig, TrainConfig
from smoe.initialise import initialise
from smoe.losses import enhancement_loss, routing_loss
from smoe.mixing import Mixture, MixtureSource
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
    """A network after its last step, what was logged, and the seconds spent training."""

    enhancer: SpeechEnhancer
    history: History
    train_s: float


class StepTerms(NamedTuple):
    """Scalars of one step, still on the device: the loss and what it is made of."""

    loss: Tensor
    enhancement_loss: Tensor
    routing_loss: Tensor
    routing_accuracy: Tensor
    grad_norm: Tensor


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
    """
    assert config.model is not None, "the unprocessed input is not trained"
    torch.use_deterministic_algorithms(mode=device == "cpu")
    enhancer = SpeechEnhancer(config.model)
    initialise(enhancer, seed)
    enhancer.to(device).train()
    optimiser = torch.optim.AdamW(
        enhancer.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
        fused=True,
    )
    first, history, spent_s = _restore(checkpoint, enhancer, optimiser, device)
    log_interval = max(1, config.train.steps // LOG_POINTS)
    window: list[StepTerms] = []
    started = saved = time.perf_counter()
    for step in range(first, config.train.steps):
        mixture = source.batch(seed=seed, step=step, batch_size=config.train.batch_size)
        rate = learning_rate(config.train, step)
        optimiser.param_groups[0]["lr"] = rate
        window.append(training_step(enhancer, optimiser, config, mixture, step))
        if (step + 1) % log_interval and step + 1 < config.train.steps:
            continue
        history.append({"step": step + 1, **_mean(window), "learning_rate": rate})
        window.clear()
        if not math.isfinite(history[-1]["loss"]):
            raise DivergedError(step + 1, history)
        if on_log:
            on_log(history)
        now = time.perf_counter()
        if checkpoint and (now - saved > checkpoint_interval_s or step + 1 == config.train.steps):
            saved = now
            _save(checkpoint, step + 1, enhancer, optimiser, history, spent_s + now - started)
    return Trained(enhancer, history, spent_s + time.perf_counter() - started)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `final_lr_fraction` of the peak."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    progress = step / max(1, config.steps - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    decay = config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine
    return config.learning_rate * warmup * decay


def training_step(
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    mixture: Mixture,
    step: int = 0,
) -> StepTerms:
    """One forward, backward and update on a batch; returns its terms without waiting for them."""
    labels = mixture.label
    if config.train.shuffle_labels:  # the control: right proportions, wrong utterances
        generator = torch.Generator().manual_seed(step)
        labels = labels[torch.randperm(len(labels), generator=generator).to(labels.device)]
    bfloat16 = config.train.precision == "bfloat16"
    with torch.autocast(mixture.noisy.device.type, torch.bfloat16, enabled=bfloat16):
        outputs = enhancer(mixture.noisy, labels)
    enhancement = enhancement_loss(
        config.loss,
        enhanced=outputs["enhanced_waveform"],
        clean=mixture.clean,
        noisy=mixture.noisy,
    )
    logits = decision_logits(outputs["routing_decision"])
    loss, routing, accuracy = enhancement, enhancement.new_tensor(math.nan), None
    if logits:
        accuracy = torch.stack([(x.argmax(1) == mixture.label).float().mean() for x in logits])
        if enhancer.unet.config.routing == "supervised":
            routing = routing_loss(logits, labels)
            loss = enhancement + config.loss.routing_loss_weight * routing
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(enhancer.parameters(), config.train.grad_clip_norm)
    optimiser.step()
    return StepTerms(
        loss.detach(),
        enhancement.detach(),
        routing.detach(),
        enhancement.new_tensor(math.nan) if accuracy is None else accuracy.mean(),
        norm.detach(),
    )


def decision_logits(routing_decision: dict[str, Any]) -> list[Tensor]:
    """Class logits [B, classes] of the routers behind a network's `routing_decision`."""
    if "logits" in routing_decision:
        return [routing_decision["logits"]]
    return [decision["logits"] for decision in routing_decision.values()]


def _mean(window: list[StepTerms]) -> dict[str, float]:
    values = torch.stack([torch.stack(list(terms)) for terms in window]).double().mean(dim=0)
    return dict(zip(StepTerms._fields, values.tolist(), strict=True))


def _save(
    path: Path,
    step: int,
    enhancer: SpeechEnhancer,
    optimiser: torch.optim.Optimizer,
    history: History,
    spent_s: float,
) -> None:
    state = {
        "step": step,
        "enhancer": enhancer.state_dict(),
        "optimiser": optimiser.state_dict(),
        "history": history,
        "spent_s": spent_s,
    }
    save_checkpoint(path, state)


def _restore(
    path: Path | None, enhancer: SpeechEnhancer, optimiser: torch.optim.Optimizer, device: str
) -> tuple[int, History, float]:
    state = load_checkpoint(path, device) if path else None
    if state is None:
        return 0, [], 0.0
    enhancer.load_state_dict(state["enhancer"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["history"], state["spent_s"]
