"""Cluster-robust variances: their definition spelled out, unbiasedness, and coverage."""

import numpy as np
import pytest

from analysis.statistics.clusters import (
    Component,
    TestSet,
    cluster_excess,
    pooled,
    utterance_component,
)
from analysis.statistics.intervals import mean_interval

STRATA = np.repeat([0, 1, 2], 20)
ROOM = np.concatenate([np.full(20, -1), np.arange(40) % 7])  # none without reverberation
SPEAKER = np.arange(60) % 9


def test_sum_over_pairs_that_share_a_cluster():
    """Cameron, Gelbach and Miller: one sum over all pairs, before any correction."""
    e = TestSet(STRATA).residuals(np.random.default_rng(0).normal(size=60))
    pairs = [
        e[i] * e[j] for i in range(60) for j in range(60) if i != j and ROOM[i] == ROOM[j] >= 0
    ]
    test_set = TestSet(STRATA, {"room": ROOM})
    members = test_set.cluster_members["room"]
    total = ((e @ members) ** 2).sum()
    assert total == pytest.approx(sum(pairs) + (e[ROOM >= 0] ** 2).sum(), rel=1e-12)


def test_excess_estimates_what_rooms_add_without_bias():
    """Planted: rooms of variance 1 and nothing else; truth is sum of sizes squared over n^2."""
    rng = np.random.default_rng(1)
    test_set = TestSet(STRATA, {"room": ROOM})
    rooms = test_set.cluster_members["room"]
    residuals = test_set.residuals(rng.normal(size=(4000, 7)) @ rooms.T)
    own = residuals**2 @ test_set.own_weights
    found = cluster_excess(residuals, test_set)["room"]
    truth = (rooms.sum(axis=0) ** 2).sum() / 60**2
    # what the utterances of a room have in common is part of V_own as well
    shared_own = (own * rooms.any(axis=1).mean()).mean()
    assert np.mean(found.variance) == pytest.approx(truth - shared_own, rel=0.1)
    assert np.mean(found.variance + own) == pytest.approx(truth, rel=0.1)


def test_independent_utterances_keep_nearly_their_plain_variance():
    rng = np.random.default_rng(2)
    averages = rng.normal(size=(3000, 60))
    plain = utterance_component(averages, TestSet(STRATA))
    clustered = utterance_component(averages, TestSet(STRATA, {"room": ROOM, "speaker": SPEAKER}))
    assert np.mean(plain.variance) == pytest.approx(1 / 60, rel=0.03)
    assert (clustered.variance >= plain.variance).all()
    assert np.mean(clustered.variance) < 1.5 * np.mean(plain.variance)


def test_utterances_that_share_nothing_are_no_clusters():
    test_set = TestSet(STRATA, {"room": np.arange(60), "noise": np.full(60, -1)})
    assert test_set.cluster_members == {}


def test_kinds_that_say_the_same_count_once():
    test_set = TestSet(STRATA, {"noise": SPEAKER, "speaker": SPEAKER + 10})
    assert list(test_set.cluster_members) == ["noise"]


def test_one_cluster_for_all_says_nothing():
    """Its effect cannot be told from the mean."""
    together = TestSet(np.zeros(20, dtype=int), {"room": np.zeros(20, dtype=int)})
    averages = np.random.default_rng(3).normal(size=20)
    alone = utterance_component(averages, TestSet.of_size(20))
    assert utterance_component(averages, together).variance == pytest.approx(alone.variance)


def test_balanced_clusters_have_one_degree_of_freedom_less_than_clusters():
    """And the factor G / (G - 1): the textbook's correction, in a balanced set."""
    codes = np.arange(60) % 6
    effects = np.random.default_rng(4).normal(size=6)
    test_set = TestSet(np.zeros(60, dtype=int), {"room": codes})
    component = utterance_component(effects[codes], test_set)
    assert component.variance == pytest.approx(effects.var(ddof=1) / 6, rel=1e-12)
    own = effects.var() * 60 / 59 / 60
    share = 1 - own / component.variance
    assert component.df == pytest.approx(1 / (share**2 / (5 * share**2) + (1 - share) ** 2 / 59))


def test_pooled_degrees_of_freedom_are_satterthwaites():
    total = pooled([Component(2.0, 4.0), Component(1.0, 10.0), Component(0.0, np.inf)])
    assert total.variance == 3
    assert total.df == pytest.approx(9 / (4 / 4 + 1 / 10))


def test_degrees_of_freedom_follow_unequal_sizes():
    """One large cluster among small ones: little more than one of them says anything."""
    codes = np.concatenate([np.zeros(40, dtype=int), np.arange(1, 21)])
    test_set = TestSet(np.zeros(60, dtype=int), {"room": codes})
    averages = np.random.default_rng(5).normal(size=(500, 21)) @ test_set.cluster_members["room"].T
    assert np.median(utterance_component(averages, test_set).df) < 10


@pytest.mark.parametrize("share", [0.08, 0.2])
def test_coverage_with_seven_rooms(share):
    """Crossed with speakers, one seed; independent utterances would be far too sure."""
    rng = np.random.default_rng(6)
    strata = np.repeat([0, 1], 100)
    clusters = {"room": np.arange(200) % 7, "speaker": rng.permutation(np.arange(200) % 21)}
    test_set = TestSet(strata, clusters)
    scores = np.sqrt(1 - 2 * share) * rng.normal(size=(3000, 200))
    for members in test_set.cluster_members.values():
        shared = rng.normal(size=(3000, members.shape[1])) @ members.T
        scores += np.sqrt(share) * shared

    def covered(interval):
        return np.mean(np.abs(interval.estimate) <= interval.half_width)

    assert 0.93 <= covered(mean_interval(scores[:, None], test_set)) <= 0.97
    assert covered(mean_interval(scores[:, None], TestSet(strata))) < 0.85
