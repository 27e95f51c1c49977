"""Enhances the fixed test set, scores every utterance and notes every routing decision."""

import time
from dataclasses import dataclass
from itertools import chain
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoe.config import SAMPLE_RATE, TestSetConfig
from smoe.evaluation.counterfactuals import OTHER_MAPPING, Counterfactual, applicable, intervention
from smoe.metrics import score
from smoe.mixtures.subset import stratified_subset
from smoe.mixtures.test_set import TestSet
from smoe.network.architecture import EXPERT_KINDS
from smoe.network.unet import SpeechEnhancer
from smoe.training.memory import keep_freed_memory

BATCH_SIZE = 8
SCORED_AT_ONCE = 8  # by one process: so large that joblib hands it over in shared memory
GPU_BATCH_S = 192.0  # of audio: a GPU would mostly wait with a few utterances at a time
Row = dict[str, Any]
Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """One utterance of a condition before, after and without distortion; [samples] at 16 kHz."""

    condition: str
    noisy: Wave
    enhanced: Wave
    clean: Wave


@dataclass(frozen=True)
class Enhanced:
    """What a network makes of the test set, still without scores; in host memory.

    Attributes:
        estimates: By counterfactual, which utterances (rows, int64 [R]) became what (float32
            [R, N], 16 kHz).
        routing: Rows of the table of that name, still without `run_id`.
        examples: One utterance of each distorted condition.
        inference_rtf: Seconds of computing per second of audio; None without a network, and on a
            GPU, whose time is shared with others and with the choice of algorithms.
    """

    estimates: dict[Counterfactual, tuple[Tensor, Tensor]]
    routing: list[Row]
    examples: list[Example]
    inference_rtf: float | None


@dataclass(frozen=True)
class Evaluation:
    """Everything measured on the test set.

    `utterances` and `routing` are rows of the tables of those names, still without `run_id`;
    `inference_rtf` is as in `Enhanced`.
    """

    utterances: list[Row]
    routing: list[Row]
    examples: list[Example]
    inference_rtf: float | None


def evaluate(
    enhancer: SpeechEnhancer,
    test: TestSet,
    config: TestSetConfig,
    *,
    device: str = "cpu",
    score_jobs: int = 1,
) -> Evaluation:
    """Score a network on the test set, and under every counterfactual routing on part of it.

    Args:
        enhancer: The trained network; switched to evaluation mode.
        test: The test set.
        config: Says how many utterances are scored counterfactually.
        device: Where the network computes.
        score_jobs: Worker processes that compute the metrics.
    """
    found = enhance_test_set(enhancer, test, config, device=device)
    utterances = score_test_set(found, test, score_jobs=score_jobs)
    return Evaluation(utterances, found.routing, found.examples, found.inference_rtf)


def evaluate_unprocessed(test: TestSet, *, score_jobs: int = 1) -> Evaluation:
    """Scores the noisy input itself."""
    return Evaluation(score_test_set(unprocessed(test), test, score_jobs=score_jobs), [], [], None)


def enhance_test_set(
    enhancer: SpeechEnhancer, test: TestSet, config: TestSetConfig, *, device: str = "cpu"
) -> Enhanced:
    """The half of `evaluate` that needs the network and its device, and few processors."""
    keep_freed_memory()
    enhancer.eval().to(device)
    everything = torch.arange(len(test.utterance))
    distorted = torch.tensor(stratified_subset(test, len(everything)))
    some = torch.tensor(stratified_subset(test, config.counterfactual_per_condition))
    estimates: dict[Counterfactual, tuple[Tensor, Tensor]] = {}
    routing, rtf = [], None
    for name in applicable(enhancer.unet.config):
        # The other mapping answers a question of its own, so it has every distorted utterance.
        rows = {"learned": everything}.get(name, distorted if name in OTHER_MAPPING else some)
        if not len(rows):
            continue
        started = time.perf_counter()
        enhanced, decisions = _enhance(enhancer, test, rows, name, device)
        estimates[name] = (rows, enhanced)
        if name == "learned":
            routing = decisions
            if device == "cpu":
                rtf = (time.perf_counter() - started) * SAMPLE_RATE / enhanced.numel()
    return Enhanced(estimates, routing, _examples(test, estimates["learned"][1]), rtf)


def enhance_all(enhancer: SpeechEnhancer, test: TestSet, *, device: str = "cpu") -> Tensor:
    """What a network makes of the whole test set, float32 [U, N] at 16 kHz."""
    enhancer.eval().to(device)
    return _enhance(enhancer, test, torch.arange(len(test.utterance)), "learned", device)[0]


def unprocessed(test: TestSet) -> Enhanced:
    """The noisy input in place of a network's output."""
    rows = torch.arange(len(test.utterance))
    return Enhanced({"learned": (rows, test.mixture.noisy)}, [], [], None)


