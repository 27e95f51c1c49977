"""What a run says of the pieces its batches were computed in is what was computed.

On a GPU a step is recorded once and played. Here nothing is played: stand-ins for the calls of
CUDA, which no processor has, tell what would be recorded, and when.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from smoe.corpora import Corpus
from smoe.mixtures.mixing import MixtureSource
from smoe.training import cuda_graph, train
from smoe.training.cuda_graph import ORDINARY_STEPS, CapturedStep
from smoe.training.step import training_step
from tests.smoe.training.test_train import MIX, STEPS, leave_no_trace, settings

__all__ = ["leave_no_trace"]


@pytest.fixture(scope="module")
def source(tiny_corpus: Corpus) -> MixtureSource:
    return MixtureSource(tiny_corpus, "train", MIX)


class Graph:
    """In place of a recording: what it was made of, and how often it was played."""

    made: list["Graph"] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.computed: list[int] = []
        self.played = 0
        Graph.made.append(self)

    def replay(self) -> None:
        self.played += 1


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The parts of each step that is computed; those of a recording go into its graph."""
    steps: list[int] = []
    into = [steps]

    @contextlib.contextmanager
    def graph(one: Graph, **_: Any) -> Iterator[None]:
        into.append(one.computed)
        yield
        into.pop()

    def step(*given: Any) -> Any:
        into[-1].append(given[-1])
        return training_step(*given)

    stream = SimpleNamespace(wait_stream=lambda _: None)
    stand_ins = {
        "Stream": lambda: stream, "current_stream": lambda: None, "CUDAGraph": Graph,
        "graph": graph, "stream": lambda _: contextlib.nullcontext(),
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    monkeypatch.setattr(cuda_graph, "training_step", step)
    Graph.made = []
    yield steps


def test_a_step_is_recorded_anew_when_a_batch_is_to_be_computed_in_halves(
    computed: list[int], source: MixtureSource
) -> None:
    """And not replayed as it was: what is stored as "2" would have been computed whole."""
    config = settings()
    enhancer, optimiser = train.untrained(config, 0, "cpu")
    optimiser.param_groups[0]["lr"] = torch.tensor(1e-3)
    step = CapturedStep(enhancer, optimiser, config)
    for index in range(ORDINARY_STEPS + 5):
        mixture = source.batch(seed=0, step=index, batch_size=3)
        terms = step(mixture, mixture.label, 1e-3, 1 if index < ORDINARY_STEPS + 2 else 2)
        assert terms.shape == (5,)
    assert computed == [1] * ORDINARY_STEPS
    assert [graph.computed for graph in Graph.made] == [[1], [2]]
    assert [graph.played for graph in Graph.made] == [2, 3]


@pytest.mark.parametrize("when", [0, 3])
def test_parts_are_those_of_the_steps_since_memory_ran_out(
    when: int, source: MixtureSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was interrupted afterwards still knows, and goes on in halves."""
    parts: list[int] = []

    def step(*given: Any) -> Any:
        if len(parts) == when and given[-1] == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        parts.append(given[-1])
        if len(parts) == STEPS - 1 and not resumed:
            raise KeyboardInterrupt
        return training_step(*given)

    resumed: list[bool] = []
    monkeypatch.setattr(train, "training_step", step)
    run = {"checkpoint": tmp_path / "checkpoint.pt", "checkpoint_interval_s": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train.train(settings(), 0, source, **run)
    resumed.append(True)
    trained = train.train(settings(), 0, source, **run)
    assert trained.parts == 2
    assert parts == [1] * when + [2] * (STEPS - when) + [2]


def test_a_run_that_had_the_memory_says_so(source: MixtureSource) -> None:
    assert train.train(settings(), 0, source).parts == 1
