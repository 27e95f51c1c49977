"""Training is a function of configuration, seed and corpus, however often it is interrupted."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from smoe.config import LossConfig, MixConfig, ModelConfig, RunConfig, TrainConfig
from smoe.corpora import Corpus
from smoe.mixtures.mixing import Mixture, MixtureSource
from smoe.network.unet import SpeechEnhancer
from smoe.training.checkpoint import load_checkpoint, save_checkpoint
from smoe.training.step import training_labels, training_step
from smoe.training.train import DivergedError, Trained, learning_rate, train

STEPS = 6
MIX = MixConfig(crop_s=0.5)


@pytest.fixture(autouse=True)
def leave_no_trace() -> Iterator[None]:
    """`train` asks torch for deterministic algorithms; other tests did not."""
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(before)
    torch.utils.deterministic.fill_uninitialized_memory = fill


@pytest.fixture(scope="module")
def source(tiny_corpus: Corpus) -> MixtureSource:
    return MixtureSource(tiny_corpus, "train", MIX)


def settings(precision: str = "float32", **model: object) -> RunConfig:
    fields = {"init_channels": 1, "n_layers": 3, **model}
    return RunConfig(
        model=ModelConfig(**fields),  # type: ignore[arg-type]
        mix=MIX,
        train=TrainConfig(steps=STEPS, batch_size=3, warmup_steps=2, precision=precision),  # type: ignore[arg-type]
        data_hash="",
    )


def same(first: Trained, second: Trained) -> bool:
    """Weights and history equal to the last bit; NaN equals NaN."""
    a, b = first.enhancer.state_dict(), second.enhancer.state_dict()
    rows = zip(first.history, second.history, strict=True)
    return all(torch.equal(a[name], b[name]) for name in a) and all(
        np.array_equal(list(x.values()), list(y.values()), equal_nan=True) for x, y in rows
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_seed_gives_one_result(source: MixtureSource, precision: str) -> None:
    """Twice the same seed: the same bits. Another seed: another network."""
    config = settings(precision)
    assert same(train(config, 0, source), train(config, 0, source))
    assert not same(train(config, 0, source), train(config, 1, source))


class StopError(Exception):
    """Stands for a kill signal."""


@pytest.mark.parametrize(
    "model",
    [{}, {"enable_multi_expert": False, "routing": "implicit", "router_scope": "per_layer"}],
    ids=["supervised", "implicit"],
)
def test_resuming_is_exact(source: MixtureSource, tmp_path: Path, model: dict) -> None:
    """Stopped after step 2 and after step 4, then finished: the bits of an uninterrupted run."""
    config, path = settings(**model), tmp_path / "checkpoint.pt"
    logged: list[int] = []

    def stop(history: list[dict[str, float]]) -> None:
        logged.append(int(history[-1]["step"]))
        if logged[-1] in (3, 5) and logged.count(logged[-1]) == 1:
            raise StopError  # after the row was logged, before its checkpoint is written

    def attempt() -> Trained:
        return train(config, 0, source, checkpoint=path, checkpoint_interval_s=0, on_log=stop)

    for _ in range(2):
        with pytest.raises(StopError):
            attempt()
    resumed = attempt()
    assert logged == [1, 2, 3, 3, 4, 5, 5, 6]
    assert [row["step"] for row in resumed.history] == [1, 2, 3, 4, 5, 6]
    assert same(resumed, train(config, 0, source))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_checkpoint_is_set_aside(
    source: MixtureSource, tmp_path: Path, damage: str
) -> None:
    """Training starts anew and gets the same result; the damaged file stays for inspection."""
    config, path = settings(), tmp_path / "checkpoint.pt"
    whole = train(config, 0, source, checkpoint=path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= damage == "flipped"
    keep = {"truncated": len(content) // 2, "flipped": len(content), "empty": 0}[damage]
    path.write_bytes(content[:keep])
    assert same(train(config, 0, source, checkpoint=path), whole)
    assert (tmp_path / "checkpoint.pt.damaged").stat().st_size == keep
    assert load_checkpoint(path) is not None


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    """Tensors and plain values come back; no file is no state; no temporary file remains."""
    path = tmp_path / "sub" / "state.pt"
    assert load_checkpoint(path) is None
    state = {"step": 3, "weights": {"w": torch.arange(5.0)}, "history": [{"loss": math.inf}]}
    save_checkpoint(path, state)
    loaded = load_checkpoint(path)
    assert loaded is not None and torch.equal(loaded["weights"]["w"], state["weights"]["w"])  # type: ignore[index]
    assert {k: loaded[k] for k in ("step", "history")} == {k: state[k] for k in ("step", "history")}
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_divergence_is_an_error(source: MixtureSource) -> None:
    """A loss that is no number ends the run, with the history up to there."""
    config = settings()
    hot = config.train.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match="not finite") as caught:
        train(config.model_copy(update={"train": hot}), 0, source)
    assert not math.isfinite(caught.value.history[-1]["loss"])
    assert caught.value.step == caught.value.history[-1]["step"] <= STEPS


@pytest.mark.parametrize("kind", ["wsdr_stft", "wsdr", "si_sdr"])
def test_training_lowers_the_loss(source: MixtureSource, kind: str) -> None:
    """Forty steps on one batch: every objective falls by more than its noise."""
    config = settings().model_copy(update={"loss": LossConfig(kind=kind)})  # type: ignore[arg-type]
    assert config.model is not None
    enhancer = SpeechEnhancer(config.model)
    optimiser = torch.optim.AdamW(enhancer.parameters(), lr=1e-2)
    mixture = source.batch(seed=0, step=0, batch_size=3)
    losses = [
        float(training_step(enhancer, optimiser, config, mixture, mixture.label).loss)
        for _ in range(40)
    ]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.02


def test_shuffled_labels_keep_their_proportions(source: MixtureSource) -> None:
    """The control routes by other samples' labels, and its accuracy is told by the true ones."""
    config = settings()
    shuffled = config.model_copy(
        update={"train": config.train.model_copy(update={"shuffle_labels": True})}
    )
    mixture = source.batch(seed=0, step=0, batch_size=3)
    labels = torch.tensor([0, 1, 2])
    mixture = Mixture(mixture.noisy, mixture.clean, labels, mixture.snr_db, mixture.rt60_s)
    seen = []
    for step in range(12):
        enhancer = SpeechEnhancer(config.model or ModelConfig())
        enhancer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].tolist()))
        optimiser = torch.optim.AdamW(enhancer.parameters())
        taught = training_labels(shuffled, mixture.label, step)
        training_step(enhancer, optimiser, shuffled, mixture, taught)
    assert all(sorted(each) == [0, 1, 2] for each in seen)
    assert len({tuple(each) for each in seen}) > 2
    assert labels.tolist() == [0, 1, 2]


