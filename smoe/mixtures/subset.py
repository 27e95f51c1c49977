"""The part of the test set that is scored under every counterfactual routing.

It is stratified: each SNR has the same share of it, and within an SNR each band of RT60. A rule
such as "every tenth utterance" can fall into step with the order of SNRs and take one of them only.
"""

from collections.abc import Sequence

from smoe.config import RT60_BANDS_S
from smoe.mixtures.test_set import TestSet

DISTORTED = ("noise", "reverb", "both")


def stratified_subset(test: TestSet, per_condition: int) -> list[int]:
    """Return the rows of a balanced subset, in the test set's order.

    Args:
        test: The test set.
        per_condition: Utterances of each distorted condition; all where it has fewer.

    Returns:
        Rows such that within a condition the counts of two SNRs differ by at most one, and within
        an SNR the counts of two bands of RT60, except where a stratum has no more utterances.
    """
    snrs_db = [_number(snr) for snr in test.mixture.snr_db.tolist()]
    bands = [rt60_band(rt60_s) for rt60_s in test.mixture.rt60_s.tolist()]
    chosen: list[int] = []
    for condition in DISTORTED:
        rows = [row for row, name in enumerate(test.condition) if name == condition]
        by_snr = _grouped(rows, snrs_db)
        for members, count in zip(by_snr, _shares(by_snr, per_condition), strict=True):
            by_band = _grouped(members, bands)
            for stratum, share in zip(by_band, _shares(by_band, count), strict=True):
                chosen += _spread(stratum, share)
    return sorted(chosen)


def rt60_band(rt60_s: float) -> int | None:
    """Return the number of the band in `RT60_BANDS_S` that a reverberation time in s lies in.

    None without reverberation (NaN).
    """
    found = (i for i, (low_s, high_s) in enumerate(RT60_BANDS_S) if low_s <= rt60_s < high_s)
    return next(found, None)


def _number(value: float) -> float | None:
    """Return a number, None for NaN, which equals nothing and so cannot be grouped by."""
    return value if value == value else None  # noqa: PLR0124


def _grouped(rows: list[int], keys: Sequence[float | None]) -> list[list[int]]:
    """Return the rows of each key, in the order in which keys first occur."""
    groups: dict[float | None, list[int]] = {}
    for row in rows:
        groups.setdefault(keys[row], []).append(row)
    return list(groups.values())


def _shares(groups: list[list[int]], count: int) -> list[int]:
    """Return how many to take of each group: alike, one more of the first, never more than it has.

    What a small group cannot give is taken from the others.
    """
    shares = [0] * len(groups)
    for _ in range(min(count, sum(map(len, groups)))):
        open_groups = [i for i, group in enumerate(groups) if shares[i] < len(group)]
        least = min(open_groups, key=lambda i: (shares[i], i))
        shares[least] += 1
    return shares


def _spread(rows: list[int], count: int) -> list[int]:
    """Return `count` of the rows, evenly spread."""
    return [rows[i * len(rows) // count] for i in range(count)]
