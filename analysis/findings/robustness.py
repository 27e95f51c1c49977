"""Robustness: what becomes of each finding when budget, width, mapping, metric, seed or SNR change.

A finding is a paired difference of two networks. Its base is the first study that has both; beside
it stand the same two networks at other budgets and widths (of any study with the same test set),
with the other mapping at test time, in other metrics, in each seed and at each SNR. All of this but
the seeds is one family of tests for each finding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.conditions import by_snr
from analysis.bundle.contents import Bundle
from analysis.bundle.verdict_rules import FEWEST_SEEDS
from analysis.findings.compare import Comparison, judge, noise_kinds
from analysis.rendering.forms import Column, Row, Table, estimate
from analysis.statistics import hypotheses
from analysis.statistics.samples import Sample, difference


class Finding(NamedTuple):
    """Two networks: the first minus the second."""

    cell: str
    reference: str

    @property
    def title(self) -> str:
        """Who is compared with what."""
        names = (words.short_name(c).removeprefix("S-MoE ") for c in self)
        return " minus ".join(names)


_THREE = "EMB--"
FINDINGS = (
    Finding(words.cell_code(_THREE), words.DENSE),
    Finding(words.FULL_CELL, words.DENSE),
    Finding(words.cell_code("----L"), words.DENSE),
    Finding("dense-macs", words.DENSE),
    Finding(words.FULL_CELL, "dense-macs"),
    Finding(words.FULL_CELL, "uniform"),
    Finding(words.FULL_CELL, "shuffled-labels"),
    Finding(words.cell_code(_THREE, ("single", "supervised", "global")), words.cell_code(_THREE)),
    Finding(words.cell_code(_THREE, ("multi", "implicit", "global")), words.cell_code(_THREE)),
    Finding(words.cell_code(_THREE, ("multi", "supervised", "per_layer")), words.cell_code(_THREE)),
)
AXES = ("budget", "width", "mapping", "metric", "SNR")
_SETTINGS = {"budget": ("train", "steps"), "width": ("model", "init_channels")}


@dataclass(frozen=True)
class Observation:
    """One difference of a finding.

    Attributes:
        axis: What was changed: one of `AXES`, or `base`.
        name: To what it was changed.
        metric: Of the difference.
        found: The difference; its p-value after Holm is that over the whole finding.
    """

    axis: str
    name: str
    metric: str
    found: Comparison

    @property
    def text(self) -> str:
        """Return name and difference, with a star where it is decided."""
        gain = estimate(self.found.interval, words.METRICS[self.metric].decimals, signed=True)
        return f"{self.name} {gain}{'*' if self.found.decided else ''}"

    @property
    def sign(self) -> int:
        """Return the direction of the difference."""
        return int(np.sign(self.found.interval.estimate))


def robustness_table(bundles: Sequence[Bundle]) -> Table:
    """Make the table: one row per finding, one column for what was changed.

    Args:
        bundles: Studies with one test set, as `load_reported` gives them.
    """
    rows = []
    for finding in FINDINGS:
        seen = observations(bundles, finding)
        if seen:
            rows.append(Row([finding.title, *_values(seen)]))
    columns = [Column("Finding", "finding", numeric=False)]
    columns += [Column("base", "base", numeric=False)]
    columns += [Column(axis, axis.lower(), numeric=False) for axis in (*AXES, "seed")]
    columns += [Column("conclusion", "conclusion", numeric=False)]
    return Table("robustness", "Robustness of the findings", _caption(bundles), columns, rows)


def observations(bundles: Sequence[Bundle], finding: Finding) -> list[Observation]:
    """Return the base of a finding and what was seen beside it, corrected as one family."""
    there = [(part, _setting(part, level)) for part, level in _parts(bundles, finding)]
    if not there:
        return []
    base, own = there[0]
    seen = list(_at_base(base, finding))
    for axis in _SETTINGS:
        others = {setting[axis]: (part, setting) for part, setting in reversed(there)}
        for value, (part, setting) in sorted(others.items(), key=lambda item: float(item[0])):
            same = all(setting[a] == own[a] for a in _SETTINGS if a != axis)
            if value != own[axis] and same:
                seen.append(_observed(part, finding, axis, f"{value:,}:".replace(",", " ")))
    adjusted = hypotheses.holm(np.array([one.found.p for one in seen]))
    return [
        replace(one, found=replace(one.found, p_holm=float(p), n_family=len(seen)))
        for one, p in zip(seen, adjusted, strict=True)
    ]


def _parts(bundles: Sequence[Bundle], finding: Finding) -> Iterator[tuple[Bundle, dict[str, Any]]]:
    """Yield every study at every level that has both networks, the shown level of each first."""
    for bundle in bundles:
        levels = [(part, level) for level, part in bundle.levels]
        for part, level in [(bundle, {}), *levels]:
            if all(part.has(cell) for cell in finding):
                yield part, level


def _setting(part: Bundle, level: dict[str, Any]) -> dict[str, Any]:
    config = part.study.get("config", {})
    return {
        axis: level.get(f"{section}.{name}", config.get(section, {}).get(name))
        for axis, (section, name) in _SETTINGS.items()
    }


def _at_base(base: Bundle, finding: Finding) -> Iterator[Observation]:
    label = words.METRICS[base.primary].label
    yield _observed(base, finding, "base", label)
    for metric in words.METRICS:
        if metric != base.primary:
            yield _observed(base, finding, "metric", words.METRICS[metric].label, metric=metric)
    for mapping in words.OTHER_MAPPINGS:
        if any(_scored(base, cell, mapping) for cell in finding):
            name = f"{mapping.removeprefix('learned-')}:"
            yield _observed(base, finding, "mapping", name, mapping=mapping)
    for name, mask in by_snr(base).items():
        yield _observed(base, finding, "SNR", f"{name.removeprefix('SNR ')}:", mask=mask)


def _scored(bundle: Bundle, cell: str, mapping: str) -> bool:
    return bool(bundle.sample(cell, bundle.primary, mapping).n_utterances)


def _observed(
    bundle: Bundle, finding: Finding, axis: str, name: str, *, metric: str = "",
    mapping: str = "", mask: np.ndarray | None = None,
) -> Observation:  # fmt: skip
    metric = metric or bundle.primary
    samples: list[Sample] = []
    for cell in finding:
        other = mapping and _scored(bundle, cell, mapping)
        samples.append(bundle.sample(cell, metric, mapping if other else "learned"))
    heard = bundle.in_conditions(words.DISTORTED) if mask is None else mask
    pair = difference(samples[0], samples[1]).restrict(heard)
    (found,) = judge(bundle, [pair], metric, kinds=noise_kinds(bundle, [finding.cell]))
    assert found is not None
    return Observation(axis, name, metric, found)


def _values(seen: list[Observation]) -> list[str]:
    by_axis = {
        axis: "; ".join(one.text for one in seen if one.axis == axis) or "–"
        for axis in ("base", *AXES)
    }
    base = seen[0].found
    seeds = ", ".join(f"{value:+.3f}".replace("-", "−") for value in base.by_seed)
    return [*by_axis.values(), seeds, _conclusion(seen)]


def _conclusion(seen: list[Observation]) -> str:
    """Say how often the sign of the base is kept, and whether anything decided contradicts it."""
    base = seen[0]
    kept = sum(one.sign == base.sign for one in seen)
    said = f"sign kept in {kept} of {len(seen)}"
    if base.found.n_seeds < FEWEST_SEEDS:
        return f"{said}; too few seeds"
    decided = [one for one in seen if one.found.decided]
    same = sum(one.sign == base.sign for one in decided)
    against = [one.name.rstrip(":") for one in decided if one.sign != base.sign]
    said += f", decided in {same}"
    return f"{said}; the opposite is decided at {', '.join(against)}" if against else said


def _caption(bundles: Sequence[Bundle]) -> str:
    names = ", ".join(b.name for b in bundles)
    left = " ".join(f"{b.name}: {b.left_out}" for b in bundles if b.left_out)
    n = int(bundles[0].in_conditions(words.DISTORTED).sum())
    return (
        "Paired differences over the distorted utterances, ± half the 95 % interval, and what "
        "becomes of them when one thing is changed: training steps (budget), channels (width), "
        "the mapping at test time of the same weights, the metric, the SNR, the seed. In "
        f"{words.METRICS[bundles[0].primary].label} unless the column says another metric. "
        "* differs from zero after Holm over everything in its row but the seeds. "
        f"Studies with this test set: {names}. N = {n}. {left}"
    ).strip()
