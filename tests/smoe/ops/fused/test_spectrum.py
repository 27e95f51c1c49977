"""The GPU's losses against those of `training.losses`, computed by Triton's interpreter."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoe.config import LossConfig
from smoe.training import losses
from tests.smoe.interpreter import mend

fused = pytest.importorskip("smoe.ops.fused", reason="this build of torch comes without Triton")

# Batch, samples: multiples of every hop, of some and of none; the shortest; one block and several.
SIZES = [(3, 1536), (1, 2048), (3, 1100), (1, 2817), (1, 513), (2, 640)]
LOSSES = {"stft": losses.compressed_stft_distance, "wsdr": losses.wsdr}
# Of gradients, relative to the largest. Single precision as such is that far from double in the
# distance, whose slope is steep in a bin that happens to be almost empty.
CLOSE = {"stft": 3e-4, "wsdr_stft": 3e-4, "wsdr": 1e-5, "si_sdr": 0.0}
Signals = dict[str, Tensor]


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    mend(monkeypatch)


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls what it is given as if signals were on a GPU, and says by how many kernels."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(losses, "on_gpu", lambda _: True)
            return function(*arguments)

    return call


def waves(batch: int, samples: int, seed: int = 0) -> Signals:
    """Clean, noisy and enhanced [B, samples], samples of a batch of different levels."""
    generator = torch.Generator().manual_seed(seed)
    clean, noise, error = 0.05 * torch.randn(3, batch, samples, generator=generator)
    level = 2.0 ** torch.arange(batch)[:, None]
    return {
        "enhanced": level * (clean + 0.3 * error + 0.1 * noise),
        "clean": level * clean,
        "noisy": level * (clean + noise),
    }


def value_and_gradient(loss: Callable[..., Tensor], signals: Signals) -> tuple[Tensor, Tensor]:
    """Losses [B], and the gradient of their sum, weighted differently, for `enhanced`."""
    estimate = signals["enhanced"].clone().requires_grad_()
    value = loss(**{**signals, "enhanced": estimate})
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view_as(value)
    (gradient,) = torch.autograd.grad(value, estimate, weights)
    return value.detach(), gradient


def alike(kind: str, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Values and gradients, these relative to the largest of each sample."""
    value, gradient = theirs
    torch.testing.assert_close(ours[0].to(value.dtype), value, rtol=1e-6, atol=1e-6)
    scale = gradient.abs().amax(dim=1, keepdim=True).clamp_min(1e-30)
    found = ours[1].to(value.dtype)
    torch.testing.assert_close(found / scale, gradient / scale, rtol=0, atol=CLOSE[kind])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", LOSSES)
def test_is_the_loss(kind: str, size: tuple[int, int], as_on_gpu: Callable[..., Any]) -> None:
    """Value and gradient, against the same formula in single and in double precision."""
    signals, loss = waves(*size), LOSSES[kind]
    ours = as_on_gpu(value_and_gradient, loss, signals)
    alike(kind, ours, value_and_gradient(loss, signals))
    alike(kind, ours, value_and_gradient(loss, {name: x.double() for name, x in signals.items()}))


@pytest.mark.parametrize("silent", ["enhanced", "clean", "noisy", "all", "a part", "nothing left"])
@pytest.mark.parametrize("kind", LOSSES)
def test_silence(kind: str, silent: str, as_on_gpu: Callable[..., Any]) -> None:
    """Finite and the same where powers, roots and quotients have their poles, and at perfection."""
    signals, loss = waves(2, 1100), LOSSES[kind]
    if silent == "nothing left":
        signals["enhanced"] = signals["clean"].clone()
    for name, signal in signals.items():
        if silent in (name, "all"):
            signal.zero_()
        if silent == "a part":
            signal[:, :700] = 0
    ours = as_on_gpu(value_and_gradient, loss, signals)
    assert all(x.isfinite().all() for x in ours)
    if silent == "nothing left" and kind == "wsdr":  # a gradient of nothing but rounding
        assert ours[1].abs().max() < 1e-4
        torch.testing.assert_close(ours[0], -torch.ones(2))
    else:
        alike(kind, ours, value_and_gradient(loss, signals))


@pytest.mark.parametrize("kind", ["wsdr_stft", "wsdr", "si_sdr"])
def test_objective_is_the_same(kind: str, as_on_gpu: Callable[..., Any]) -> None:
    """The objective as training has it, of signals that do not lie side by side in memory."""
    config = LossConfig(kind=kind)  # type: ignore[arg-type]
    signals = {name: x.repeat_interleave(2, dim=1)[:, ::2] for name, x in waves(3, 1300).items()}
    assert not signals["clean"].is_contiguous()

    def loss(**signals: Tensor) -> Tensor:
        return losses.enhancement_loss(config, **signals)

    alike(kind, as_on_gpu(value_and_gradient, loss, signals), value_and_gradient(loss, signals))


def test_repeats_to_the_bit(as_on_gpu: Callable[..., Any]) -> None:
    """Also where a sample has other neighbours in the batch."""
    signals = waves(3, 1100)
    alone = {name: x[:1] for name, x in signals.items()}
    for loss in LOSSES.values():
        first, second = (as_on_gpu(value_and_gradient, loss, signals) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        value, _ = as_on_gpu(value_and_gradient, loss, alone)
        assert torch.equal(value, first[0][:1])


def test_what_the_kernels_do_not_know_is_computed_without(
    as_on_gpu: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Double precision, signals shorter than the padding takes, a gradient for other signals."""
    for name in ("weighted_sdr", "compressed_stft_distance"):
        monkeypatch.delattr(fused, name)
    for signals in (waves(1, 512), {name: x.double() for name, x in waves(1, 600).items()}):
        for loss in LOSSES.values():
            ours = as_on_gpu(value_and_gradient, loss, signals)
            theirs = value_and_gradient(loss, signals)
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    signals = waves(1, 600)
    signals["noisy"].requires_grad_()
    value = as_on_gpu(lambda: losses.wsdr(**signals))
    assert value.requires_grad
