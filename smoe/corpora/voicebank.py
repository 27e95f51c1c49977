"""The gate of VoiceBank-DEMAND: nothing trains on it unless its test set is the published one.

The field compares itself on 824 pairs of recordings whose noisy side scores PESQ-WB 1.97 and STOI
0.921. Copies of the corpus that were resampled, cut or mislabelled, and other flavours of the
metrics, score differently, and their results cannot stand beside published ones.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import cast

import numpy as np
import pesq
from joblib import Parallel, delayed

from smoe.config import SAMPLE_RATE
from smoe.corpora.pool import PAIRED, Recording, Refused
from smoe.errors import UserError
from smoe.metrics import MetricError, estoi, pesq_wb, stoi

Progress = Callable[[str, int, int], None]
CLEAN_TEST, NOISY_TEST = "clean_testset_wav", "noisy_testset_wav"
PAIRS, SECONDS = 824, 2073.0
PESQ_WB, PESQ_TOLERANCE = 1.97, 0.02
STOI, STOI_TOLERANCE = 0.921, 0.005
NARROWBAND_DB = -50.0  # share of the power above 4 kHz in what was once sampled at 8 kHz


@dataclass(frozen=True)
class Measured:
    """What a test set turns out to be; scores are means of the noisy side over all pairs.

    Attributes:
        seconds: All pairs together, one side.
        above_4khz_db: Share of the noisy power above 4 kHz, in dB.
        pesq_wb: What the suite reports as PESQ-WB.
        stoi: What the suite reports as STOI.
        pesq_nb: Narrowband PESQ (P.862.1), to recognise it by.
        estoi: Extended STOI, to recognise it by.
    """

    seconds: float
    above_4khz_db: float
    pesq_wb: float
    stoi: float
    pesq_nb: float
    estoi: float


def verdict(measured: Measured) -> str | None:
    """What a test set of 824 pairs looks like, or None where it is the published one."""
    pesq_fits = abs(measured.pesq_wb - PESQ_WB) <= PESQ_TOLERANCE
    stoi_fits = abs(measured.stoi - STOI) <= STOI_TOLERANCE
    if pesq_fits and stoi_fits:
        return None
    ratio = measured.seconds / SECONDS
    pesq_is_nb = abs(measured.pesq_wb - measured.pesq_nb) <= PESQ_TOLERANCE
    stoi_is_estoi = abs(measured.stoi - measured.estoi) <= STOI_TOLERANCE
    causes = {
        f"it lasts {ratio:.2f} times as long: the files claim a wrong sample rate": (
            abs(ratio - 1) > 0.02
        ),
        "it holds nothing above 4 kHz: it was once resampled to 8 kHz": (
            measured.above_4khz_db < NARROWBAND_DB
        ),
        f"{NOISY_TEST} holds the clean recordings": measured.pesq_wb > 4.5,
        "that is narrowband PESQ, not wideband": not pesq_fits and pesq_is_nb,
        "that is ESTOI, not STOI": not stoi_fits and stoi_is_estoi,
        "it is another mixture of speech and noise": True,
    }
    return (
        f"its noisy side scores PESQ-WB {measured.pesq_wb:.2f} and STOI {measured.stoi:.3f} where "
        f"{PESQ_WB} and {STOI} are published; {next(c for c, holds in causes.items() if holds)}"
    )


def gated(
    recordings: Iterable[Recording | Refused], jobs: int, progress: Progress
) -> Iterator[Recording | Refused]:
    """Pass recordings through; where VoiceBank-DEMAND is among them, stop at the end if it is not.

    Args:
        recordings: Of a whole corpus.
        jobs: Processes that compute the scores.
        progress: Called with what is being done, how much is done, and of how much.

    Raises:
        UserError: Says what the test set looks like instead.
    """
    clean: dict[str, np.ndarray] = {}
    noisy: dict[str, np.ndarray] = {}
    for each in recordings:
        if isinstance(each, Recording):
            side = noisy if each.kind == PAIRED else clean if CLEAN_TEST in each.name else None
            if side is not None:
                side[each.name] = each.audio
        yield each
    if not clean and not noisy:
        return
    looks_like = _count(clean, noisy) or verdict(_measure(clean, noisy, jobs, progress))
    if looks_like:
        raise UserError(
            f"This is not the published test set of VoiceBank-DEMAND: {looks_like}. Get "
            "clean_testset_wav and noisy_testset_wav from https://doi.org/10.7488/ds/2117 anew."
        )


def clean_name(noisy_name: str) -> str:
    """Name of the clean partner of a noisy test recording."""
    return noisy_name.replace(NOISY_TEST, CLEAN_TEST)


def _count(clean: dict[str, np.ndarray], noisy: dict[str, np.ndarray]) -> str | None:
    """What is wrong with the number of files and their lengths, or None."""
    pairs = [name for name in noisy if clean_name(name) in clean]
    if not len(pairs) == len(noisy) == len(clean) == PAIRS:
        return (
            f"it holds {len(clean)} clean and {len(noisy)} noisy files, {len(pairs)} of them in "
            f"pairs of one name, where {PAIRS} pairs are expected"
        )
    for name in pairs:
        if len(noisy[name]) != len(clean[clean_name(name)]):
            return f"{name} is not as long as its clean partner"
    return None


def _measure(
    clean: dict[str, np.ndarray], noisy: dict[str, np.ndarray], jobs: int, progress: Progress
) -> Measured:
    scoring = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_scores)(name, clean[clean_name(name)], noisy[name]) for name in noisy
    )
    rows = []
    for row in cast(Iterator[tuple[float, ...]], scoring):
        rows.append(row)
        progress("scoring the published test set", len(rows), len(noisy))
    means = [fmean(column) for column in zip(*rows, strict=True)]
    return Measured(len(rows) * means[0], 10 * np.log10(means[1] / means[2]), *means[3:])


def _scores(name: str, clean: np.ndarray, noisy: np.ndarray) -> tuple[float, ...]:
    """Seconds, power above 4 kHz, power, PESQ-WB, STOI, PESQ-NB and ESTOI of one pair."""
    power = np.abs(np.fft.rfft(noisy)) ** 2 / len(noisy) ** 2
    above = np.fft.rfftfreq(len(noisy), 1 / SAMPLE_RATE) > 4000
    pair = {"reference": clean, "estimate": noisy}
    try:
        scores = pesq_wb(**pair), stoi(**pair), pesq.pesq(SAMPLE_RATE, clean, noisy, "nb")
    except MetricError as error:
        raise UserError(f"{name} cannot be scored ({error}); get the corpus anew.") from error
    wideband, intelligibility, narrowband = scores
    return (
        len(noisy) / SAMPLE_RATE, float(power[above].sum()), float(power.sum()),
        wideband, intelligibility, float(narrowband), estoi(**pair),
    )  # fmt: skip
