"""Objectives against their formulas, written out with NumPy, and their gradients."""

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from smoe import metrics
from smoe.config import LossConfig
from smoe.training import losses


def waves(batch: int = 3, samples: int = 4_000, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Clean, noisy and enhanced, float64 [B, samples], at the level of quiet speech."""
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(3, batch, samples, dtype=torch.float64, generator=generator)
    clean, noise, error = 0.05 * parts
    return clean, clean + noise, clean + 0.3 * error + 0.1 * noise


def test_wsdr_is_the_formula() -> None:
    """Choi et al. 2019, eq. 6, sample by sample."""
    clean, noisy, enhanced = waves()
    found = losses.wsdr(enhanced=enhanced, clean=clean, noisy=noisy)
    for i, (y, x, y_hat) in enumerate(
        zip(clean.numpy(), noisy.numpy(), enhanced.numpy(), strict=True)
    ):
        z, z_hat = x - y, x - y_hat
        alpha = (y @ y) / (y @ y + z @ z)
        cosine = (y @ y_hat) / np.sqrt((y @ y) * (y_hat @ y_hat))
        cosine_z = (z @ z_hat) / np.sqrt((z @ z) * (z_hat @ z_hat))
        assert found[i].item() == pytest.approx(-alpha * cosine - (1 - alpha) * cosine_z, abs=1e-6)


def test_wsdr_bounds() -> None:
    """-1 for the clean speech, +1 for the opposite of both terms, within for all else."""
    clean, noisy, enhanced = waves()

    def loss(estimate: Tensor, target: Tensor = clean, mixture: Tensor = noisy) -> Tensor:
        return losses.wsdr(enhanced=estimate, clean=target, noisy=mixture)

    assert loss(clean).max() < -1 + 1e-6
    assert loss(torch.zeros_like(clean), mixture=0 * noisy).isfinite().all()
    assert loss(-1e6 * clean, mixture=1.000_001 * clean).min() > 1 - 1e-3
    for seed in range(20):
        y, x, y_hat = waves(seed=seed)
        value = loss(y_hat * 10 ** (seed / 4 - 2), y, x)
        assert ((value >= -1) & (value <= 1)).all()
    silent = loss(enhanced, 0 * clean, noisy - clean)  # no speech: only the noise term counts
    assert silent.isfinite().all() and (silent.abs() <= 1).all()


def test_compressed_distance_against_scipy() -> None:
    """An independent STFT, magnitudes to the power 0.3, the mean over bins and resolutions."""
    clean, noisy, enhanced = waves()
    found = losses.compressed_stft_distance(enhanced=enhanced, clean=clean, noisy=noisy)
    for i in range(len(clean)):
        level = np.sqrt(np.mean(noisy[i].numpy() ** 2))
        distances = []
        for n_fft in (256, 512, 1024):
            a, b = (compressed(w[i].numpy() / level, n_fft) for w in (enhanced, clean))
            distances.append(np.abs(a - b).mean())
        assert found[i].item() == pytest.approx(np.mean(distances), rel=1e-5)


def compressed(wave: np.ndarray, n_fft: int) -> np.ndarray:
    """Magnitudes ** 0.3 of an orthonormal STFT with half-overlapping periodic Hann windows.

    With the 1e-7 that the loss adds to the power to bound the slope at silence.
    """
    padded = np.pad(wave, n_fft // 2, mode="reflect")
    window = scipy.signal.get_window("hann", n_fft)
    starts = range(0, len(padded) - n_fft + 1, n_fft // 2)
    frames = np.stack([padded[s : s + n_fft] * window for s in starts])
    return np.sqrt(np.abs(np.fft.rfft(frames, norm="ortho")) ** 2 + 1e-7) ** 0.3


def test_distance_ignores_the_recording_level() -> None:
    """All three signals 40 dB softer: the same loss of every kind."""
    clean, noisy, enhanced = waves()
    for kind in ("wsdr_stft", "wsdr", "si_sdr"):
        config = LossConfig(kind=kind)
        loud, soft = (
            losses.enhancement_loss(config, enhanced=g * enhanced, clean=g * clean, noisy=g * noisy)
            for g in (1.0, 0.01)
        )
        torch.testing.assert_close(loud, soft, rtol=1e-4, atol=1e-4)


def test_si_sdr_is_the_metric() -> None:
    """The loss and the reported metric are one quantity, computed by two pieces of code."""
    clean, _, enhanced = waves()
    found = losses.si_sdr(enhanced=enhanced, clean=clean)
    for i in range(len(clean)):
        expected = metrics.si_sdr_db(reference=clean[i].numpy(), estimate=enhanced[i].numpy())
        assert found[i].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["wsdr_stft", "wsdr", "si_sdr"])
def test_gradients(kind: str) -> None:
    """Against finite differences, in double precision."""
    clean, noisy, enhanced = waves(batch=1, samples=700)
    config = LossConfig(kind=kind)  # type: ignore[arg-type]

    def loss(estimate: Tensor) -> Tensor:
        return losses.enhancement_loss(config, enhanced=estimate, clean=clean, noisy=noisy)

    assert torch.autograd.gradcheck(loss, (enhanced.requires_grad_(),), fast_mode=True)


def test_combined_loss_is_the_weighted_sum() -> None:
    """Weighted SDR plus `stft_weight` times the distance, averaged over the batch."""
    clean, noisy, enhanced = waves()
    signals = {"enhanced": enhanced, "clean": clean, "noisy": noisy}
    config = LossConfig(stft_weight=2.0)
    expected = losses.wsdr(**signals) + 2 * losses.compressed_stft_distance(**signals)
    torch.testing.assert_close(losses.enhancement_loss(config, **signals), expected.mean())


def test_gradient_is_finite_at_perfection_and_silence() -> None:
    """Where square roots and powers have their poles."""
    clean, noisy, _ = waves()
    for kind in ("wsdr_stft", "wsdr", "si_sdr"):
        for start in (clean, torch.zeros_like(clean)):
            estimate = start.clone().requires_grad_()
            config = LossConfig(kind=kind)
            losses.enhancement_loss(config, enhanced=estimate, clean=clean, noisy=noisy).backward()
            assert estimate.grad is not None and estimate.grad.isfinite().all(), kind


def test_routing_loss_is_cross_entropy() -> None:
    """Log 3 for undecided logits, 0 for the right class, the mean over routers."""
    labels = torch.tensor([0, 2])
    undecided, right = torch.zeros(2, 3), 50 * torch.eye(3)[labels]
    assert losses.routing_loss([undecided], labels).item() == pytest.approx(np.log(3))
    assert losses.routing_loss([undecided, right], labels).item() == pytest.approx(np.log(3) / 2)
    with_clean = torch.tensor([0, -1, 2])
    guess = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    expected = losses.routing_loss([guess[[0, 2]]], labels)
    torch.testing.assert_close(losses.routing_loss([guess], with_clean), expected)
    assert losses.routing_loss([guess], torch.tensor([-1, -1, -1])).item() == 0
