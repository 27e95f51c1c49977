"""Training steps on a GPU: after a few ordinary ones, a recording of one is played again and again.

A step starts thousands of kernels, most of them shorter than starting them takes. Recorded in a
CUDA graph they start at once, and networks that play theirs on streams of their own fill the GPU
together. (PyTorch, "CUDA semantics", section "CUDA Graphs".)
"""

import torch
from torch import Tensor

from smoe.config import RunConfig
from smoe.mixtures.mixing import Mixture
from smoe.network.unet import SpeechEnhancer
from smoe.training.step import training_step

ORDINARY_STEPS = 3  # in which libraries choose their algorithms


class CapturedStep:
    """Steps of one network, on a stream of its own; each is enqueued, not waited for.

    Args:
        enhancer: The network, in training mode.
        optimiser: Of its parameters, with everything that changes held on the GPU.
        config: Of the run.
    """

    def __init__(
        self, enhancer: SpeechEnhancer, optimiser: torch.optim.Optimizer, config: RunConfig
    ):
        self.enhancer, self.optimiser, self.config = enhancer, optimiser, config
        self.stream = torch.cuda.Stream()
        self.ordinary = ORDINARY_STEPS
        self.graph: torch.cuda.CUDAGraph | None = None
        self.parts = 0  # that the recorded step computes a batch in
        self.mixture: Mixture | None = None
        self.labels = self.terms = torch.empty(0)

    def __call__(self, mixture: Mixture, labels: Tensor, rate: float, parts: int) -> Tensor:
        """One update; `StepTerms` stacked, float32 [5], to be read on `stream`."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for signal in (mixture.noisy, mixture.clean, mixture.label, labels):
                signal.record_stream(self.stream)
            self.optimiser.param_groups[0]["lr"].fill_(rate)
            if self.ordinary:
                self.ordinary -= 1
                return self._compute(mixture, labels, parts)
            if self.graph is None or self.parts != parts:
                self._record(mixture, labels, parts)
            assert self.graph is not None and self.mixture is not None
            self.mixture.noisy.copy_(mixture.noisy)
            self.mixture.clean.copy_(mixture.clean)
            self.mixture.label.copy_(mixture.label)
            self.labels.copy_(labels)
            self.graph.replay()
            return self.terms.clone()

    def _compute(self, mixture: Mixture, labels: Tensor, parts: int) -> Tensor:
        terms = training_step(self.enhancer, self.optimiser, self.config, mixture, labels, parts)
        return torch.stack(list(terms))

    def _record(self, mixture: Mixture, labels: Tensor, parts: int) -> None:
        unknown = mixture.snr_db  # enters no loss
        noisy, clean, label = (x.clone() for x in (mixture.noisy, mixture.clean, mixture.label))
        self.mixture = Mixture(noisy, clean, label, unknown, unknown)
        self.labels = labels.clone()
        self.optimiser.zero_grad()
        self.graph = None
        torch.cuda.empty_cache()  # the recording keeps memory of its own
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self.terms = self._compute(self.mixture, self.labels, parts)
        self.graph, self.parts = graph, parts
