"""Enhances the fixed test set, scores every utterance and notes every routing decision."""

import time
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoe.architecture import EXPERT_KINDS
from smoe.config import SAMPLE_RATE, TestSetConfig
from smoe.corpora.test_set import TestSet
from smoe.counterfactuals import Counterfactual, applicable, intervention
from smoe.metrics import score
from smoe.unet import SpeechEnhancer

BATCH_SIZE = 8
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
class Evaluation:
    """Everything measured on the test set.

    `utterances` and `routing` are rows of the tables of those names, still without `run_id`;
    `inference_rtf` is seconds of computing per second of audio (None without a network).
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
    """Scores a network on the test set, and on part of it under every counterfactual routing.

    Args:
        enhancer: The trained network; switched to evaluation mode.
        test: The test set.
        config: Says how many utterances are scored counterfactually.
        device: Where the network computes.
        score_jobs: Worker processes that compute the metrics.
    """
    enhancer.eval().to(device)
    everything = torch.arange(len(test.utterance))
    some = torch.tensor(_first_of_each(test.condition, config.counterfactual_per_condition))
    jobs, routing = [], []
    rtf, enhanced = 0.0, torch.empty(0)
    for name in applicable(enhancer.unet.config):
        rows = everything if name == "learned" else some
        if not len(rows):
            continue
        started = time.perf_counter()
        estimates, decisions = _enhance(enhancer, test, rows, name, device)
        if name == "learned":
            enhanced, routing = estimates, decisions
            rtf = (time.perf_counter() - started) * SAMPLE_RATE / estimates.numel()
        jobs += [(test, int(row), name, est) for row, est in zip(rows, estimates, strict=True)]
    return Evaluation(_score(jobs, score_jobs), routing, _examples(test, enhanced), rtf)


def evaluate_unprocessed(test: TestSet, *, score_jobs: int = 1) -> Evaluation:
    """Scores the noisy input itself."""
    jobs = [(test, row, "learned", noisy) for row, noisy in enumerate(test.mixture.noisy)]
    return Evaluation(_score(jobs, score_jobs), [], [], None)


def _enhance(
    enhancer: SpeechEnhancer, test: TestSet, rows: Tensor, name: Counterfactual, device: str
) -> tuple[Tensor, list[Row]]:
    estimates, decisions = [], []
    with torch.inference_mode():
        for part in rows.split(BATCH_SIZE):
            labels = test.mixture.label[part].to(device)
            outputs = enhancer(
                test.mixture.noisy[part].to(device), intervention=intervention(name, labels, part)
            )
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


def _score(jobs: list[tuple[TestSet, int, str, Tensor]], score_jobs: int) -> list[Row]:
    scored: Any = joblib.Parallel(n_jobs=score_jobs)(
        joblib.delayed(score)(
            reference=test.mixture.clean[row, : test.samples[row]].cpu().numpy(),
            estimate=estimate[: test.samples[row]].cpu().numpy(),
        )
        for test, row, _, estimate in jobs
    )
    return [
        {
            "utterance": test.utterance[row],
            "condition": test.condition[row],
            "snr_db": float(test.mixture.snr_db[row]),
            "rt60_s": float(test.mixture.rt60_s[row]),
            "counterfactual": name,
            **values,
        }
        for (test, row, name, _), values in zip(jobs, scored, strict=True)
    ]


def _first_of_each(conditions: list[str], count: int) -> list[int]:
    """The rows scored counterfactually: `count` of each distorted condition, evenly spread."""
    chosen = []
    for condition in ("noise", "reverb", "both"):
        rows = [row for row, c in enumerate(conditions) if c == condition]
        spread = np.linspace(0, len(rows), min(count, len(rows)), endpoint=False)
        chosen += [rows[int(i)] for i in spread]
    return chosen


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