def score_estimates(test: TestSet, estimates: Tensor, *, score_jobs: int = 1) -> list[Row]:
    """Score what some system made of the whole test set, float32 [U, N] at 16 kHz."""
    rows = torch.arange(len(test.utterance))
    found = Enhanced({"learned": (rows, estimates)}, [], [], None)
    return score_test_set(found, test, score_jobs=score_jobs)


def score_test_set(enhanced: Enhanced, test: TestSet, *, score_jobs: int = 1) -> list[Row]:
    """The half of `evaluate` that needs processors only: rows of the table `utterances`."""
    jobs = [
        (row, name, estimate)
        for name, (rows, estimates) in enhanced.estimates.items()
        for row, estimate in zip(rows.tolist(), estimates, strict=True)
    ]
    parts = [jobs[first : first + SCORED_AT_ONCE] for first in range(0, len(jobs), SCORED_AT_ONCE)]
    scored: Any = joblib.Parallel(n_jobs=score_jobs)(
        joblib.delayed(_score_all)(
            test.mixture.clean[[row for row, _, _ in part]].numpy(),
            torch.stack([estimate for _, _, estimate in part]).numpy(),
            [test.samples[row] for row, _, _ in part],
        )
        for part in parts
    )
    return [
        {
            "utterance": test.utterance[row],
            "condition": test.condition[row],
            "snr_db": float(test.mixture.snr_db[row]),
            "rt60_s": float(test.mixture.rt60_s[row]),
            "speaker": test.speaker[row],
            "noise": test.noise[row],
            "noise_type": test.noise_type[row],
            "room": test.room[row],
            "counterfactual": name,
            **values,
        }
        for (row, name, _), values in zip(jobs, chain.from_iterable(scored), strict=True)
    ]


def _score_all(clean: Wave, estimates: Wave, samples: list[int]) -> list[Row]:
    """Scores of some utterances [R, N], each up to its own length."""
    # PESQ's filters run out into denormal numbers, which cost some processors a multiple of the
    # time; as zeros they give the same scores.
    torch.set_flush_denormal(True)
    try:
        return [
            score(reference=clean[i, :length], estimate=estimates[i, :length])
            for i, length in enumerate(samples)
        ]
    finally:
        torch.set_flush_denormal(False)


def _enhance(
    enhancer: SpeechEnhancer, test: TestSet, rows: Tensor, name: Counterfactual, device: str
) -> tuple[Tensor, list[Row]]:
    estimates, decisions = [], []
    samples = test.mixture.noisy.shape[1]
    batch_size = BATCH_SIZE
    if device != "cpu":  # in evaluation mode no utterance depends on its neighbours
        batch_size = max(batch_size, int(GPU_BATCH_S * SAMPLE_RATE) // samples)
    with torch.inference_mode():
        for part in rows.split(batch_size):
            labels = test.mixture.label[part].to(device)
            change = intervention(name, enhancer.unet.config, labels, part)
            outputs = enhancer(test.mixture.noisy[part].to(device), intervention=change)
            estimates.append(outputs["enhanced_waveform"].cpu())
            decisions += _routing_rows(outputs["routing_decision"], test, part.tolist())
    return torch.cat(estimates), decisions


def _routing_rows(routing_decision: dict[str, Any], test: TestSet, part: list[int]) -> list[Row]:
    single = "logits" in routing_decision
    layers = {"global": routing_decision} if single else routing_decision
    rows = []
    for layer, decision in layers.items():
        weights, confidence = decision["expert_weights"].cpu(), decision["confidence"].cpu()
        predicted = decision["logits"].argmax(dim=1).cpu()
        for i, row in enumerate(part):
            label = int(test.mixture.label[row])
            kinds = zip(EXPERT_KINDS, weights[i].tolist(), strict=False)
            rows.append(
                {
                    "utterance": test.utterance[row],
                    "layer": layer,
                    **{f"weight_{kind}": weight for kind, weight in kinds},
                    "confidence": confidence[i].item(),
                    "predicted_class": int(predicted[i]),
                    "true_class": None if label < 0 else label,
                }
            )
    return rows


def _examples(test: TestSet, enhanced: Tensor) -> list[Example]:
    """One utterance of each condition, from the middle of its rows: neither easiest nor hardest."""
    examples = []
    for condition in ("noise", "reverb", "both"):
        rows = [row for row, c in enumerate(test.condition) if c == condition]
        row = rows[len(rows) // 2]
        noisy, clean = test.mixture.noisy[row], test.mixture.clean[row]
        samples = test.samples[row]
        waves = (wave[:samples].cpu().numpy() for wave in (noisy, enhanced[row], clean))
        examples.append(Example(condition, *waves))
    return examples
