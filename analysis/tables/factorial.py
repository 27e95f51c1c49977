"""Table 6: main effects, two-way interactions and Shapley values of the complete designs."""

from dataclasses import dataclass
from itertools import product

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.compare import Comparison, judge
from analysis.rendering.forms import Column, Row, Table, Value
from analysis.statistics import factorial
from analysis.statistics.samples import Sample, align, combine, mean_of
from analysis.tables.main import comparison_values

_VERDICTS = {"better": "raises", "worse": "lowers"}


@dataclass(frozen=True)
class Design:
    """A complete 2^k design of trained cells.

    Attributes:
        title: What varies and what is held fixed.
        metric: What the scores are.
        factors: Names, first factor most significant in the order of the cells.
        cells: Scores of the 2**k cells.
        with_shapley: The factors are players that can be absent (placements).
    """

    title: str
    metric: str
    factors: tuple[str, ...]
    cells: list[Sample]
    with_shapley: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that all cells have."""
        return align(self.cells)[1]

    def contrasts(self) -> dict[str, list[tuple[str, Sample]]]:
        """Return kind of effect to named contrast scores."""
        k = len(self.factors)
        pairs, interactions = factorial.two_way_interactions(k)
        kinds = {
            "main effects": (list(self.factors), factorial.main_effects(k)),
            "two-way interactions": (
                [f"{self.factors[i]} × {self.factors[j]}" for i, j in pairs], interactions,
            ),
        }  # fmt: skip
        if self.with_shapley:
            shapley = {"Shapley values": (list(self.factors), factorial.shapley_values(k))}
            kinds = shapley | kinds
        return {
            kind: [(n, combine(self.cells, w)) for n, w in zip(names, weights, strict=True)]
            for kind, (names, weights) in kinds.items()
        }


def judged_effects(bundle: Bundle, designs: list[Design]) -> dict[str, dict[str, Comparison]]:
    """Judge effects by group (design and kind of effect); each group is one family.

    Each effect's training variance comes from its own value in each seed: effects are few and
    unlike in noise, so nothing is moderated. The designs are of one metric.
    """
    named = [
        (f"{design.title}: {kind}", name, sample)
        for design in designs
        for kind, effects in design.contrasts().items()
        for name, sample in effects
    ]
    if not named:
        return {}
    groups = [group for group, *_ in named]
    found = judge(bundle, [s for *_, s in named], designs[0].metric, families=groups)
    result: dict[str, dict[str, Comparison]] = {group: {} for group in groups}
    for (group, name, _), comparison in zip(named, found, strict=True):
        if comparison is not None:
            result[group][name] = comparison
    return result


def effect_intervals(bundle: Bundle, design: Design) -> dict[str, list[tuple[str, Comparison]]]:
    """Judge a design's effects by kind, each kind as one family."""
    groups = judged_effects(bundle, complete_designs(bundle, design.metric))
    start = f"{design.title}: "
    return {g.removeprefix(start): [*e.items()] for g, e in groups.items() if g.startswith(start)}


def _placement_cells(levels: tuple[str, str, str]) -> list[str]:
    """Return the 32 cells of one setting of the axes, in the order of a 2^5 design."""
    codes = [
        "".join(x if on else "-" for x, on in zip(words.LETTERS, row, strict=True))
        for row in factorial.levels(5)
    ]
    return [words.cell_code(code, levels) for code in codes]


def _axis_cells(placement: str) -> list[str]:
    """Return the 8 cells of one placement; a factor is on at the first level of its axis."""
    settings = [
        tuple(words.AXIS_LEVELS[a][1 - on] for a, on in zip(words.AXES, row, strict=True))
        for row in factorial.levels(3)
    ]
    return [words.cell_code(placement, s) for s in settings]  # pyright: ignore


def _settings() -> list[tuple[str, str, str]]:
    return list(product(*(words.AXIS_LEVELS[a] for a in words.AXES)))  # pyright: ignore


def _name(levels: tuple[str, ...]) -> str:
    return ", ".join(levels).replace("per_layer", "per layer")


def _samples(bundle: Bundle, cells: list[str], metric: str) -> list[Sample]:
    mask = bundle.in_conditions(words.DISTORTED)
    return [bundle.sample(c, metric).restrict(mask) for c in cells]


def complete_designs(bundle: Bundle, metric: str = words.PRIMARY) -> list[Design]:
    """Return every complete design: placements, axes, and all eight factors at once.

    Placements at the reference setting, or else at each complete one. Axes averaged over the
    placements that have all eight cells. All eight factors: the empty placement is the dense
    network at every setting. Nothing is imputed; a design with a cell missing is not analysed.
    """
    designs = []
    complete = [s for s in _settings() if all(bundle.has(c) for c in _placement_cells(s))]
    reference = [s for s in complete if s == words.REFERENCE_AXES]
    for setting in reference or complete:
        samples = _samples(bundle, _placement_cells(setting), metric)
        title = f"Placements ({_name(setting)})"
        designs.append(Design(title, metric, words.POSITION_NAMES, samples, with_shapley=True))
    crossed = _crossed_placements(bundle)
    if crossed:
        cells = zip(*(_axis_cells(p) for p in crossed), strict=True)
        averaged = [mean_of(_samples(bundle, list(group), metric)) for group in cells]
        where = crossed[0] if len(crossed) == 1 else f"mean of {len(crossed)} placements"
        title, factors = f"Axes ({where})", _axis_factors()
        designs.append(Design(title, metric, factors, averaged, with_shapley=False))
    if len(complete) == len(_settings()):
        designs.append(_all_factors(bundle, metric))
    return [d for d in designs if d.seeds]


