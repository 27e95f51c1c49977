"""`check` finds what is wrong with a bad metric, kind of expert or corpus, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smoe import metrics
from smoe.corpora import open_corpus
from smoe.inspection.contract_corpus import broken_corpus, broken_pools
from smoe.inspection.contract_expert import broken_expert
from smoe.inspection.contract_metric import broken_metric
from smoe.network.architecture import EXPERT_KINDS, ExpertKernels
from smoe.schema import measures
from smoe.schema.measures import Metric


@pytest.fixture(scope="module")
def corpus(prepared: Path):
    return open_corpus("synthetic:tiny", prepared)


@pytest.fixture(scope="module")
def speech(corpus) -> np.ndarray:
    return np.array(corpus.pools["speech", "test"].item(0)[:32_000], dtype=np.float32)


def good(*, reference, estimate):
    metrics.require_signal(reference, estimate)
    return float(np.exp(-np.mean((reference - estimate) ** 2) / np.mean(reference**2)))


def silent_reason(*, reference, estimate):
    if not np.any(estimate) or not np.any(reference):
        raise metrics.MetricError("")
    return good(reference=reference, estimate=estimate)


def changes(*, reference, estimate):
    value = good(reference=reference, estimate=estimate)
    reference *= 1.001
    return value


METRICS = {
    "not finite": (lambda **_: float("nan"), "return finite floats"),
    "no number": (lambda **_: np.zeros(3), "return finite floats"),
    "raises": (lambda **_: 1 / 0, "raises on speech (ZeroDivisionError"),
    "out of range": (lambda **pair: 3 * good(**pair), "outside its range 0 to 1"),
    "wrong direction": (lambda **pair: 1 - good(**pair), "must have the higher value"),
    "random": (lambda **pair: good(**pair) * np.random.uniform(0.9, 1), "global generator"),
    "no seed": (lambda **pair: good(**pair) * np.random.uniform(0.9, 1), "fix its seed"),
    "changes": (changes, "work on a copy"),
    "silence": (lambda **_: 0.5, "raise MetricError with a reason"),
    "no reason": (silent_reason, "gives no reason for a silent estimate"),
}


@pytest.mark.parametrize("fault", METRICS)
def test_a_bad_metric_is_found(fault: str, speech, monkeypatch):
    metric, said = METRICS[fault]
    monkeypatch.setitem(metrics.METRICS, "mine", metric)
    monkeypatch.setitem(metrics.RANGES, "mine", (0.0, 1.0))
    monkeypatch.setitem(measures.METRICS, "mine", Metric("mine", "", 2))
    assert said in " ".join(broken_metric("mine", speech))


def test_a_good_metric_passes_and_lacks_only_what_is_not_declared(speech, monkeypatch):
    monkeypatch.setitem(metrics.METRICS, "mine", good)
    monkeypatch.setitem(metrics.RANGES, "mine", (0.0, 1.0))
    assert "smoe/schema/measures.py" in next(broken_metric("mine", speech))
    monkeypatch.setitem(measures.METRICS, "mine", Metric("mine", "", 2))
    assert list(broken_metric("mine", speech)) == []
    monkeypatch.delitem(metrics.RANGES, "mine")
    assert "declares no range" in next(broken_metric("mine", speech))
    assert "There is no metric" in next(broken_metric("other", speech))
    lower = Metric("mine", "", 2, higher_is_better=False)
    monkeypatch.setitem(measures.METRICS, "mine", lower)
    assert "must have the lower value" in " ".join(broken_metric("mine", speech))


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_the_suites_own_metrics_pass(metric: str, speech):
    assert list(broken_metric(metric, speech)) == []


@pytest.mark.parametrize(
    ("kernels", "said"),
    [
        (ExpertKernels(((2, 3),), ((3, 3),)), "kernels must have odd extents"),
        (ExpertKernels(((3, 3),), ((3, 4),)), "bottleneck form makes"),
        (ExpertKernels((("a", 3),), ((3, 3),)), "cannot be built or run"),  # pyright: ignore
    ],
)
def test_a_bad_kind_of_expert_is_found(kernels, said, monkeypatch):
    monkeypatch.setitem(EXPERT_KINDS, "mine", kernels)
    assert said in " ".join(broken_expert("mine"))


def test_a_new_kind_of_expert_passes(monkeypatch):
    monkeypatch.setitem(EXPERT_KINDS, "hum", ExpertKernels(((9, 1), (5, 1)), ((5, 1),)))
    assert list(broken_expert("hum")) == []
    assert "There is no kind" in next(iter(broken_expert("other")))


def test_cost_that_is_not_computed_is_found(monkeypatch):
    from smoe.inspection import contract_expert

    wrong = contract_expert.cost
    monkeypatch.setattr(
        contract_expert, "cost", lambda c: wrong(c)._replace(params=1, macs_per_s=5.0)
    )
    monkeypatch.setattr(contract_expert, "POSITIONS", ("bottleneck",))
    found = list(broken_expert("noise"))
    assert len(found) == 2
    assert "1 in smoe/network/cost.py" in found[0] and "count what is computed" in found[1]


def test_the_embedded_corpus_passes_and_one_that_is_not_there_does_not(corpus, prepared):
    assert list(broken_corpus("synthetic:tiny", prepared)) == []
    (said,) = broken_corpus("synthetik", prepared)
    assert "did you mean synthetic" in said


def test_a_bad_corpus_is_found(corpus):
    pools = dict(corpus.pools)
    pools["speech", "test"] = corpus.pools["speech", "train"]
    assert "in train and in test" in " ".join(broken_pools(replace(corpus, pools=pools)))
    del pools["rir", "test"]
    assert "has no rir to test with" in " ".join(broken_pools(replace(corpus, pools=pools)))
    assert "not looked through" in next(iter(broken_pools(replace(corpus, remarks={}))))


@pytest.mark.parametrize(("value", "said"), [(0.0, "is silent"), (np.nan, "is not finite")])
def test_useless_levels_are_found(corpus, monkeypatch, value, said):
    def levels(pool):
        return np.full(len(pool.names), -120.0 if value == 0 else value)

    monkeypatch.setattr("smoe.inspection.contract_corpus.levels_dbfs", levels)
    assert said in next(iter(broken_pools(corpus)))
