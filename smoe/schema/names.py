"""Lists names that exist, as a sentence wants them, and refuses those that do not."""

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path

from smoe.schema.bundle import describe_bundle, read_runs
from smoe.schema.cells import UNPROCESSED, is_outside
from smoe.schema.digests import OWN
from smoe.schema.errors import BundleError
from smoe.schema.text import plain


def study_names(results: Path) -> str:
    """Return a part of a sentence that names the studies that a results folder has bundles of."""
    found = sorted(path.parent.name for path in results.glob(f"*/{OWN}"))
    return f"there are {plain(', '.join(found))}" if found else "there are none"


def options_of(study: str, results: Path) -> str:
    """Return the options that name a study and a results folder, as a command line wants them."""
    elsewhere = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    return f"--study {shlex.quote(study)}{elsewhere}"


def require_stored(results: Path, study: str) -> None:
    """Refuse a study that a results folder has no bundle of.

    Raises:
        BundleError: it has none; the sentence names those that there are.
    """
    if not (results / study / OWN).is_file():
        raise BundleError(
            f"There are no results in {results / study}; {study_names(results)}. "
            "Name one of them with --study, or run the study first."
        )


def require_cell(results: Path, study: str, cell: str) -> None:
    """Refuse a cell that a stored study has not; its tables are not looked at.

    Raises:
        BundleError: it has not; the sentence offers the nearest, and names all.
    """
    require_stored(results, study)
    cells = [*describe_bundle(results / study)["study"]["cells"], UNPROCESSED]
    if is_outside(cell):  # of these, only the runs know
        cells += read_runs(results / study)["cell"].unique().tolist()
    if cell not in cells:
        raise BundleError(no_such_cell(study, cell, cells))


def no_such_cell(study: str, cell: str, cells: Iterable[str]) -> str:
    """Return a sentence that offers the nearest of a study's cells, and names all of them."""
    known = sorted(set(cells))
    near = [name for name in known if name.split(".")[0] == cell.upper()]
    near = near or difflib.get_close_matches(cell, known, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"? It' if near else "it"
    return f'{study} has no cell "{plain(cell)}"; {hint} has {cell_names(known)}.'


def cell_names(cells: Iterable[str]) -> str:
    """Return a list of cell codes, those that differ in their placement alone as one entry.

    Example: `dense; EMBDL, E---- with .multi.supervised.global`.
    """
    placements: dict[str, list[str]] = {}
    for cell in sorted(set(cells)):
        placement, dot, axes = plain(cell).partition(".")
        placements.setdefault(dot + axes, []).append(placement)
    plainly = placements.pop("", [])
    shared = {axes: found for axes, found in placements.items() if len(found) > 1}
    plainly += [f"{found[0]}{axes}" for axes, found in placements.items() if axes not in shared]
    listed = [f"{', '.join(found)} with {axes}" for axes, found in shared.items()]
    return "; ".join([*([", ".join(plainly)] if plainly else []), *listed])


def seed_names(seeds: Iterable[int]) -> str:
    """Return a list of seeds, such as `0, 1, 2`."""
    return ", ".join(str(seed) for seed in sorted(set(seeds)))
