"""How much a mean would change with other test utterances.

Model: ``d[u] = stratum + speaker[u] + noise[u] + room[u] + utterance[u]``. Strata (the conditions
of the test set) are fixed; all other terms are random. Utterances that share a speaker, a noise
recording or a room are alike, so they say less than as many independent ones. With the residuals
``e[u]`` around the means of the strata, n utterances and clusters ``c`` of each kind ``g``:

    V_own = sum_u e[u]^2 / n^2
    V_g   = sum_c (sum_{u in c} e[u])^2 / n^2
    Var(mean) = V_own + sum_g max(V_g - V_own within g, 0)

This is the multiway cluster-robust variance (Cameron, Gelbach and Miller 2011); each pairwise
intersection counts as single utterances and no kind of cluster counts as negative. Few clusters
make it too small and its t quantile too narrow. Both are corrected as in Bell and McCaffrey (2002),
under the working model that the clusters of one kind are independent and equally variable:
`_correction`.

Axes: U utterances, K strata, G clusters of one kind.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Component:
    """A variance that adds to the variance of a mean, with its degrees of freedom.

    Either may be a number or an array of the mean's shape.
    """

    variance: Array | float
    df: Array | float


@dataclass(frozen=True, eq=False)  # equal to itself alone, so that what follows from it is kept
class TestSet:
    """Which utterances are alike.

    Attributes:
        strata: Stratum of each utterance, [U] integers.
        clusters: Kind of cluster (`speaker`, `noise`, `room`) to the number of the cluster of each
            utterance, [U]; negative where the kind does not apply (speech without noise).
    """

    __test__ = False  # not a class of tests

    strata: Array
    clusters: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of_size(cls, n: int) -> "TestSet":
        """Return n utterances of one stratum that have nothing in common."""
        return cls(np.zeros(n, dtype=int))

    def take(self, mask: Array) -> "TestSet":
        """Return the utterances in the mask, [U]; the same object for the same mask."""
        key = mask.tobytes()
        if key not in self._taken:
            clusters = {kind: codes[mask] for kind, codes in self.clusters.items()}
            self._taken[key] = TestSet(self.strata[mask], clusters)
        return self._taken[key]

    @cached_property
    def _taken(self) -> dict[bytes, "TestSet"]:
        return {}

    @cached_property
    def strata_members(self) -> Array:
        """Membership in strata, [U, K]; one stratum if any has fewer than two utterances."""
        _, codes, sizes = np.unique(self.strata, return_inverse=True, return_counts=True)
        if sizes.min(initial=2) >= 2:
            return np.eye(len(sizes))[codes]
        return np.ones((len(codes), 1))

    @cached_property
    def cluster_members(self) -> dict[str, Array]:
        """Kind of cluster to membership, [U, G]; kinds in which no two utterances share one lack.

        Kinds that say the same of every utterance count once.
        """
        found: dict[str, Array] = {}
        for kind, codes in self.clusters.items():
            known = codes >= 0
            _, numbers = np.unique(codes[known], return_inverse=True)
            members = np.zeros((len(codes), int(numbers.max(initial=-1)) + 1))
            members[np.flatnonzero(known), numbers] = 1
            shared = (members.sum(axis=0) > 1).any()
            if shared and not any(np.array_equal(members, other) for other in found.values()):
                found[kind] = members
        return found

    @cached_property
    def corrections(self) -> dict[str, tuple[float, float]]:
        """Kind of cluster to the factor that makes V_g unbiased and its degrees of freedom.

        A kind whose clusters cannot be told from the strata lacks.
        """
        found = {k: _correction(m, self.strata_members) for k, m in self.cluster_members.items()}
        return {kind: both for kind, both in found.items() if both[1] > 0}

    def residuals(self, values: Array) -> Array:
        """Return values [..., U] around the means of their strata."""
        members = self.strata_members
        return values - (values @ members / members.sum(axis=0)) @ members.T

    @cached_property
    def own_weights(self) -> Array:
        """The weights [U] of squared residuals that give V_own without bias."""
        members = self.strata_members
        sizes = members.sum(axis=0)
        return members @ (sizes / np.maximum(sizes - 1, 1)) / len(members) ** 2

    @property
    def own_df(self) -> float:
        """Degrees of freedom of V_own."""
        return float(np.subtract(*self.strata_members.shape))


def cluster_excess(residuals: Array, test_set: TestSet) -> dict[str, Component]:
    """Return what each kind of cluster adds to V_own, never below zero.

    Infinite degrees of freedom where one adds nothing.

    Args:
        residuals: [..., U], around the means of the strata.
        test_set: Which utterances are alike.
    """
    own, found = residuals**2 * test_set.own_weights, {}
    for kind, (factor, df) in test_set.corrections.items():
        members = test_set.cluster_members[kind]
        total = factor * ((residuals @ members) ** 2).sum(axis=-1) / residuals.shape[-1] ** 2
        excess = np.maximum(total - own @ members.any(axis=1), 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = excess / total  # Satterthwaite: a difference spreads as much as all of V_g
        found[kind] = Component(excess, np.where(excess > 0, df * share**2, np.inf))
    return found


def _correction(members: Array, strata: Array) -> tuple[float, float]:
    """Return the factor that makes V_g unbiased and its degrees of freedom; both 0 if unknown.

    If cluster effects are iid, sums of residuals are ``M effects``; V_g is then a quadratic form
    with matrix ``M'M``, whose trace and squared trace give its expectation and its df.
    """
    counts = members.T @ strata  # [G, K]
    sizes = counts.sum(axis=1)
    spread = np.diag(sizes) - (counts / strata.sum(axis=0)) @ counts.T  # M, [G, G]
    form = spread @ spread.T
    trace = float(np.trace(form))
    if trace < 1e-9 * (sizes**2).sum():
        return 0.0, 0.0
    return float((sizes**2).sum()) / trace, trace**2 / float((form**2).sum())


def pooled(parts: list[Component]) -> Component:
    """Return the sum of independent components with Satterthwaite's degrees of freedom."""
    total = np.asarray(sum(part.variance for part in parts))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.asarray(sum(np.square(part.variance) / part.df for part in parts))
        df = np.where(spread > 0, total**2 / spread, np.inf)
    return Component(total, df)


def utterance_component(averages: Array, test_set: TestSet) -> Component | None:
    """Return the variance of means [..., U] over utterances; None where nothing can be counted.

    Args:
        averages: One value per utterance (averaged over seeds), finite.
        test_set: Which utterances are alike.
    """
    if test_set.own_df < 1:
        return None
    residuals = test_set.residuals(averages)
    own = Component(residuals**2 @ test_set.own_weights, test_set.own_df)
    return pooled([own, *cluster_excess(residuals, test_set).values()])
