"""Error rates and seeds of studies that run until decided, simulated with the noise of `core`.

Run as a script it prints the table in docs/reliability.md:
``python -m tests.analysis.statistics.stopping_errors [studies]``.

Each simulated study compares placements with the dense network in PESQ-WB, as `compare.judge` does,
at each look of a schedule, and stops where all are decided. The generator is `error_rates`'.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ablations.until_decided import schedule
from analysis.statistics import hypotheses
from analysis.statistics.clusters import TestSet
from analysis.statistics.spending import level_at
from tests.analysis import error_rates
from tests.analysis.error_rates import BATCH, Components, Family

MAX_SEEDS = 10
MARGIN = 0.02  # of the study files, in PESQ-WB
ALPHA = 0.05
WAYS = {"until decided": schedule(MAX_SEEDS), "fixed": (MAX_SEEDS,)}
EFFECTS = (0.0, 0.02, 0.04)
PLACEMENTS = {
    "1 (--B--)": ("--B--",),
    "5 (single)": ("E----", "-M---", "--B--", "---D-", "----L"),
}


@dataclass(frozen=True)
class Setting:
    """Networks compared with the dense one: which factors each has on, and their family."""

    name: str
    on: np.ndarray
    family: Family

    @property
    def late(self) -> np.ndarray:
        """Which networks have the late decoder, the dense one first."""
        return self.on[:, 4].astype(bool)


@dataclass(frozen=True)
class Rates:
    """What was found over simulated studies.

    Attributes:
        setting: Family of placements.
        effect: True difference of each placement to dense.
        way: How the number of seeds was chosen.
        seeds: Mean number of seeds at the end.
        different: Share of studies that call any placement better or worse; errors at effect 0.
        equivalent: Share that call any equivalent; errors at the margin and beyond.
        decided: Share of the comparisons that are decided at the end.
    """

    setting: str
    effect: float
    way: str
    seeds: float
    different: float
    equivalent: float
    decided: float


def settings() -> list[Setting]:
    """Return families of 1, 5 and all 31 placements."""
    found = []
    for name, codes in PLACEMENTS.items():
        on = np.array([[letter != "-" for letter in code] for code in ("-----", *codes)], float)
        found.append(Setting(name, on, Family(name, _to_dense(len(on)))))
    on, _, families = error_rates.placement_families()
    return [*found, Setting("31 (all)", on, families[0])]


def _to_dense(n: int) -> np.ndarray:
    return np.eye(n)[1:] - np.eye(n)[0]


def simulate(
    component: Components, each: list[Setting], studies: int, random_state: int = 0
) -> Iterator[Rates]:
    """Simulate studies of every setting and effect, with each way on the same scores."""
    for setting in each:
        for effect in EFFECTS:
            rng = np.random.default_rng(random_state)
            found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
            for _ in range(studies // BATCH):
                test_set = error_rates.random_test_set(rng)
                scores = error_rates.draw_scores(
                    rng, BATCH, MAX_SEEDS, setting.on, setting.late, component, test_set
                )
                scores[:, 1:] += effect
                for way, looks in WAYS.items():
                    found[way].append(ends(setting.family, scores, test_set, looks))
            for way, outcomes in found.items():
                yield _rates(setting.name, effect, way, np.concatenate(outcomes, axis=1))


def ends(
    family: Family, scores: np.ndarray, test_set: TestSet, looks: tuple[int, ...]
) -> np.ndarray:
    """Return seeds, difference and equivalence of each comparison at the end, [3, n, K]."""
    shape = (len(scores), len(family.contrasts))
    end = np.zeros((3, *shape))
    running = np.ones(len(scores), dtype=bool)
    for look in looks:
        interval = family.intervals(scores[:, :, :look], test_set)
        level = level_at(ALPHA, looks, look)
        different = _below(hypotheses.random_effects_p(interval), level)
        equivalent = _below(hypotheses.equivalence_p(interval, MARGIN), level)
        now = np.array([np.full(shape, look), different, equivalent])
        end[:, running] = now[:, running]
        running &= ~(different | equivalent).all(axis=1)
    return end


def _below(p: np.ndarray, level: float) -> np.ndarray:
    return np.array([hypotheses.holm(row) for row in p]) < level


def _rates(setting: str, effect: float, way: str, end: np.ndarray) -> Rates:
    seeds, different, equivalent = end[0], end[1].astype(bool), end[2].astype(bool)
    return Rates(
        setting, effect, way, float(seeds[:, 0].mean()), float(different.any(axis=1).mean()),
        float(equivalent.any(axis=1).mean()), float((different | equivalent).mean()),
    )  # fmt: skip


def table(found: list[Rates]) -> str:
    """Return the rates as a Markdown table."""
    lines = [
        "| placements | true Δ | seeds | mean seeds | any different | any equivalent | decided |",
        "| :--- | ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.setting} | {r.effect:g} | {r.way} | {r.seeds:.1f} | {r.different:.3f} "
        f"| {r.equivalent:.3f} | {r.decided:.2f} |"
        for r in found
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    component = error_rates.core_components()["pesq_wb"]
    sys.stdout.write(table(list(simulate(component, settings(), studies))))
