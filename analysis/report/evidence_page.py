"""The page of evidence: each finding with what speaks for and against it."""

from dataclasses import dataclass, field

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.findings import captions
from analysis.findings.claims import Claim, claims
from analysis.findings.compare import TOO_FEW_SEEDS, Comparison, differences_to, judge, noise_kinds
from analysis.findings.evidence import (
    Evidence,
    differences_by_level,
    differences_by_part,
    differences_by_routing,
    evidence,
    plain,
    spoken,
)
from analysis.rendering.forms import (
    MISSING,
    Column,
    Row,
    Table,
    Value,
    estimate,
    markdown_text,
    to_markdown,
)
from analysis.statistics.samples import difference
from analysis.tables.mapping import mapped

INTRODUCTION = (
    "Each finding in the primary metric, and beside it the same difference in each seed, in the "
    "other metrics, in parts of the test set, on clean speech, with the same weights routed "
    "otherwise, and at other levels of the settings that the study varies. A finding is called "
    "undecided where any of them (clean speech apart, which is said beside it) is decided in the "
    "other direction. Verdicts stand in the two sentences of a finding (Holm over the findings on "
    "the full S-MoE) and in the conclusions on the cells against the dense network (Holm over the "
    "cells). A single line beside them is no verdict: it stands under For or Against by its "
    "estimate alone, and its 95 % interval is not corrected for how many lines there are."
)
NOTHING = "The study has no finding: it has no S-MoE, or nothing to compare one with."


@dataclass(frozen=True)
class Section:
    """A finding on the page.

    Attributes:
        title: Heading.
        sentences: What is found and what may be said.
        lists: Heading to the observations under it.
        tables: The numbers.
    """

    title: str
    sentences: list[str]
    lists: dict[str, list[str]] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)


def sections(bundle: Bundle) -> list[Section]:
    """Return every finding of a study with its evidence."""
    found = [_claim_section(bundle, claim, i) for i, claim in enumerate(claims(bundle), start=1)]
    ranked = [c for c in bundle.cells() if "." in c]
    if ranked and bundle.has(words.UNPROCESSED):
        found.append(_input_section(bundle, ranked))
    if ranked and bundle.has(words.DENSE):
        found.append(_cells_section(bundle, ranked))
    return found


def to_page(bundle: Bundle, found: list[Section]) -> str:
    """Return the page as Markdown."""
    title = bundle.study["study"].get("title") or bundle.name
    lines = [f"# Evidence: {markdown_text(str(title))}", ""]
    lines.append(INTRODUCTION if found else NOTHING)
    for section in found:
        lines += ["", f"## {markdown_text(section.title)}"]
        lines += [text for sentence in section.sentences for text in ("", markdown_text(sentence))]
        for heading, items in section.lists.items():
            lines += ["", f"**{heading}**", ""]
            lines += [f"- {markdown_text(item)}" for item in items or ["nothing"]]
        for table in section.tables:
            lines += ["", to_markdown(table).rstrip()]
    return "\n".join(lines) + "\n"


def _claim_section(bundle: Bundle, claim: Claim, number: int) -> Section:
    own = evidence(bundle, claim)
    return Section(
        claim.title,
        [claim.sentence(bundle.primary), own.conclusion],
        _lists(own),
        [
            _by_metric(bundle, claim, number),
            _by_observation(bundle, claim, number),
        ],
    )


def _lists(own: Evidence) -> dict[str, list[str]]:
    """Return the observations by heading: for or against the verdict.

    Without a decision the sign of the mean takes its place: for or against a gain or a loss.
    """
    decided = plain(own.primary) not in ("undecided", TOO_FEW_SEEDS)
    sign = "a gain" if own.primary.is_gain else "a loss"
    heads = ("For", "Against") if decided else (f"For {sign}", f"Against {sign}")
    lists = {heads[0]: [*spoken(own.items, "for")], heads[1]: [*spoken(own.items, "against")]}
    neither = [*spoken(own.items, "neither")]
    return lists | {"Without a margin": neither} if neither else lists


