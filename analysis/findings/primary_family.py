"""The primary family: every S-MoE network against the dense one in the primary metric."""

from dataclasses import dataclass
from pathlib import Path

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_reported
from analysis.findings.compare import TOO_FEW_SEEDS, Comparison, differences_to, judge, noise_kinds


@dataclass(frozen=True)
class Judged:
    """An S-MoE cell and its difference to the dense network."""

    cell: str
    found: Comparison

    @property
    def verdict(self) -> str:
        """The verdict without "within margin"."""
        return self.found.verdict.split(",")[0]

    @property
    def effect(self) -> float:
        """The estimated difference."""
        return float(self.found.interval.estimate)


def primary_family(bundle: Bundle) -> list[Judged]:
    """Judge the family, with Holm over all of it; empty if there is nothing to compare."""
    cells = [c for c in bundle.cells() if "." in c]
    if not cells or not bundle.has(words.DENSE):
        return []
    pairs = differences_to(bundle, cells, [words.DENSE] * len(cells), bundle.primary)
    judged = judge(bundle, pairs, bundle.primary, kinds=noise_kinds(bundle, cells))
    return [Judged(c, j) for c, j in zip(cells, judged, strict=True) if j is not None]


def undecided_cells(folder: Path) -> list[str]:
    """Return the S-MoE cells of a stored study that are not yet decided against dense.

    The level is that of the look at its complete seeds; a cell without results is undecided.

    Raises:
        BundleError: the bundle is incomplete or inconsistent.
    """
    bundle = load_reported(folder)
    open_still = ("undecided", TOO_FEW_SEEDS)
    decided = {one.cell for one in primary_family(bundle) if one.verdict not in open_still}
    return [cell for cell in bundle.planned if "." in cell and cell not in decided]
