"""Recordings of any length, through chunks that leave no seam."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from smoe.config import SAMPLE_RATE, ModelConfig
from smoe.errors import UserError
from smoe.evaluation.enhance import enhance, enhance_file, load_enhancer
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import save_checkpoint

TINY = ModelConfig(init_channels=1, n_layers=3)


@pytest.fixture
def unchanging() -> SpeechEnhancer:
    """A network whose mask is 1: it gives back what it gets."""
    enhancer = SpeechEnhancer(TINY)
    initialise(enhancer, 0)
    torch.nn.init.zeros_(enhancer.unet.output_conv.weight)
    return enhancer.eval()


@pytest.mark.parametrize("seconds", [0.26, 0.5, 3.001, 20.0, 20.5, 45.3])
def test_nothing_is_lost_or_doubled(unchanging: SpeechEnhancer, seconds: float) -> None:
    """Shorter than the network takes, one chunk, several: with mask 1 the output is the input."""
    noisy = 0.1 * torch.randn(round(seconds * SAMPLE_RATE))
    torch.testing.assert_close(enhance(unchanging, noisy), noisy, atol=1e-5, rtol=0)


def test_file_to_file(unchanging: SpeechEnhancer, tmp_path: Path) -> None:
    """Stereo at another rate comes out as 16 kHz mono, with notes; weights come from a file."""
    weights = tmp_path / "weights.pt"
    save_checkpoint(weights, {"enhancer": unchanging.state_dict()})
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", 0.1 * rng.standard_normal((44_100, 2)), 44_100)
    notes = enhance_file(load_enhancer(TINY, weights), tmp_path / "in.wav", tmp_path / "out.wav")
    written, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == SAMPLE_RATE and written.shape == (SAMPLE_RATE,)
    assert len(notes) == 2


def test_what_users_can_mend(unchanging: SpeechEnhancer, tmp_path: Path) -> None:
    """No weights, no audio, no place to write to: one sentence that names the file."""
    with pytest.raises(UserError, match=r"weights\.pt"):
        load_enhancer(TINY, tmp_path / "weights.pt")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"text\.wav"):
        enhance_file(unchanging, tmp_path / "text.wav", tmp_path / "out.wav")
    soundfile.write(
        tmp_path / "in.wav", 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000
    )
    with pytest.raises(UserError, match="cannot be written"):
        enhance_file(unchanging, tmp_path / "in.wav", tmp_path / "nowhere" / "out.wav")
