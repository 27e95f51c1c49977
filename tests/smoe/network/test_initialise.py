"""Cells that share a parameter by name start it from the same values."""

import torch

from ablations.studies.grid import CELLS, resolve
from smoe.config import ModelConfig, RunConfig
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer

BASE = RunConfig(model=ModelConfig(init_channels=1, n_layers=3), data_hash="")


def initial(code: str, seed: int = 0) -> dict[str, torch.Tensor]:
    config = resolve(code, BASE).model
    assert config is not None
    enhancer = SpeechEnhancer(config)
    initialise(enhancer, seed)
    return dict(enhancer.named_parameters())


def test_shared_parameters_start_equal_in_all_cells() -> None:
    """All 249 cells at one seed: one value per name; and all start as the dense one."""
    seen: dict[str, torch.Tensor] = {}
    dense = initial("dense")
    for code in CELLS:
        values = initial(code)
        assert dense.keys() <= values.keys()
        for name, value in values.items():
            assert torch.equal(seen.setdefault(name, value), value), (code, name)


def test_seed_changes_every_drawn_parameter() -> None:
    """And the same seed gives the same network twice."""
    first, again, other = (initial("EMBDL.multi.supervised.global", seed) for seed in (0, 0, 1))
    for name, value in first.items():
        assert torch.equal(value, again[name])
        if value.dim() > 1:
            assert not torch.equal(value, other[name]), name


def test_no_two_parameters_share_their_draw() -> None:
    """Equal shapes, different names: uncorrelated values."""
    drawn = [v.flatten() for v in initial("EMBDL.multi.supervised.global").values() if v.dim() > 1]
    sums = [v.sum().item() for v in drawn]
    assert len(set(sums)) == len(sums)


def test_variance_survives_the_depth() -> None:
    """Features of an expert neither vanish nor explode: it starts as a refinement of a tenth."""
    enhancer = SpeechEnhancer(ModelConfig(init_channels=16, n_layers=3))
    initialise(enhancer, 0)
    x = torch.randn(1, 64, 20, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        deviation = enhancer.unet.smoe["early_encoder"].experts[0](x).std()
    assert 0.1 / 3 < deviation < 0.1 * 3


def test_mask_starts_near_one() -> None:
    """An untrained network passes its input on, with little change of the phase."""
    enhancer = SpeechEnhancer(ModelConfig(init_channels=2))
    initialise(enhancer, 0)
    noisy = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mask = enhancer.train()(noisy)["mask"]
    assert (mask - 1).abs().mean() < 0.3