def _axis_factors() -> tuple[str, ...]:
    """Return the factor names: the first level of each axis, at which the factor is on.

    The effect called multi is that of multi over single.
    """
    return tuple(words.AXIS_LEVELS[axis][0] for axis in words.AXES)


def _crossed_placements(bundle: Bundle) -> list[str]:
    """Return the placements that have all eight settings of the axes."""
    return [p for p in words.placements()[1:] if all(bundle.has(c) for c in _axis_cells(p))]


def _all_factors(bundle: Bundle, metric: str) -> Design:
    settings = [
        tuple(words.AXIS_LEVELS[a][1 - on] for a, on in zip(words.AXES, row, strict=True))
        for row in factorial.levels(3)
    ]
    by_setting = [_placement_cells(s) for s in settings]  # pyright: ignore
    cells = [by_setting[s][p] for p in range(32) for s in range(8)]
    factors = (*words.POSITION_NAMES, *_axis_factors())
    samples = _samples(bundle, cells, metric)
    return Design("All eight factors", metric, factors, samples, with_shapley=False)


def incomplete_reasons(bundle: Bundle) -> list[str]:
    """Say why a design is absent: how many of its cells have no run."""
    reasons = []
    absent = [c for c in _placement_cells(words.REFERENCE_AXES) if not bundle.has(c)]
    if absent:
        reasons.append(
            f"placements ({_name(words.REFERENCE_AXES)}): {len(absent)} of 32 cells have no run"
        )
    if not _crossed_placements(bundle):
        reasons.append("axes: no placement has all 8 settings")
    every = {c for s in _settings() for c in _placement_cells(s)}
    absent = [c for c in every if not bundle.has(c)]
    if absent:
        reasons.append(f"all eight factors: {len(absent)} of {len(every)} cells have no run")
    return reasons


def _effect_values(comparison: Comparison | None, metric: str) -> list[Value]:
    """Return effect, adjusted p-value and verdict, in the words of effects."""
    *numbers, verdict = comparison_values(comparison, metric)
    first, *rest = str(verdict).split(",")
    return [*numbers, ",".join([_VERDICTS.get(first, first), *rest])]


def _row(name: str, effects: dict[str, Comparison | None], primary: str) -> list[Value]:
    """Return name, primary metric with its p-value, then effect and verdict of the others."""
    values: list[Value] = [name, *_effect_values(effects[primary], primary)]
    for metric in effects:
        if metric != primary:
            values += _effect_values(effects[metric], metric)[::2]
    return values


def _columns(primary: str) -> list[Column]:
    columns = [
        Column("Factor", "factor", numeric=False),
        Column(f"Δ {words.METRICS[primary].label}", "effect"), Column("p (Holm)", "p_holm"),
        Column("verdict", "verdict", numeric=False),
    ]  # fmt: skip
    for metric, words_of in words.METRICS.items():
        if metric != primary:
            columns.append(Column(f"Δ {words_of.label}", f"effect_{metric}"))
            columns.append(Column("verdict", f"verdict_{metric}", numeric=False))
    return columns


def factorial_table(bundle: Bundle) -> Table:
    """Make table 6, one family of tests per design, kind of effect and metric."""
    primary = bundle.primary
    designs = {metric: complete_designs(bundle, metric) for metric in words.METRICS}
    found = {metric: judged_effects(bundle, own) for metric, own in designs.items()}
    rows = [
        Row(_row(name, {m: found[m][group].get(name) for m in words.METRICS}, primary), group)
        for group, effects in found[primary].items()
        for name in effects
    ]
    seeds = [f"{d.title}: {captions.plural(len(d.seeds), 'seed')}" for d in designs[primary]]
    caption = (
        "Main effect: mean with the factor minus mean without. Interaction: half the change of one "
        "effect by the other factor. Shapley value: contribution averaged over all orders of "
        f"adding placements; they sum to EMBDL minus dense. Axes: multi over single, supervised "
        f"over implicit, global over per layer. {captions.measured(bundle)}"
    )
    notes = [f"Seeds that all cells of a design have: {'; '.join(seeds)}."] if seeds else []
    judged = [c for effects in found[primary].values() for c in effects.values()]
    notes += captions.verdicts(bundle, [*judged], tuple(words.METRICS), "each group")
    notes += [f"Not analysed, incomplete: {r}." for r in incomplete_reasons(bundle)]
    title = "Table 6: factorial effects"
    return Table("table6_factorial", title, caption, _columns(primary), rows, notes)
