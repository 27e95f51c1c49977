"""Puts two bundles of one study together, as if all of their runs had been done in one place."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablations.bundles.replacing import FILES, copy_aside
from ablations.bundles.storing import claimed
from ablations.runs.run_folder import RUNS_FOLDER, prepare_results
from ablations.travel.mergeable import conflicts, require_one_origin, require_one_study
from ablations.travel.merged_study import merged_description
from ablations.travel.merged_tables import RUNS, in_study_order, merged_rows, merged_runs
from ablations.travel.part import Part, layers
from smoe.atomic import write_atomic
from smoe.errors import UserError
from smoe.schema.bundle import EXAMPLES
from smoe.schema.columns import TABLES
from smoe.schema.digests import OWN, with_digests

Keep = Literal["first", "second"]


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes:
        runs: Runs of the merged bundle.
        shared: Those that both parts had.
        contested: What both had with different results, and which were kept.
        aside: Where an earlier bundle of the folder was copied to; None if none was replaced.
    """

    runs: int
    shared: int
    contested: list[str]
    aside: Path | None


def kept_side(keep: str | None) -> Keep | None:
    """Return what `--keep` says.

    Raises:
        UserError: it says something else.
    """
    if keep not in ("first", "second", None):
        raise UserError(f'--keep takes first or second, not "{keep}".')
    return keep


def merge(
    first: Path, second: Path, folder: Path, *, keep: Keep | None = None, mixed: bool = False
) -> Merged:
    """Merge two bundles into a folder; each file is written whole or not at all.

    Args:
        first: Folder of a bundle.
        second: Folder of another one.
        folder: Where the merged bundle goes: a new folder, or that of one of the two.
        keep: Which one's results stand where both have a run with different ones.
        mixed: Whether they may be made by different commits or versions of packages.

    Raises:
        BundleError: one of them is incomplete or damaged.
        UserError: they are not parts of one study, contradict each other, or the folder holds
            something else.
    """
    parts = [Part.read(first), Part.read(second)]
    require_one_study(*parts)
    if not mixed:
        require_one_origin(*parts)
    contested = conflicts(*parts)
    if contested and keep is None:
        more = f" and {len(contested) - 1} more" if len(contested) > 1 else ""
        raise UserError(
            f"{first} and {second} have different results of {contested[0]}{more}; choose whose "
            "stand with --keep first or --keep second."
        )
    files = _merged_files(parts, keep or "first")
    aside = _store(files, folder, parts)
    known = [set(part.runs()) for part in parts]
    return Merged(len(known[0] | known[1]), len(known[0] & known[1]), contested, aside)


def _merged_files(parts: list[Part], keep: Keep) -> dict[str, bytes]:
    """Return the content of each file, `study.json` last."""
    described = merged_description(parts)
    order = in_study_order(parts, described["study"])
    by_rank = [1, 0] if keep == "first" else [0, 1]  # the later one stands
    owner = {run_id: place for place in by_rank for run_id in parts[place].runs()}
    files = {RUNS: merged_runs(parts, order, owner)}
    for name in TABLES:
        if name != RUNS:
            files[name] = merged_rows(parts, name, order, owner)
    if examples := _examples(parts, order):
        files[EXAMPLES] = examples
    files[OWN] = json.dumps(with_digests(described, files), indent=1).encode()
    return files


def _examples(parts: list[Part], order: list[str]) -> bytes | None:
    """The spectrograms that the undivided study would show: the first with the most layers."""
    known = [(part.example_run(), part) for part in parts]
    shown = [(run_id, part) for run_id, part in known if run_id is not None]
    if not shown:
        return next((part.examples for part in parts if part.examples), None)
    _, best = min(shown, key=lambda each: (-layers(each[1].runs()[each[0]]), order.index(each[0])))
    return best.examples


def _store(files: dict[str, bytes], folder: Path, parts: list[Part]) -> Path | None:
    """Write the files under the claim of the study's writers; return where an earlier one went."""
    prepare_results(folder.parent)
    with claimed(folder.parent / RUNS_FOLDER / f".bundle-{folder.name}", folder) as mine:
        aside = _make_way(files, folder, parts)
        for name, content in files.items():
            mine.require()
            write_atomic(folder / name, content)
    return aside


def _make_way(files: dict[str, bytes], folder: Path, parts: list[Part]) -> Path | None:
    """Copy a part aside that its merger replaces; refuse to replace anything else."""
    there = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    if not there or there == files:
        return None
    same = [part for part in parts if part.folder.resolve() == folder.resolve()]
    if not same:
        raise UserError(
            f"{folder} holds another bundle, which is not replaced; give the merged one another "
            "name with --into, or merge with that one as well."
        )
    same[0].require_unchanged()
    return copy_aside(folder)
