"""The sentences under a table: how much was measured, what is missing, what was detectable."""

from collections import Counter

import numpy as np

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.verdict_rules import FEWEST_SEEDS, verdict_rules
from analysis.findings.compare import Comparison, dense_gain, margin_phrase
from analysis.findings.power import seeds_sentence
from analysis.statistics.seed_noise import FEWEST
from analysis.statistics.spending import last_look
from smoe.schema.cells import is_trained

BOLD = (
    "Bold: better than every other row of its column (tests over seeds and utterances, Holm over "
    "those rows)."
)
OVERALL = "Overall is the mean over the distorted utterances (noise, reverb, both)."


def measured(bundle: Bundle) -> str:
    """Say how many utterances and seeds there are and what the intervals cover."""
    counts = Counter(bundle.utterances["condition"])
    parts = [f"{counts[c]} {c}" for c in words.DISTORTED if counts[c]]
    clean = f" and {counts['clean']} clean" if counts["clean"] else ""
    n = sum(counts[c] for c in words.DISTORTED)
    return f"N = {n} distorted utterances ({', '.join(parts)}){clean}, {seeds_and_extent(bundle)}"


def seeds_and_extent(bundle: Bundle) -> str:
    """Return `seeds_and_interval`, then which level is shown and what is left out."""
    return " ".join([seeds_and_interval(bundle), *extent(bundle)])


def extent(bundle: Bundle) -> list[str]:
    """Return sentences on the level shown of a study that varies settings, and on runs left out."""
    level = f"Level shown: {bundle.level}; table 12 has the others." if bundle.level else ""
    return [sentence for sentence in (level, bundle.left_out) if sentence]


def seeds_and_interval(bundle: Bundle) -> str:
    """Say how many seeds there are and what the plus-minus sign stands for."""
    runs = bundle.runs[bundle.runs["cell"].map(is_trained).astype(bool)]
    most = int(runs.groupby("cell").size().max()) if len(runs) else 0
    if most > 1:
        text = f"{most} seeds. ± is half the 95 % interval over seeds and utterances."
        return at_coverage(bundle, text)
    return (
        "1 seed. ± is half the 95 % interval over utterances alone: with one seed, nothing is "
        "known of the spread between trainings."
    )


def at_coverage(bundle: Bundle, text: str) -> str:
    """Return a text on 95 % intervals with the coverage that this study's intervals have."""
    return text.replace("95 % interval", f"{_percent(bundle.rules.coverage)} interval")


