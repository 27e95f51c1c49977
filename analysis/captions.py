"""The sentences under a table: how much was measured, what is missing, what was detectable."""

from collections import Counter

import numpy as np

from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.compare import Comparison

BOLD = (
    "Bold: better than every other row of its column (paired sign-flip and random-effects tests, "
    "Holm over those rows, 5 %)."
)
OVERALL = "Overall is the mean over the distorted utterances (noise, reverb, both)."


def measured(bundle: Bundle) -> str:
    """Utterances, seeds and what the intervals cover."""
    counts = Counter(bundle.utterances["condition"])
    parts = [f"{counts[c]} {c}" for c in words.DISTORTED if counts[c]]
    clean = f" and {counts['clean']} clean" if counts["clean"] else ""
    n = sum(counts[c] for c in words.DISTORTED)
    return f"N = {n} distorted utterances ({', '.join(parts)}){clean}, {seeds_and_interval(bundle)}"


def seeds_and_interval(bundle: Bundle) -> str:
    """The number of seeds and what the plus-minus sign stands for."""
    runs = bundle.runs[bundle.runs["cell"] != words.UNPROCESSED]
    most = int(runs.groupby("cell").size().max()) if len(runs) else 0
    if most > 1:
        return f"{most} seeds. ± is half the 95 % interval over seeds and utterances (crossed)."
    return (
        "1 seed. ± is half the 95 % interval over utterances alone: with one seed, nothing is "
        "known of the spread between trainings."
    )


def plural(n: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n} {noun}" + ("s" if n != 1 else "")


def verdicts(comparisons: list[Comparison | None], margin: float | None) -> str:
    """How the verdict column came about, with the smallest detectable difference."""
    known = [c for c in comparisons if c is not None]
    text = f"Verdicts: paired tests, Holm over the {plural(len(known), 'comparison')}, 5 %"
    if margin is not None:
        text += f"; equivalent: two one-sided tests within ±{margin:g} (PESQ-WB)"
    if any(c.n_seeds > 1 for c in known):
        text += "; training noise of the differences is pooled over the study's cells"
    return f"{text}. {detectable(comparisons)}"


def detectable(comparisons: list[Comparison | None]) -> str:
    """The smallest difference that the tests of a table can find."""
    found = [c.detectable for c in comparisons if c is not None and np.isfinite(c.detectable)]
    if not found:
        return ""
    return (
        "Smallest difference that one test detects with 80 % power: "
        f"{np.median(found):.3f} (median, before Holm)."
    )


def missing(bundle: Bundle, cells: list[str]) -> list[str]:
    """One note about planned runs of these cells that have no result, grouped by reason."""
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


def unscored(bundle: Bundle, cells: list[str]) -> list[str]:
    """One note about scores that failed and therefore do not count."""
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
    """Name of a cell (or `name`), with `failed`, `missing` or the seeds it has if incomplete."""
    name = words.cell_name(cell) if name is None else name
    absent = bundle.missing_seeds(cell) if cell in bundle.planned else []
    if not absent:
        return name
    if bundle.has(cell):
        return f"{name} ({len(bundle.seeds) - len(absent)} of {len(bundle.seeds)} seeds)"
    failed = {f["cell"] for f in bundle.study.get("failed", [])}
    return f"{name} ({'failed' if cell in failed else 'missing'})"