def test_learning_rate_schedule() -> None:
    """Linear warm-up, half a cosine, the final fraction at the last step."""
    config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0, final_lr_fraction=0.1)
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] < 1
    assert rates[-1] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(rates[9:]))
    middle = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 50 / 99))
    assert rates[50] == pytest.approx(middle)


@pytest.mark.parametrize("scope", ["global", "per_layer"])
def test_the_mapping_trains_nothing_under_supervised_routing(
    source: MixtureSource, scope: str
) -> None:
    """Labels give the weights, so both mappings have the same network; implicit ones differ.

    What differs is the loss of the network as it is routed at test time.
    """
    paper, normalized = (
        train(settings(router_scope=scope, both_mapping=mapping), 0, source)
        for mapping in ("paper", "normalized")
    )
    routed = [trained.history[-1].pop("loss_routed") for trained in (paper, normalized)]
    assert routed[0] != routed[1]
    assert same(paper, normalized)
    implicit = [
        train(settings(router_scope=scope, routing="implicit", both_mapping=mapping), 0, source)
        for mapping in ("paper", "normalized")
    ]
    assert not same(*implicit)


@pytest.mark.parametrize("empty_class", [False, True])
def test_clean_speech_in_training(tiny_corpus: Corpus, empty_class: bool) -> None:
    """It comes with its share and trains to finite numbers, with a class of its own or without."""
    mix = MIX.model_copy(update={"clean_share": 0.5})
    source = MixtureSource(tiny_corpus, "train", mix)
    labels = np.concatenate([source.recipe(seed=0, step=s, batch_size=50).label for s in range(20)])
    counts = np.bincount(labels + 1, minlength=4)
    assert abs(counts[0] - 500) < 80 and min(counts[1:]) > 100
    config = settings(empty_class=empty_class).model_copy(update={"mix": mix})
    trained = train(config, 0, source)
    assert all(math.isfinite(row["loss"]) for row in trained.history)
    assert all(math.isfinite(row["routing_loss"]) for row in trained.history)
