"""`data check`: what a prepared corpus holds, as text."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from smoe.config import SAMPLE_RATE, TestSetConfig
from smoe.corpora.pool import KINDS, PAIRED, SPLITS, Corpus, Pool
from smoe.corpora.spec import printable

BLOCK = 1 << 20  # samples
GROUP_NAMES = {"speech": "speakers", "noisy": "speakers", "noise": "types", "rir": "rooms"}


def check(corpus: Corpus, *, metrics_jobs: int = 0) -> str:
    """Totals, levels, clipping, duplicates, reverberation and refused files, as lines of text.

    Args:
        corpus: Prepared; the leakage guard has run at preparation, so that a corpus that exists
            has passed it.
        metrics_jobs: Worker processes that score the unprocessed test set, which is then shown by
            condition, SNR and reverberation time; 0 to leave it out.
    """
    lines = [f"Corpus {corpus.name}", f"data hash {corpus.data_hash}", ""]
    lines += _table(list(_rows(corpus)))
    lines += ["", *_responses(corpus), *_duplicates(corpus)]
    lines += [f"note: {note}" for note in corpus.notes]
    lines.append(f"refused files: {len(corpus.refused) or 'none'}")
    lines += [f"  {each.name} {each.reason}" for each in corpus.refused]
    lines += [f"note: {line}" for line in corpus.remarks.get("unlisted", "").split("\n") if line]
    if metrics_jobs:
        lines += ["", *_unprocessed(corpus, metrics_jobs), ""]
    lines.append(corpus.remarks.get("guard", "leakage: not looked for"))
    return "\n".join(printable(line) for line in lines)


def _unprocessed(corpus: Corpus, jobs: int) -> list[str]:
    from smoe.inspection.unprocessed import quality_rows, unprocessed_quality  # scoring needs torch

    parts = unprocessed_quality(corpus, TestSetConfig(), jobs)
    return ["unprocessed test set:", *_table(list(quality_rows(parts)))]


def _rows(corpus: Corpus) -> Iterator[tuple[str, ...]]:
    yield ("kind", "split", "files", "minutes", "groups", "seconds", "level dBFS", "clipped files")
    for kind in (*KINDS, PAIRED):
        for split in SPLITS:
            pool = corpus.pools.get((kind, split))
            if pool is None:
                continue
            seconds = pool.lengths / SAMPLE_RATE
            levels = levels_dbfs(pool)
            yield (
                kind,
                split,
                str(len(pool.names)),
                f"{seconds.sum() / 60:.1f}",
                f"{len(set(pool.groups))} {GROUP_NAMES[kind]}",
                f"{seconds.min():.1f} to {seconds.max():.1f}",
                "" if kind == "rir" else f"{levels.min():.0f} to {levels.max():.0f}",
                "" if kind == "rir" else str(int((pool.clipped > 1e-4).sum())),
            )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]


def levels_dbfs(pool: Pool) -> np.ndarray:
    """RMS level of each recording in dB of full scale, [items]."""
    power = np.array([_power(pool.item(i)) for i in range(len(pool.names))])
    return 10 * np.log10(np.maximum(power, 1e-12))


def _power(audio: np.ndarray) -> float:
    """Mean square, summed block by block: a recording may last for hours."""
    blocks = range(0, len(audio), BLOCK)
    squares = (np.square(audio[i : i + BLOCK], dtype=np.float64).sum() for i in blocks)
    return float(sum(squares)) / len(audio)


def _responses(corpus: Corpus) -> Iterator[str]:
    for split in SPLITS:
        pool = corpus.pools.get(("rir", split))
        if pool is not None:
            rt60_s, drr_db = pool.rt60_s, pool.drr_db
            yield (
                f"rir {split}: T60 {rt60_s.min():.2f} to {rt60_s.max():.2f} s "
                f"(median {np.median(rt60_s):.2f}), "
                f"DRR {np.nanmin(drr_db):.1f} to {np.nanmax(drr_db):.1f} dB "
                f"(median {np.nanmedian(drr_db):.1f})"
            )


def _duplicates(corpus: Corpus) -> Iterator[str]:
    names: dict[str, str] = {}
    copies: Counter[str] = Counter()
    for pool in corpus.pools.values():
        for name, digest in zip(pool.names, pool.hashes, strict=True):
            if digest in names:
                copies[f"{name} = {names[digest]}"] += 1
            names.setdefault(digest, name)
    yield f"duplicates within a split: {len(copies) or 'none'}"
    yield from (f"  {pair}" for pair in copies)
