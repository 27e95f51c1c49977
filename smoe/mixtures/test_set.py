"""The fixed test set: a function of the corpus and its settings alone, balanced by design.

Where a corpus brings a published test set (see `voicebank`), its pairs are the condition "noise",
as they are; the other conditions are mixed as ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import torch

from smoe.config import MixConfig, TestSetConfig
from smoe.corpora.pool import PAIRED, Corpus
from smoe.corpora.voicebank import clean_name
from smoe.mixtures.mixing import (
    BOTH,
    CANDIDATES,
    CLEAN,
    NOISE,
    REVERB,
    Mixture,
    MixtureSource,
    Recipe,
)
from smoe.mixtures.mixing import snr_db as measured_snr_db

LEVEL_DBFS = -25.0
CONDITIONS = {"noise": NOISE, "reverb": REVERB, "both": BOTH, "clean": CLEAN}


@dataclass(frozen=True)
class TestSet:
    """Test mixtures, with their names and what they were made of.

    Attributes:
        mixture: All of them as one batch. Shorter ones are repeated up to the longest, so that
            what a network averages over time is not thinned by silence.
        utterance: Unique names such as "noise/snr-05/003", "reverb/017" or "noise/p232_001".
        condition: "noise", "reverb", "both" or "clean".
        samples: Own length of each, which alone is scored.
        speaker: Who speaks.
        noise: Name of the noise recording; None without noise, or where the corpus does not say.
        noise_type: Its type; None likewise.
        room: The room; None without reverberation.
    """

    __test__ = False  # not a test case of pytest's

    mixture: Mixture
    utterance: list[str]
    condition: list[str]
    samples: list[int]
    speaker: list[str]
    noise: list[str | None]
    noise_type: list[str | None]
    room: list[str | None]


def test_set(corpus: Corpus, config: TestSetConfig) -> TestSet:
    """Mix the test set from the test split.

    Within each condition, and as far as its size allows at each SNR, speakers, types of noise and
    rooms come up equally often, each in a new order every round.

    Args:
        corpus: Prepared corpus.
        config: How many of what.

    Raises:
        UserError: The corpus lacks a kind in its test split.
    """
    source = MixtureSource(corpus, "test", MixConfig(crop_s=config.crop_s))
    published = (PAIRED, "test") in corpus.pools
    slots = [slot for slot in _slots(config) if not (published and slot[1] == "noise")]
    names, conditions = [name for name, _, _ in slots], [condition for _, condition, _ in slots]
    rng = np.random.default_rng(config.seed)
    speaker = _dealt(source.speech.groups, conditions, rng)
    noise = _dealt(source.noise.groups, conditions, rng)
    rir = _dealt(source.rooms.groups, conditions, rng)
    recipe = Recipe(
        speech_start=source.pick_speech(speaker, rng.random((len(slots), CANDIDATES))),
        noise_start=source.pick_noise(noise, rng.random((len(slots), CANDIDATES))),
        rir=rir,
        label=np.array([CONDITIONS[condition] for condition in conditions]),
        snr_db=np.array([snr for _, _, snr in slots]),
        level_dbfs=np.full(len(slots), LEVEL_DBFS),
    )
    noisy, reverberant = _having(conditions, NOISE), _having(conditions, REVERB)
    mixed = TestSet(
        mixture=_mixed(source, recipe),
        utterance=names,
        condition=conditions,
        samples=[source.crop] * len(names),
        speaker=[source.speech.groups[i] for i in speaker],
        noise=_where(noisy, corpus.pools["noise", "test"].names, noise),
        noise_type=_where(noisy, source.noise.groups, noise),
        room=_where(reverberant, source.rooms.groups, rir),
    )
    return _with_published(corpus, mixed) if published else mixed


test_set.__test__ = False  # type: ignore[attr-defined]


def _mixed(source: MixtureSource, recipe: Recipe) -> Mixture:
    """Mix a few at a time, which needs a fraction of the memory and a quarter of the time."""
    ingredients = [
        np.array_split(column, -(-len(column) // 32)) for column in vars(recipe).values()
    ]
    parts = [vars(source.mix(Recipe(*part))).values() for part in zip(*ingredients, strict=True)]
    return Mixture(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _with_published(corpus: Corpus, mixed: TestSet) -> TestSet:
    """The published pairs, with their SNR as measured here to the nearest dB, then the mixtures."""
    noisy_pool, clean_pool = corpus.pools[PAIRED, "test"], corpus.pools["speech", "test"]
    clean_index = {name: i for i, name in enumerate(clean_pool.names)}
    noisy = [torch.tensor(noisy_pool.item(i)) for i in range(len(noisy_pool.names))]
    clean = [torch.tensor(clean_pool.item(clean_index[clean_name(n)])) for n in noisy_pool.names]
    snrs_db = [
        measured_snr_db(speech=c[None], noise=(n - c)[None]).round()
        for n, c in zip(noisy, clean, strict=True)
    ]
    samples = noisy_pool.lengths.tolist() + mixed.samples
    mixture = Mixture(
        noisy=_repeated([*noisy, *mixed.mixture.noisy], max(samples)),
        clean=_repeated([*clean, *mixed.mixture.clean], max(samples)),
        label=torch.cat([torch.full((len(noisy),), NOISE), mixed.mixture.label]),
        snr_db=torch.cat([*snrs_db, mixed.mixture.snr_db]),
        rt60_s=torch.cat([torch.full((len(noisy),), float("nan")), mixed.mixture.rt60_s]),
    )
    names = [f"noise/{PurePosixPath(name).stem}" for name in noisy_pool.names]
    speakers = [clean_pool.groups[clean_index[clean_name(n)]] for n in noisy_pool.names]
    unknown: list[str | None] = [None] * len(names)
    return TestSet(
        mixture=mixture,
        utterance=names + mixed.utterance,
        condition=["noise"] * len(names) + mixed.condition,
        samples=samples,
        speaker=speakers + mixed.speaker,
        noise=unknown + mixed.noise,
        noise_type=unknown + mixed.noise_type,
        room=unknown + mixed.room,
    )


def _repeated(waves: list[torch.Tensor], samples: int) -> torch.Tensor:
    rows = torch.empty(len(waves), samples)
    for row, wave in zip(rows, waves, strict=True):
        row[:] = wave.repeat(-(-samples // len(wave)))[:samples]
    return rows


def _slots(config: TestSetConfig) -> list[tuple[str, str, float]]:
    """Return name, condition and SNR of every test utterance, by condition, then by SNR."""
    noisy = [(i, snr) for snr in config.snrs_db for i in range(config.per_snr)]
    slots = [(f"noise/snr{snr:+03g}/{i:03d}", "noise", snr) for i, snr in noisy]
    slots += [(f"reverb/{i:03d}", "reverb", 0.0) for i in range(len(noisy))]
    slots += [(f"both/snr{snr:+03g}/{i:03d}", "both", snr) for i, snr in noisy]
    return slots + [(f"clean/{i:03d}", "clean", 0.0) for i in range(config.clean)]


def _having(conditions: list[str], kind: int) -> list[bool]:
    """Return for each condition whether it has a kind of distortion, alone or with the other."""
    return [CONDITIONS[condition] in (kind, BOTH) for condition in conditions]


def _where(present: list[bool], names: list[str], index: np.ndarray) -> list[str | None]:
    """Return the names of those that are present, else None."""
    return [names[i] if there else None for there, i in zip(present, index, strict=True)]


def _dealt(groups: list[str], conditions: list[str], rng: np.random.Generator) -> np.ndarray:
    """Return an item for each slot: within a condition groups, and their items, equally often."""
    sizes = [conditions.count(condition) for condition in CONDITIONS]
    return np.concatenate([_members(groups, size, rng) for size in sizes if size])


def _balanced(choices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return every choice once, in random order, again and again, [count]."""
    rounds = -(-count // len(choices))
    return np.concatenate([rng.permutation(choices) for _ in range(rounds)])[:count]


def _members(groups: list[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return items [count] such that groups come up equally often, and so do items within one."""
    turns: dict[str, Iterator[int]] = {}
    names = np.array(groups)
    for group in dict.fromkeys(groups):
        turns[group] = iter(_balanced(np.flatnonzero(names == group), count, rng))
    order = _balanced(np.array(list(turns)), count, rng)
    return np.array([next(turns[group]) for group in order], dtype=np.int64)