def _by_metric(bundle: Bundle, claim: Claim, number: int) -> Table:
    rows = []
    for metric, found in claim.comparisons.items():
        decimals = words.METRICS[metric].decimals
        seeds = ", ".join(f"{v:+.{decimals}f}" for v in found.by_seed).replace("-", "−")
        values: list[Value] = [
            words.METRICS[metric].axis_label,
            estimate(found.interval, decimals, signed=True), seeds,
            f"{sum(v > 0 for v in found.by_seed)} of {found.n_seeds}",
            f"{found.improvement.estimate * 100:.0f} %", str(found.n_utterances),
        ]  # fmt: skip
        rows.append(Row(values))
    columns = [
        Column("Metric", "metric", numeric=False), Column("Δ", "difference"),
        Column("by seed", "by_seed", numeric=False), Column("above zero", "seeds_above_zero"),
        Column("utterances that improve", "improves"), Column("N", "n_utterances"),
    ]  # fmt: skip
    name = f"evidence_{number}_metrics"
    caption = captions.seeds_and_extent(bundle)
    return Table(name, "By metric and seed", caption, columns, rows)


def _by_observation(bundle: Bundle, claim: Claim, number: int) -> Table:
    """Make the table of differences in all metrics by part of the test set, routing and level."""
    by_part = {m: differences_by_part(bundle, claim, m) for m in words.METRICS}
    by_routing = {m: differences_by_routing(bundle, claim, m) for m in words.METRICS}
    by_level = {m: differences_by_level(bundle, claim, m) for m in words.METRICS}
    rows = []
    for group, found in (
        ("part of the test set", by_part), ("same weights", by_routing),
        ("other levels, trained anew", by_level),
    ):  # fmt: skip
        names = dict.fromkeys(name for each in found.values() for name in each)
        for name in names:
            values: list[Value] = [name]
            n = 0
            for metric, each in found.items():
                values.append(_difference(each.get(name), metric))
                n = max(n, each[name].n_utterances if name in each else 0)
            rows.append(Row([*values, str(n)], group))
    columns = [Column("Where", "where", numeric=False)]
    columns += [Column(f"Δ {m.label}", f"difference_{key}") for key, m in words.METRICS.items()]
    columns += [Column("N", "n_utterances")]
    caption = captions.seeds_and_extent(bundle)
    notes = [] if any(by_routing.values()) else ["The study scored no other routing of this cell."]
    name = f"evidence_{number}_parts"
    title = "By part of the test set, routing and level"
    return Table(name, title, caption, columns, rows, notes)


def _difference(comparison: Comparison | None, metric: str) -> Value:
    if comparison is None:
        return MISSING
    return estimate(comparison.interval, words.METRICS[metric].decimals, signed=True)


def _input_section(bundle: Bundle, cells: list[str]) -> Section:
    """Make the section on how many S-MoE cells score above the input, by metric and condition."""
    rows, counted = [], []
    sets = {"overall": words.DISTORTED, **{c: (c,) for c in words.CONDITIONS}}
    for metric, m in words.METRICS.items():
        for name, chosen in sets.items():
            references: list[str | None] = [words.UNPROCESSED] * len(cells)
            judged = judge(
                bundle, differences_to(bundle, cells, references, metric, chosen), metric
            )
            known = {c: x for c, x in zip(cells, judged, strict=True) if x is not None}
            if not known:
                continue
            lowest = min(known, key=lambda cell: float(known[cell].interval.estimate))
            least = known[lowest]
            above = sum(float(x.interval.estimate) > 0 for x in known.values())
            always = sum(min(x.by_seed) > 0 for x in known.values())
            never = sum(max(x.by_seed) < 0 for x in known.values())
            if name == "overall":
                counted.append(f"{m.label}: {above} of {len(known)} means above")
            values: list[Value] = [
                name, str(above), str(always), str(never), str(len(known)), lowest,
                estimate(least.interval, m.decimals, signed=True), _directions(least),
                str(least.n_utterances),
            ]  # fmt: skip
            rows.append(Row(values, m.axis_label))
    columns = [
        Column("Where", "where", numeric=False), Column("mean above", "mean_above"),
        Column("every seed above", "every_seed_above"),
        Column("every seed below", "every_seed_below"), Column("cells", "cells"),
        Column("lowest cell", "lowest_cell", numeric=False), Column("Δ input", "difference"),
        Column("seeds above zero", "seeds_above_zero"), Column("N", "n_utterances"),
    ]  # fmt: skip
    title = "S-MoE cells against their input"
    table = Table("evidence_input", title, captions.seeds_and_extent(bundle), columns, rows)
    return Section(title, [f"{'; '.join(counted)}."], tables=[table])


