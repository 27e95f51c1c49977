"""Coverage and error rates of the intervals and tests, simulated with the noise that `core` shows.

Run as a script it prints the table that `test_error_rates.py` checks:
``python -m tests.analysis.error_rates [studies]``.

Generator: ``y[c, s, u] = sum_f on[c, f] (slope[f, s] + effect[f, u]) + rest[c, s] + e[c, s, u]``
with utterance effects ``effect[f, u] = speaker + noise + room + utterance``. Every seed moves a
factor's effect by its own amount in all cells alike, cells with the late decoder are noisier than
others, and utterances are clustered. All true effects are zero.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_reported
from analysis.statistics import factorial, hypotheses, seed_noise
from analysis.statistics.clusters import Component, TestSet
from analysis.statistics.intervals import Interval, mean_interval

CORE = Path(__file__).parents[2] / "results" / "core"
INTRACLASS = 0.15  # of the effects' utterances, for each kind of cluster; core shows 0.08 to 0.20
CLUSTERS = {"speaker": (21, "nrb"), "noise": (21, "nb"), "room": (7, "rb")}  # of the recordings
PER_CONDITION = 100
BATCH = 20
ERRORS_IN_MARGIN = 4.0  # margin of the equivalence test in standard errors: it can be passed


@dataclass(frozen=True)
class Components:
    """Standard deviations of the generator's terms, in the unit of the metric.

    Attributes:
        slope: Between seeds, of each placement's effect, [5].
        rest: Between trainings of a cell beyond that, without and with the late decoder.
        utterance: Between utterances, of a placement's effect.
        noise: Of one score beyond all that.
    """

    slope: np.ndarray
    rest: tuple[float, float]
    utterance: float
    noise: float


def components_of(bundle: Bundle, metric: str) -> Components:
    """Estimate the components from the 32 placements of a study."""
    on = factorial.levels(5)
    codes = ["".join(np.where(row, list(words.LETTERS), "-")) for row in on]
    mask = bundle.in_conditions(words.DISTORTED)
    scores = np.stack([bundle.sample(words.cell_code(c), metric).scores[:, mask] for c in codes])
    means = scores.mean(axis=-1)
    effects = factorial.main_effects(5) @ means  # [5, S]
    rest = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    rest -= np.einsum("cf,fs->cs", on - 0.5, effects - effects.mean(axis=1, keepdims=True))
    late = on[:, 4].astype(bool)
    df = (means.shape[1] - 1) * (1 - 6 / len(codes))
    spread = [float(np.sqrt((rest[g] ** 2).sum(axis=1).mean() / df)) for g in (~late, late)]
    by_utterance = factorial.main_effects(5)[4] @ scores.mean(axis=1)
    test_set = bundle.test_set.take(mask)
    within = scores - scores.mean(axis=(0, 1)) - scores.mean(axis=-1, keepdims=True)
    return Components(
        slope=effects.std(axis=1, ddof=1),
        rest=(spread[0], spread[1]),
        utterance=float(test_set.residuals(by_utterance).std()),
        noise=float(within.std()),
    )


def random_test_set(rng: np.random.Generator) -> TestSet:
    """Return a test set of three conditions whose clusters are balanced and crossed at random."""
    strata = np.repeat(np.arange(3), PER_CONDITION)
    clusters = {}
    for kind, (n, conditions) in CLUSTERS.items():
        codes = np.full(len(strata), -1)
        for stratum, letter in enumerate("nrb"):
            if letter in conditions:
                codes[strata == stratum] = rng.permutation(np.arange(PER_CONDITION) % n)
        clusters[kind] = codes
    return TestSet(strata, clusters)


def draw_scores(
    rng: np.random.Generator, n: int, n_seeds: int, on: np.ndarray, late: np.ndarray,
    components: Components, test_set: TestSet,
) -> np.ndarray:  # fmt: skip
    """Return scores [n, C, S, U] of n studies of the cells with these factors on, [C, F]."""
    n_factors, n_utterances = on.shape[1], len(test_set.strata)
    effect = np.sqrt(1 - INTRACLASS * len(CLUSTERS)) * rng.normal(size=(n, n_factors, n_utterances))
    for members in test_set.cluster_members.values():
        shared = rng.normal(size=(n, n_factors, members.shape[1])) @ members.T
        effect += np.sqrt(INTRACLASS) * shared
    slope = rng.normal(size=(n, n_seeds, n_factors)) * components.slope[:n_factors]
    means = np.einsum("cf,nsf->ncs", on, slope)
    means += rng.normal(size=means.shape) * np.where(late, *components.rest[::-1])[:, None]
    scores = components.noise * rng.standard_normal((*means.shape, n_utterances), dtype=np.float32)
    scores += means[..., None]
    scores += components.utterance * np.einsum("cf,nfu->ncu", on, effect)[:, :, None]
    return scores


@dataclass(frozen=True)
class Family:
    """Contrasts judged together: a name, contrasts [K, C], and kinds to moderate within."""

    name: str
    contrasts: np.ndarray
    kinds: tuple[np.ndarray, ...] = ()

    def intervals(self, scores: np.ndarray, test_set: TestSet) -> Interval:
        """Return intervals of n studies [n, K] from scores [n, C, S, U]."""
        values = np.einsum("kc,ncsu->nksu", self.contrasts, scores, optimize=True)
        by_seed = values.mean(axis=-1)
        own = seed_noise.moderated(by_seed[..., :1, :])
        variance = by_seed.var(axis=-1, ddof=1) / by_seed.shape[-1]
        df = np.full(variance.shape, np.ravel(own.df)[0])
        for kind in self.kinds:
            part = seed_noise.moderated(by_seed[:, kind])
            variance[:, kind], df[:, kind] = part.variance, part.df
        return mean_interval(values, test_set, seeds=Component(variance, df))


def placement_families() -> tuple[np.ndarray, np.ndarray, list[Family]]:
    """Return the 32 placements (factors on, late decoder) and the families of tables 2 and 6."""
    on = factorial.levels(5)
    late = on[:, 4].astype(bool)
    to_dense = np.eye(32)[1:] - np.eye(32)[0]
    kinds = (late[1:], ~late[1:])
    return on, late, [
        Family("table 2 differences", to_dense, kinds),
        Family("main effects", factorial.main_effects(5)),
        Family("Shapley values", factorial.shapley_values(5)),
        Family("two-way interactions", factorial.two_way_interactions(5)[1]),
    ]  # fmt: skip


def axis_families() -> tuple[np.ndarray, np.ndarray, list[Family]]:
    """Return the 8 settings of EMBDL and the families of tables 3 to 5: all pairs, and each one."""
    on = factorial.levels(3)
    families = []
    for axis in range(3):
        first = np.flatnonzero(on[:, axis])
        pairs = np.array([np.eye(8)[c] - np.eye(8)[c - (4 >> axis)] for c in first])
        families.append(Family("axis effects", np.vstack([pairs.mean(axis=0), pairs])))
    return on, np.ones(8, dtype=bool), families


@dataclass(frozen=True)
class Rates:
    """What was found for one metric, number of seeds and family, all as shares.

    Attributes:
        coverage: Intervals that hold the true value, over all contrasts.
        lowest: The same for the contrast with the lowest coverage.
        false_families: Families with any difference found after Holm where there is none.
        false_equivalent: Single tests that find equivalence although the difference is the margin.
    """

    metric: str
    n_seeds: int
    family: str
    coverage: float
    lowest: float
    false_families: float
    false_equivalent: float


def simulate(
    components: dict[str, Components], seeds: tuple[int, ...], studies: int, random_state: int = 0
) -> Iterator[Rates]:
    """Simulate studies of every metric and number of seeds."""
    rng = np.random.default_rng(random_state)
    for metric, component in components.items():
        for n_seeds in seeds:
            for on, late, families in (placement_families(), axis_families()):
                found: dict[str, list[np.ndarray]] = {}
                for _ in range(studies // BATCH):
                    test_set = random_test_set(rng)
                    scores = draw_scores(rng, BATCH, n_seeds, on, late, component, test_set)
                    for family in families:
                        outcome = outcome_of(family.intervals(scores, test_set))
                        found.setdefault(family.name, []).append(outcome)
                for name, outcomes in found.items():
                    yield rates_of(metric, n_seeds, name, np.concatenate(outcomes, axis=1))


def outcome_of(interval: Interval) -> np.ndarray:
    """Return whether each interval covers, each family errs and each margin is missed, [3, n, K].

    The margin lies at the true difference: the same errors around it instead of around zero.
    """
    p = hypotheses.random_effects_p(interval)
    wrong = np.array([hypotheses.holm(row).min() < 0.05 for row in p])
    margin = ERRORS_IN_MARGIN * interval.standard_error.mean(axis=0)
    moved = Interval(interval.estimate + margin, interval.low, interval.high, interval.components)
    equivalent = hypotheses.equivalence_p(moved, margin) < 0.05
    covered = (interval.low <= 0) & (interval.high >= 0)
    return np.array([covered, np.broadcast_to(wrong[:, None], p.shape), equivalent])


def rates_of(metric: str, n_seeds: int, name: str, outcome: np.ndarray) -> Rates:
    covered, wrong, equivalent = outcome
    return Rates(
        metric, n_seeds, name, float(covered.mean()), float(covered.mean(axis=0).min()),
        float(wrong[:, 0].mean()), float(equivalent.mean()),
    )  # fmt: skip


def table(found: list[Rates]) -> str:
    """Return the rates as a Markdown table."""
    lines = [
        "| metric | seeds | family | coverage | lowest | false families | TOST at the margin |",
        "| :--- | ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.metric} | {r.n_seeds} | {r.family} | {r.coverage:.3f} | {r.lowest:.3f} "
        f"| {r.false_families:.3f} | {r.false_equivalent:.3f} |"
        for r in found
    ]
    return "\n".join(lines) + "\n"


def core_components() -> dict[str, Components]:
    """Return the components of the committed core study, by metric."""
    bundle = load_reported(CORE)
    return {metric: components_of(bundle, metric) for metric in words.METRICS}


if __name__ == "__main__":
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    sys.stdout.write(table(list(simulate(core_components(), (2, 3, 5, 10), studies))))
