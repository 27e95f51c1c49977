"""What the suite relies on in a corpus, tried on the prepared one."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from smoe.corpora import open_corpus
from smoe.corpora.pool import KINDS, SPLITS, Corpus
from smoe.errors import UserError
from smoe.inspection.check import levels_dbfs

QUIETEST_DBFS = -80.0
NEEDED = ("train", "test")


def broken_corpus(spec: str, cache: Path) -> Iterator[str]:
    """Yield one sentence for each thing that a corpus lacks; nothing where all is well.

    Args:
        spec: As `open_corpus` takes it.
        cache: Where prepared corpora are kept.
    """
    try:
        corpus = open_corpus(spec, cache)
    except UserError as error:  # unreadable, or the guard found a leak
        yield str(error)
        return
    yield from broken_pools(corpus)


def broken_pools(corpus: Corpus) -> Iterator[str]:
    """Yield what a prepared corpus lacks: pools, walls between splits, usable levels."""
    for kind in KINDS:
        for split in NEEDED:
            if (kind, split) not in corpus.pools:
                yield f"{corpus.name} has no {kind} to {split} with: add some to that split."
    if "guard" not in corpus.remarks:
        yield f"{corpus.name} was not looked through for leakage: prepare it by open_corpus."
    yield from _shared(corpus)
    yield from _levels(corpus)


def _shared(corpus: Corpus) -> Iterator[str]:
    for kind in KINDS:
        for first, second in combinations(SPLITS, 2):
            one, other = corpus.pools.get((kind, first)), corpus.pools.get((kind, second))
            if one is None or other is None:
                continue
            both = set(one.hashes) & set(other.hashes)
            if kind != "noise":  # whose groups are types; its recordings are the unit
                both |= set(one.groups) & set(other.groups)
            if both:
                yield (
                    f"{corpus.name} has {kind} of {min(both)} in {first} and in {second}: keep it "
                    "in one split."
                )


def _levels(corpus: Corpus) -> Iterator[str]:
    for (kind, split), pool in corpus.pools.items():
        levels = levels_dbfs(pool)
        if (bad := np.flatnonzero(~np.isfinite(levels))).size:
            yield f"{pool.names[bad[0]]} ({kind}, {split}) is not finite: repair or remove it."
        elif kind != "rir" and (bad := np.flatnonzero(levels < QUIETEST_DBFS)).size:
            yield (
                f"{pool.names[bad[0]]} ({kind}, {split}) is silent ({levels[bad[0]]:.0f} dBFS): "
                "raise or remove it."
            )