def repeated_looks(bundle: Bundle) -> list[str]:
    """Say at which numbers of seeds the study is looked at and which level this look uses."""
    rules, whole = bundle.rules, verdict_rules(bundle.study)
    if not rules.looks:
        return []
    at = ", ".join(map(str, rules.looks))
    return [
        f"Repeated looks: the study adds seeds until it is decided and is looked at after {at} "
        f"seeds. All looks together have a level of {_percent(whole.alpha)}; this one, after "
        f"{plural(last_look(rules.looks, len(bundle.seeds)), 'seed')}, uses "
        f"{_percent(rules.alpha)} of it: verdicts are at this level, and intervals cover "
        f"{_percent(rules.coverage)}."
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def plural(n: int, noun: str) -> str:
    """Return `1 seed`, `3 seeds`."""
    return f"{n} {noun}" + ("s" if n != 1 else "")


def clusters(bundle: Bundle) -> str:
    """Say which utterances count as alike, and what the bundle does not say about them."""
    members = bundle.test_set.cluster_members
    named = {"speaker": "speaker", "noise": "noise recording", "room": "room"}
    parts = [f"{named[kind]} ({m.shape[1]})" for kind, m in members.items()]
    stored = [kind for kind in words.CLUSTERS if kind in bundle.utterances]
    text = ""
    if parts:
        text = f"Utterances are clustered by {', '.join(parts)}."
    if len(stored) < len(words.CLUSTERS):
        absent = [f"{kind}s" for kind in words.CLUSTERS if kind not in stored]
        named_absent = " and ".join([", ".join(absent[:-1]), absent[-1]] if absent[1:] else absent)
        by_rt60 = "room" in members and "room" not in stored
        text += f" This bundle does not store {named_absent}; "
        text += "rooms are told apart by their RT60, and otherwise " if by_rt60 else ""
        text += "utterances count as independent, so intervals may be too narrow."
    return text.strip()


def verdicts(
    bundle: Bundle,
    comparisons: list[Comparison | None],
    metrics: tuple[str, ...],
    group: str = "the rows",
    moderated: bool = False,
) -> list[str]:
    """Say how verdicts came about: tests, margins with their share, clusters, power.

    Args:
        bundle: The study.
        comparisons: Those of the primary metric.
        metrics: Metrics that have verdicts.
        group: What is one family unless the study declares the whole table.
        moderated: Whether training variances were learned from contrasts of one kind.
    """
    known = [c for c in comparisons if c is not None and not c.outside]
    if not known:
        return []
    rules = bundle.rules
    family = group if rules.family == "group" else "all rows of the table"
    sizes = sorted({c.n_family for c in known})
    size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    tests = (
        f"Verdicts: tests over seeds and utterances, Holm over {family} ({size} comparisons) for "
        f"each metric, {_percent(rules.alpha)}. {_training_variance(known, moderated)} "
        f"{clusters(bundle)}"
    )
    margins = [margin_phrase(rules, m, dense_gain(bundle, m)) for m in metrics]
    declared = (
        f"Equivalent: two one-sided tests within the margin, {', '.join(margins)}; gain: what the "
        "dense network scores above the unprocessed input, over the distorted utterances. "
        f"{rules.sentence()}"
    )
    found = power(known, rules.primary, rules.margins.get(rules.primary))
    return [text for text in (tests, declared, found, *repeated_looks(bundle)) if text]


def _training_variance(known: list[Comparison], moderated: bool) -> str:
    few = (
        f"No verdict is given with fewer than {FEWEST_SEEDS} seeds: too little is known of the "
        "spread between trainings."
    )
    if max(c.n_seeds for c in known) < FEWEST_SEEDS:
        return few
    text = "Training variance: each difference's own values in the seeds"
    if moderated:
        text += (
            f", moderated over cells with and over cells without a late decoder (from {FEWEST} "
            "cells of a kind on)"
        )
    return f"{text}. {few}" if min(c.n_seeds for c in known) < FEWEST_SEEDS else f"{text}."


def power(known: list[Comparison], metric: str, margin: float | None) -> str:
    """Say which difference the tests find, and how many seeds the margin needs."""
    text = detectable([*known])
    if margin is not None:
        text += f" {seeds_sentence(known, metric, margin)}"
    return text.strip()


def detectable(comparisons: list[Comparison | None]) -> str:
    """Say which difference the tests of a table can find, before and after Holm."""
    known = [c for c in comparisons if c is not None and not c.outside]
    known = [c for c in known if c.n_seeds >= FEWEST_SEEDS]
    alone = [c.detectable() for c in known]
    if not np.isfinite(alone).any():
        return ""
    after = [c.detectable(c.n_family) for c in known]
    return (
        "Smallest difference that is found with 80 % power: "
        f"{np.nanmedian(alone):.3f} in one test, {np.nanmedian(after):.3f} after Holm (median)."
    )


def missing(bundle: Bundle, cells: list[str]) -> list[str]:
    """Name the planned runs of these cells that have no result, grouped by reason."""
    reasons = {(f["cell"], f["seed"]): f["reason"] for f in bundle.study.get("failed", [])}
    groups: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        for seed in bundle.missing_seeds(cell) if cell in bundle.planned else []:
            reason = reasons.get((cell, seed))
            group = f"failed ({reason})" if reason else "not run"
            groups.setdefault(group, {}).setdefault(cell, []).append(str(seed))
    parts = [
        f"{group}: " + ", ".join(f"{cell} seed {' '.join(seeds)}" for cell, seeds in runs.items())
        for group, runs in groups.items()
    ]
    return [f"Missing runs, {'; '.join(parts)}."] if parts else []


def unmeasured(bundle: Bundle) -> list[str]:
    """Name the metrics that none of the runs was scored in; their columns are empty."""
    absent = [m.label for key, m in words.METRICS.items() if np.isnan(bundle.scores[key]).all()]
    if not absent:
        return []
    return [f"No run of this bundle was scored in {', '.join(absent)}: it is older, run it again."]


def unscored(bundle: Bundle, cells: list[str]) -> list[str]:
    """Count the scores that failed and therefore do not count."""
    runs = bundle.runs.index[bundle.runs["cell"].isin(cells)]
    failed = bundle.errors[bundle.errors["run"].isin(runs)]
    failed = failed[failed["counterfactual"] == "learned"]
    if failed.empty:
        return []
    reason, n = failed["error"].value_counts().index[0], len(failed)
    return [
        f"{plural(n, 'score')} failed and count nowhere; an utterance without a value in one "
        f"seed leaves that cell's mean (most frequent reason: {reason})."
    ]


def row_label(bundle: Bundle, cell: str, name: str | None = None) -> str:
    """Return a cell's name (or `name`), with `failed`, `missing` or its seeds if incomplete."""
    name = words.cell_name(cell) if name is None else name
    absent = bundle.missing_seeds(cell) if cell in bundle.planned else []
    if not absent:
        return name
    if bundle.has(cell):
        return f"{name} ({len(bundle.seeds) - len(absent)} of {len(bundle.seeds)} seeds)"
    failed = {f["cell"] for f in bundle.study.get("failed", [])}
    return f"{name} ({'failed' if cell in failed else 'missing'})"
