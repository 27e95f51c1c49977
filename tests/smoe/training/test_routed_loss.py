"""Losses under both routings: their values, when they are taken, and that they change nothing."""

import itertools
import math

import numpy as np
import pytest
import torch

from smoe.config import MixConfig, ModelConfig, RunConfig, TrainConfig
from smoe.corpora import Corpus
from smoe.evaluation.counterfactuals import Counterfactual, intervention
from smoe.mixtures.mixing import Mixture, MixtureSource
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer
from smoe.training import routed_loss
from smoe.training.cuda_graph import CapturedStep
from smoe.training.losses import enhancement_loss
from smoe.training.routed_loss import (
    POINTS,
    RECORDED_STEPS_APART,
    STEPS_APART,
    is_due,
    routed_losses,
)
from smoe.training.step import training_labels, training_step
from smoe.training.train import LOG_POINTS, Run, learning_rate, train, train_together, untrained
from tests.smoe.training.test_train import leave_no_trace

MIX = MixConfig(crop_s=0.5)
BOTH, ROUTED = {"loss_labelled", "loss_routed"}, {"loss_routed"}
__all__ = ["leave_no_trace"]


@pytest.fixture(scope="module")
def source(tiny_corpus: Corpus) -> MixtureSource:
    return MixtureSource(tiny_corpus, "train", MIX)


def settings(steps: int = 6, *, shuffle: bool = False, **model: object) -> RunConfig:
    fields = {"init_channels": 1, "n_layers": 3, **model}
    train_config = TrainConfig(
        steps=steps, batch_size=3, warmup_steps=2, precision="float32", shuffle_labels=shuffle
    )
    return RunConfig(model=ModelConfig(**fields), mix=MIX, train=train_config, data_hash="")  # type: ignore[arg-type]


def fresh(config: RunConfig) -> SpeechEnhancer:
    assert config.model is not None
    enhancer = SpeechEnhancer(config.model)
    initialise(enhancer, 0)
    return enhancer.train()


@pytest.fixture
def mixture(source: MixtureSource) -> Mixture:
    """One mixture of each class."""
    drawn = source.batch(seed=0, step=0, batch_size=3)
    return Mixture(drawn.noisy, drawn.clean, torch.tensor([0, 1, 2]), drawn.snr_db, drawn.rt60_s)


@pytest.mark.parametrize("scope", ["global", "per_layer"])
@pytest.mark.parametrize("several", [True, False])
def test_both_losses_are_those_of_the_routings(mixture: Mixture, scope: str, several: bool) -> None:
    """As the counterfactuals `learned` and `oracle` route the same network on its own batch."""
    config = settings(router_scope=scope, enable_multi_expert=several)
    enhancer = fresh(config)
    found = routed_losses(enhancer, config, mixture)
    assert set(found) == BOTH
    pairs: tuple[tuple[str, Counterfactual], ...]
    pairs = (("loss_routed", "learned"), ("loss_labelled", "oracle"))
    for name, counterfactual in pairs:
        change = intervention(counterfactual, enhancer.unet.config, mixture.label, torch.arange(3))
        with torch.inference_mode():
            enhanced = enhancer.eval()(mixture.noisy, intervention=change)["enhanced_waveform"]
        expected = enhancement_loss(
            config.loss, enhanced=enhanced, clean=mixture.clean, noisy=mixture.noisy
        )
        assert found[name] == pytest.approx(float(expected), rel=1e-5)
    assert found["loss_routed"] != found["loss_labelled"]


def test_clean_speech_has_no_label_and_keeps_the_routers_weights(mixture: Mixture) -> None:
    config = settings()
    clean = Mixture(mixture.noisy, mixture.clean, torch.full((3,), -1), *[torch.zeros(3)] * 2)
    found = routed_losses(fresh(config), config, clean)
    assert found["loss_labelled"] == pytest.approx(found["loss_routed"], rel=1e-6)


def test_the_control_is_measured_with_the_labels_that_it_is_taught(mixture: Mixture) -> None:
    config = settings(shuffle=True)
    taught = training_labels(config, mixture.label, config.train.steps)
    assert taught.tolist() != mixture.label.tolist()
    told = Mixture(mixture.noisy, mixture.clean, taught, mixture.snr_db, mixture.rt60_s)
    found = routed_losses(fresh(config), config, mixture)
    assert found == routed_losses(fresh(settings()), settings(), told)


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        ({"routing": "supervised"}, BOTH),
        ({"routing": "implicit"}, ROUTED),
        ({"routing": "uniform"}, set()),
        ({"smoe_layer_positions": ()}, set()),
    ],
)
def test_only_what_a_network_has_is_measured(
    mixture: Mixture, model: dict, columns: set[str]
) -> None:
    """The mode of every module and the random numbers stay as they were."""
    config = settings(**model)
    enhancer = fresh(config)
    before = torch.get_rng_state()
    assert set(routed_losses(enhancer, config, mixture)) == columns
    assert all(module.training for module in enhancer.modules())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("steps", [1, 6, 130, 300, 4000])
