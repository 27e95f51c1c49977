"""Adds seeds to a study until its comparisons are decided, at declared looks.

The looks stand in the study's `[verdict]` section, and so in its `study.json`: which one comes next
follows from the seeds that the bundle has, and what level it has from the declared looks. Nothing
else is remembered, so that a study that was stopped goes on as if it had not been.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.bundles.replacing import Kept, look
from ablations.execution.runner import Outcome
from ablations.studies.study import Study
from ablations.studies.verdict import FIRST_LOOK
from smoe.errors import UserError

Undecided = Callable[[Path], list[str]]
_SHARE_LEFT = 1.5  # a look comes only where half as many seeds again are left for the last one


def schedule(max_seeds: int) -> tuple[int, ...]:
    """Return the looks up to a largest number of seeds: 3, then twice as many each time.

    Few looks cost little power: each one takes a part of the level.
    """
    looks = [FIRST_LOOK]
    while looks[-1] * 2 * _SHARE_LEFT <= max_seeds:
        looks.append(looks[-1] * 2)
    return tuple(looks) if looks[-1] == max_seeds else (*looks, max_seeds)


def with_looks(study: Study, until_decided: bool, max_seeds: int | None, *, whole: bool) -> Study:
    """Return the study as it is to be run: with declared looks if it is to run until decided.

    Args:
        study: As its file says.
        until_decided: Whether it adds seeds until it is decided.
        max_seeds: Largest number of seeds; None for that of the file's looks.
        whole: Whether all runs of a seed are to be done, not some cells or some number of them.

    Raises:
        UserError: the options contradict each other or the file, or there is nothing to compare.
    """
    if not until_decided:
        if max_seeds is not None:
            raise UserError("--max-seeds goes with --until-decided; give both or neither.")
        return study
    if not whole:
        raise UserError("--until-decided adds whole seeds; leave out --only and --limit.")
    if "dense" not in study.cells or not any("." in cell for cell in study.cells):
        raise UserError(
            f"Study {study.name} compares no S-MoE network with dense, so that nothing would be "
            "decided; leave out --until-decided, or add such cells."
        )
    looks = _looks(study, max_seeds)
    return replace(study, verdict=study.verdict.model_copy(update={"looks": looks}))


def _looks(study: Study, max_seeds: int | None) -> tuple[int, ...]:
    """Return the looks of the study's file, else the schedule's."""
    declared = study.verdict.looks
    if declared and max_seeds in (None, declared[-1]):
        return declared
    if declared:
        raise UserError(
            f"Study {study.name} declares looks up to {declared[-1]} seeds; give --max-seeds "
            f"{declared[-1]} or leave it out."
        )
    if max_seeds is None or max_seeds < FIRST_LOOK:
        raise UserError(
            f"--until-decided wants --max-seeds of {FIRST_LOOK} or more, at which it stops "
            "whatever is decided."
        )
    return schedule(max_seeds)


def require_same_looks(kept: Kept, study: Study) -> None:
    """Refuse a study whose stored bundle was looked at otherwise than it declares.

    Raises:
        UserError: the bundle has other looks, or was judged without any.
    """
    if kept.study is None:
        return
    looks, seeds = stored_looks(kept.study), len(kept.study["study"]["seeds"])
    if looks == study.verdict.looks or (not looks and seeds < FIRST_LOOK):
        return
    if looks:
        raise UserError(
            f"{kept.folder} was begun with looks after {', '.join(map(str, looks))} seeds, whose "
            f"levels are spent; go on with --until-decided --max-seeds {looks[-1]}, or name "
            "another folder with --results."
        )
    raise UserError(
        f"{kept.folder} was begun with {seeds} seeds and without declared looks, so that its level "
        "is spent; leave out --until-decided, or name another folder with --results."
    )


def stored_looks(stored: dict[str, Any]) -> tuple[int, ...]:
    """Return the looks that a bundle's description declares."""
    return tuple((stored.get("verdict") or {}).get("looks", ()))


def run_until_decided(
    study: Study,
    results: Path,
    run: Callable[[Study], Outcome],
    undecided: Undecided,
    say: Callable[[str], object],
) -> Outcome:
    """Run a study look by look until all is decided, seeds or time are spent, or runs stopped.

    Args:
        study: With declared looks.
        results: Results folder.
        run: Runs what is missing of a study and stores its bundle.
        undecided: Names the undecided cells of a stored study.
        say: Is told what each look found.

    Raises:
        UserError: what `run` raises.
    """
    stored = look(results / study.name).study
    begun = len(stored["study"]["seeds"]) if stored else 0
    looks = [n for n in study.verdict.looks if n >= begun] or [study.verdict.looks[-1]]
    total = Outcome()
    for n_seeds in looks:
        outcome = run(replace(study, seeds=seeds_of(study.seeds, n_seeds)))
        total = _joined(total, outcome)
        if outcome.stopped:
            break
        left = undecided(results / study.name)
        if not left:
            say(f"After {n_seeds} seeds every comparison is decided.")
            break
        rest = "no seeds are left" if n_seeds == looks[-1] else "seeds are added"
        say(f"After {n_seeds} seeds {len(left)} comparisons are not decided; {rest}.")
    return total


def seeds_of(declared: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return so many seeds: the declared ones in their order, then the next free numbers."""
    free = (n for n in range(count + len(declared)) if n not in declared)
    return (*declared, *free)[:count]


def _joined(before: Outcome, now: Outcome) -> Outcome:
    """Join what became of two looks; what was done at the first one was not skipped at the next."""
    return Outcome(
        skipped=before.skipped if before.done else now.skipped,
        done=[*before.done, *now.done],
        failed=now.failed,
        stopped=now.stopped,
        set_aside=[*before.set_aside, *now.set_aside],
    )
