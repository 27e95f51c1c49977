"""Recordings of any length, through chunks that leave no seam."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from smoe.config import SAMPLE_RATE
from smoe.errors import UserError
from smoe.evaluation.enhance import enhance, load_enhancer
from smoe.evaluation.enhance_files import enhance_file
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import save_checkpoint
from tests.smoe.evaluation import enhancers
from tests.smoe.evaluation.enhancers import TINY


@pytest.fixture(name="unchanging")
def _unchanging() -> SpeechEnhancer:
    return enhancers.unchanging()


@pytest.mark.parametrize("seconds", [0.26, 0.5, 3.001, 20.0, 20.5, 45.3])
def test_nothing_is_lost_or_doubled(unchanging: SpeechEnhancer, seconds: float) -> None:
    """Shorter than the network takes, one chunk, several: with mask 1 the output is the input."""
    noisy = 0.1 * torch.randn(round(seconds * SAMPLE_RATE))
    torch.testing.assert_close(enhance(unchanging, noisy), noisy, atol=1e-5, rtol=0)


def test_channels_are_enhanced_each_on_its_own(unchanging: SpeechEnhancer) -> None:
    torch.nn.init.normal_(unchanging.unet.output_conv.weight, std=0.1)
    noisy = 0.1 * torch.randn(2, 21 * SAMPLE_RATE)
    alone = torch.stack([enhance(unchanging, channel) for channel in noisy])
    assert torch.equal(enhance(unchanging, noisy), alone)


def test_file_to_file(unchanging: SpeechEnhancer, tmp_path: Path) -> None:
    """Stereo at another rate keeps both, with notes; weights come from a file."""
    weights = tmp_path / "weights.pt"
    save_checkpoint(weights, {"enhancer": unchanging.state_dict()})
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", 0.1 * rng.standard_normal((44_101, 2)), 44_100)
    notes = enhance_file(load_enhancer(TINY, weights), tmp_path / "in.wav", tmp_path / "out.wav")
    written, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 44_100 and written.shape == (44_101, 2)
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