def test_rows_are_measured_at_equal_distances(steps: int, recorded: bool) -> None:
    """About ten of them, far enough apart, the last row among them."""
    apart = RECORDED_STEPS_APART if recorded else STEPS_APART
    interval = max(1, steps // LOG_POINTS)
    logged = [s for s in range(1, steps + 1) if s % interval == 0 or s == steps]
    rows = [{"step": float(step)} for step in logged]
    due = [step for i, step in enumerate(logged) if is_due(rows[: i + 1], steps, recorded=recorded)]
    assert len(due) == max(1, min(POINTS, steps // apart))
    assert due[-1] == steps
    assert len(due) == 1 or all(b - a > apart - interval for a, b in itertools.pairwise([0, *due]))


@pytest.mark.parametrize(
    "model",
    [{}, {"enable_multi_expert": False, "routing": "implicit", "router_scope": "per_layer"}],
)
def test_measuring_changes_nothing(
    source: MixtureSource, monkeypatch: pytest.MonkeyPatch, model: dict
) -> None:
    """Trained beside another network, measured twice: weights, buffers and rows of plain steps."""
    monkeypatch.setattr(routed_loss, "STEPS_APART", 2)  # so that few steps have several of them
    config = settings(**model)
    runs = [Run(config, 0), Run(settings(), 0)]
    trained = dict(train_together(runs, source))[0]
    assert not isinstance(trained, Exception)
    measured = [row["step"] for row in trained.history if "loss_routed" in row]
    assert measured == [2, 4, 6]

    enhancer, optimiser = untrained(config, 0, "cpu")
    rows = []
    for step in range(config.train.steps):
        optimiser.param_groups[0]["lr"] = learning_rate(config.train, step)
        batch = source.batch(seed=0, step=step, batch_size=3)
        rows.append(training_step(enhancer, optimiser, config, batch, batch.label))
    state = trained.enhancer.state_dict()
    assert all(torch.equal(state[name], x) for name, x in enhancer.state_dict().items())
    for row, terms in zip(trained.history, rows, strict=True):
        expected = torch.stack(list(terms)).double().tolist()
        assert np.array_equal([row[name] for name in terms._fields], expected, equal_nan=True)


def test_a_run_alone_and_among_others_measures_the_same(source: MixtureSource) -> None:
    config, other = settings(), settings(routing="implicit")
    alone = train(config, 0, source).history[-1]
    beside = dict(train_together([Run(other, 0), Run(config, 0)], source))[1]
    assert not isinstance(beside, Exception)
    assert alone == beside.history[-1]
    assert set(alone) >= BOTH
    assert all(math.isfinite(alone[name]) for name in BOTH)


def test_a_measurement_that_memory_does_not_suffice_for_is_left_out(mixture: Mixture) -> None:
    """The network goes on in training mode; other errors are not hidden."""
    config = settings()
    enhancer = fresh(config)

    def fail(error: Exception) -> None:
        def hook(*_: object) -> None:
            raise error

        handle = enhancer.register_forward_pre_hook(hook)
        try:
            assert routed_losses(enhancer, config, mixture) == {}
        finally:
            handle.remove()
            assert enhancer.training

    fail(MemoryError())
    with pytest.raises(ValueError, match="another"):
        fail(ValueError("another"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("model", [{}, {"router_scope": "per_layer"}])
def test_a_captured_step_is_not_disturbed(source: MixtureSource, model: dict) -> None:
    """Recorded steps with and without measurements in between: the same bits."""
    config = settings(steps=12, **model)
    states = []
    for measured in (False, True):
        enhancer, optimiser = untrained(config, 0, "cuda")
        step = CapturedStep(enhancer, optimiser, config)
        for number in range(12):
            cpu = source.batch(seed=0, step=number, batch_size=3)
            batch = Mixture(*(getattr(cpu, name).cuda() for name in vars(cpu)))
            step(batch, batch.label, 1e-3, 1)
            step.stream.synchronize()
            if measured:
                assert set(routed_losses(enhancer, config, batch)) == BOTH
        states.append(enhancer.state_dict())
    assert all(torch.equal(x, states[1][name]) for name, x in states[0].items())
