"""What a person reads of a bundle whose runs were trained again."""

import importlib.metadata
from collections import Counter

from ablations.travel.compared import UNLIKE
from ablations.travel.tolerance import LOSSES, Limits
from ablations.travel.verify import Verified
from smoe.schema.bundle import Stored

COMPUTING = ("torch", "numpy", "scipy", "pesq", "pystoi")  # packages whose versions move numbers


def origin_lines(stored: Stored, device: str, commit: str) -> list[str]:
    """Say where the stored results come from, and what can be expected of another place.

    Args:
        stored: The bundle.
        device: The device here, as `runs.parquet` would name it.
        commit: The code here.
    """
    lines = []
    for what, column, here in (("commit", "git_commit", commit), ("device", "device", device)):
        there = sorted(set(stored.runs[column]))
        if there != [here]:
            lines.append(f"Stored by {what} {', '.join(there)}; here it is {here or 'unknown'}.")
    packages = stored.study["packages"]
    for name in COMPUTING:
        here = importlib.metadata.version(name)
        if name in packages and packages[name] != here:
            lines.append(f"Stored with {name} {packages[name]}; here it is {here}.")
    if lines:
        lines.append('So no more than "within rounding" can be expected of the runs.')
    elif device.startswith("cpu"):
        lines.append("Same commit and kind of device; another model of processor may still round.")
    return lines


def verdict_lines(verified: list[Verified], limits: Limits) -> list[str]:
    """Say for each run how it compares, and count the verdicts."""
    lines = [line for each in verified for line in _run_lines(each, limits)]
    count = Counter(each.word or "not trained to the end" for each in verified)
    total = ", ".join(f"{number} {word}" for word, number in count.items())
    if any(each.word not in ("equal to the bit", None) for each in verified):
        lines += [
            f"Limits of means: {limits.source}; of training losses: {LOSSES:g} of how much they "
            "vary from one logged step to the next (other batches give about 1.4)."
        ]
    return [*lines, f"{len(verified)} runs trained again: {total}."]


def _run_lines(verified: Verified, limits: Limits) -> list[str]:
    found = verified.found
    if found is None:
        return [f"{verified.run.name}: not trained to the end ({verified.reason})"]
    lines = [f"{verified.run.name}: {verified.word}"]
    lines += [f"  {name} is stored in another form and was not compared" for name in found.forms]
    lines += [f"  {name} has other rows" for name in found.rows]
    if found.none:
        return lines
    for name, apart in found.means.items():
        lines.append(
            f"  {name}: mean {apart:+.2g} (limit {limits.of(name, found):.2g}), one utterance at "
            f"most {_largest(found.values[name])}"
        )
    if "loss" in found.values:
        lines.append(
            f"  training losses: {found.losses:.2g} of how much they vary (limit {LOSSES:g}), "
            f"one step at most {_largest(found.values['loss'])}"
        )
    return lines + _other_lines(found.values, {*found.means, "loss"})


def _other_lines(values: dict[str, float], said: set[str]) -> list[str]:
    others = {name: value for name, value in values.items() if value and name not in said}
    if not others:
        return []
    named = ", ".join(f"{name} {_largest(value)}" for name, value in sorted(others.items()))
    return [f"  largest difference of other columns: {named}"]


def _largest(value: float) -> str:
    return "missing in one" if value == UNLIKE else f"{value:.2g}"
