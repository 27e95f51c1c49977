"""Enhancing files with a study's trained network, one after the other."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ablations.cli.enhance_progress import Show, enhancing_progress
from smoe.errors import UserError
from smoe.evaluation.enhance_plan import Pair, Plan

if TYPE_CHECKING:
    from smoe.network.unet import SpeechEnhancer


def enhance_all(enhancer: "SpeechEnhancer", plan: Plan, console: Console, *, force: bool) -> int:
    """Enhance what a plan says; return how many files failed, each of which is named.

    Raises:
        UserError: the only file cannot be enhanced.
    """
    failed, done_s = 0, 0.0
    with enhancing_progress(console, sum(pair.seconds for pair in plan.pairs)) as show:
        for pair in plan.pairs:
            watch = partial(_show, show, pair, done_s)
            try:
                notes = _enhance(enhancer, pair, force, watch)
            except UserError as error:
                if len(plan.pairs) == 1:
                    raise
                failed += 1
                console.print(f"failed: {error}")
            else:
                said = f" ({'; '.join(notes)})" if notes else ""
                console.print(f"Wrote {pair.target}{said}.")
            done_s += pair.seconds
    return failed


def _show(show: Show, pair: Pair, before_s: float, share: float) -> None:
    show(pair.source.name, before_s + share * pair.seconds)


def _enhance(
    enhancer: "SpeechEnhancer", pair: Pair, force: bool, progress: Callable[[float], None]
) -> list[str]:
    from smoe.evaluation.enhance_files import enhance_file

    pair.target.parent.mkdir(parents=True, exist_ok=True)
    return enhance_file(enhancer, pair.source, pair.target, force=force, progress=progress)


def outcome_lines(plan: Plan, target: Path, failed: int) -> list[str]:
    """Return what is said at the end, where there was more than one file."""
    if len(plan.pairs) + len(plan.kept) == 1:
        return []
    lines = [f"{len(plan.pairs) - failed} of {len(plan.pairs)} files enhanced into {target}."]
    if plan.kept:
        left = f"{len(plan.kept)} files that were there already are left as they are"
        lines.append(f"{left}; --force replaces them.")
    return lines