def _directions(comparison: Comparison) -> str:
    """Return how many seeds are above zero, and the sign of each: `2 of 3 (+−+)`."""
    signs = "".join("+" if value > 0 else "−" for value in comparison.by_seed)
    return f"{signs.count('+')} of {len(signs)} ({signs})"


def _cells_section(bundle: Bundle, cells: list[str]) -> Section:
    """Make the section on S-MoE cells against dense: seeds, metrics, clean speech and mapping."""
    kinds, references = noise_kinds(bundle, cells), [words.DENSE] * len(cells)
    judged = {
        m: judge(bundle, differences_to(bundle, cells, [*references], m), m, kinds=kinds)
        for m in words.METRICS
    }
    pairs = differences_to(bundle, cells, [*references], bundle.primary, ("clean",))
    clean = judge(bundle, pairs, bundle.primary, kinds=kinds)
    decimals = words.METRICS[bundle.primary].decimals
    others = [m for m in words.METRICS if m != bundle.primary]
    rows = []
    for i, cell in enumerate(cells):
        found = judged[bundle.primary][i]
        if found is None:
            continue
        metrics = [judged[m][i] for m in others]
        values: list[Value] = [
            captions.row_label(bundle, cell, cell),
            estimate(found.interval, decimals, signed=True), _directions(found),
            *[_difference(c, m) for m, c in zip(others, metrics, strict=True)],
            _difference(clean[i], bundle.primary), _other_mapping(bundle, cell),
            _conclusion(found, metrics),
        ]  # fmt: skip
        rows.append(Row(values))
    columns = [
        Column("Network", "network", numeric=False),
        Column(f"Δ {words.METRICS[bundle.primary].label}", "difference"),
        Column("seeds above zero", "seeds_above_zero"),
        *[Column(f"Δ {words.METRICS[m].label}", f"difference_{m}") for m in others],
        Column("clean: Δ", "difference_clean"), Column("other mapping: Δ", "difference_mapping"),
        Column("conclusion", "conclusion", numeric=False),
    ]  # fmt: skip
    n = int(bundle.in_conditions(words.DISTORTED).sum())
    caption = (
        "Conclusion: Holm over the cells in the primary metric, undecided where a seed or a metric "
        "turns it over. Other mapping: the same weights and learned "
        f"probabilities. N = {n}. {captions.seeds_and_extent(bundle)}"
    )
    said = [str(row.values[-1]) for row in rows]
    counts = ", ".join(f"{said.count(each)} {each}" for each in dict.fromkeys(said))
    title = "S-MoE cells against the dense network"
    table = Table("evidence_cells", title, caption, columns, rows)
    sentence = f"With seeds and metrics seen together, of {len(rows)} S-MoE cells: {counts}."
    return Section(title, [sentence], tables=[table])


def _conclusion(found: Comparison, metrics: list[Comparison | None]) -> str:
    """Return the primary metric's verdict; undecided if a seed or another metric contradicts it."""
    verdict = plain(found)
    opposite = {"better": "worse", "worse": "better"}.get(verdict)
    if opposite is None:
        return verdict
    up = verdict == "better"
    turned = any((found.sign * value > 0) != up for value in found.by_seed)
    turned |= any(c is not None and plain(c) == opposite for c in metrics)
    return "undecided (turns over)" if turned else verdict


def _other_mapping(bundle: Bundle, cell: str) -> Value:
    """Return the difference to dense under the mapping that the cell was not trained with."""
    both = mapped(bundle, cell, bundle.primary)
    if both is None:
        return MISSING
    other = both.normalized if both.trained_with == "paper" else both.paper
    pair = difference(other, bundle.sample(words.DENSE, bundle.primary))
    mean = pair.mean()
    return estimate(mean, words.METRICS[bundle.primary].decimals, signed=True)
