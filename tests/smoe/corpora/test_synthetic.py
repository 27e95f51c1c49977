"""The embedded corpus, its cache and the fixed test set."""

import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from smoe import config
from smoe.corpora import Corpus, open_corpus
from smoe.corpora.pool import FORMAT, KINDS, SPLITS, load
from smoe.corpora.synthetic import BABBLE_TALKERS, FULL, voice
from smoe.errors import UserError
from smoe.mixtures.mixing import BOTH, NOISE, REVERB, Mixture, MixtureSource
from smoe.mixtures.test_set import test_set as make_test_set
from smoe.synthesis.noises import FAMILIES


def test_every_kind_and_split_is_there_and_shares_no_group(tiny_corpus: Corpus) -> None:
    assert set(tiny_corpus.pools) == {(kind, split) for kind in KINDS for split in SPLITS}
    for kind in ("speech", "rir"):
        groups = [set(tiny_corpus.pools[kind, split].groups) for split in SPLITS]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    hashes = [digest for pool in tiny_corpus.pools.values() for digest in pool.hashes]
    assert len(set(hashes)) == len(hashes)


def test_noise_families_are_at_least_eight_and_differ(tiny_corpus: Corpus) -> None:
    pool = tiny_corpus.pools["noise", "test"]
    assert set(pool.groups) == {*FAMILIES, "babble"}
    assert len(FAMILIES) >= 8
    # Slope of the spectrum in dB per octave tells the colours apart: 0, -3 and -6.
    for family, slope_db in (("white", 0), ("pink", -3), ("brown", -6)):
        audio = pool.item(pool.groups.index(family)).astype(np.float64)
        power = np.abs(np.fft.rfft(audio)) ** 2
        octaves = [power[len(power) >> n + 1 : len(power) >> n].mean() for n in range(6)]
        assert np.mean(np.diff(10 * np.log10(octaves[::-1]))) == pytest.approx(slope_db, abs=0.7)


def test_the_full_corpus_has_voices_of_its_own_for_every_purpose() -> None:
    count = sum(FULL.voices) + 3 * BABBLE_TALKERS
    voices = [voice(number) for number in range(count)]
    assert sum(FULL.voices) >= 24
    assert len({v.espeak for v in voices}) == count
    assert len({v.language for v in voices[: FULL.voices[0]]}) >= 5


def test_speech_has_pauses_and_a_common_level(tiny_corpus: Corpus) -> None:
    pool = tiny_corpus.pools["speech", "train"]
    frames = pool.audio[: len(pool.audio) // 320 * 320].reshape(-1, 320)
    level_db = 10 * np.log10((frames.astype(np.float64) ** 2).mean(1) + 1e-12)
    assert 0.08 < np.mean(level_db < -60) < 0.4
    assert -28 < 10 * np.log10(np.mean(pool.audio.astype(np.float64) ** 2)) < -24


def test_preparing_twice_gives_the_same_bytes(tiny_corpus: Corpus, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    again = open_corpus("synthetic:tiny", tmp_path, lambda *state: seen.append(state))
    assert again.data_hash == tiny_corpus.data_hash
    for key, pool in tiny_corpus.pools.items():
        assert np.array_equal(pool.audio, again.pools[key].audio)
        assert pool.names == again.pools[key].names
    assert seen[-1][1] == seen[-1][2] == len(seen)
    assert [path.name.startswith(".") for path in tmp_path.iterdir()] == [False]


def test_a_prepared_corpus_is_reused(tiny_corpus: Corpus, corpus_cache: Path) -> None:
    def unexpected(*_state: object) -> None:
        raise AssertionError("prepared again")

    assert open_corpus("synthetic:tiny", corpus_cache, unexpected).data_hash


@pytest.mark.parametrize("damage", ["cut audio", "cut index", "no mark", "other format"])
def test_a_damaged_cache_is_not_taken_for_whole(
    damage: str, tiny_corpus: Corpus, corpus_cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(next(p for p in corpus_cache.iterdir() if p.is_dir()), folder)
    assert load(folder, "copy") is not None
    audio, index, mark = folder / "speech-train.f32", folder / "index.json", folder / "index.sha256"
    if damage == "cut audio":
        audio.write_bytes(audio.read_bytes()[:-4])
    elif damage == "cut index":
        index.write_bytes(index.read_bytes()[:-20])
    elif damage == "no mark":
        mark.unlink()
    else:
        mark.write_text(mark.read_text().replace(f"{FORMAT} ", "0 ", 1))
    assert load(folder, "copy") is None


FULL_DISK = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from smoe.corpora import open_corpus
from smoe.errors import UserError
from smoe.mixtures.mixing import BOTH, NOISE, REVERB, Mixture, MixtureSource
try:
    open_corpus(sys.argv[1], Path(sys.argv[2]))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limit here")
def test_a_write_that_fails_leaves_nothing_behind(small_tree: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", FULL_DISK, str(small_tree), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout
    assert list(cache.iterdir()) == []


def test_unknown_corpora_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"named sintetic; did you mean synthetic\?"):
        open_corpus("sintetic", tmp_path)
    with pytest.raises(UserError, match="no folder"):
        open_corpus("folders:/no/such/place", tmp_path)


CONFIG = config.TestSetConfig(crop_s=1.0, per_snr=4, clean=3, snrs_db=(-5.0, 0.0, 10.0))


def test_the_test_set_is_fixed_and_complete(tiny_corpus: Corpus) -> None:
    once, again = make_test_set(tiny_corpus, CONFIG), make_test_set(tiny_corpus, CONFIG)
    assert torch.equal(once.mixture.noisy, again.mixture.noisy)
    assert len(set(once.utterance)) == len(once.utterance) == 3 * 12 + 3
    assert once.utterance[3:6] == ["noise/snr-05/003", "noise/snr+00/000", "noise/snr+00/001"]
    assert [once.condition.count(c) for c in ("noise", "reverb", "both", "clean")] == [
        12,
        12,
        12,
        3,
    ]
    other = make_test_set(tiny_corpus, CONFIG.model_copy(update={"seed": 1}))
    assert not torch.equal(once.mixture.noisy, other.mixture.noisy)


def test_the_test_set_is_balanced(tiny_corpus: Corpus) -> None:
    made = make_test_set(tiny_corpus, CONFIG)
    condition = np.array(made.condition)
    both = condition == "both"
    rooms, counts = np.unique(made.mixture.rt60_s[torch.from_numpy(both)], return_counts=True)
    assert len(rooms) == 2
    assert abs(counts[0] - counts[1]) <= 1
    assert torch.equal(
        made.mixture.noisy[condition == "clean"], made.mixture.clean[condition == "clean"]
    )
    snr_db = made.mixture.snr_db.numpy()
    for level in CONFIG.snrs_db:
        for name in ("noise", "both"):
            rows = np.flatnonzero((condition == name) & (snr_db == level))
            assert len(rows) == CONFIG.per_snr
            for parts in (made.speaker, made.noise_type, made.room if name == "both" else None):
                there = (
                    np.unique([parts[row] for row in rows], return_counts=True)[1] if parts else []
                )
                assert not len(there) or there.max() - there.min() <= 1


def test_the_test_set_says_what_it_is_made_of(tiny_corpus: Corpus) -> None:
    """Speaker, noise and room of the test split; none where the condition has none."""
    made = make_test_set(tiny_corpus, CONFIG)
    speech, noise, rooms = (tiny_corpus.pools[kind, "test"] for kind in KINDS)
    types = dict(zip(noise.names, noise.groups, strict=True))
    rt60s_s = dict(zip(rooms.groups, rooms.rt60_s.tolist(), strict=True))
    for row, condition in enumerate(made.condition):
        assert made.speaker[row] in speech.groups
        if condition in ("noise", "both"):
            assert types[str(made.noise[row])] == made.noise_type[row]
        else:
            assert made.noise[row] is None and made.noise_type[row] is None
        if condition in ("reverb", "both"):
            measured = [
                t for g, t in zip(rooms.groups, rooms.rt60_s, strict=True) if g == made.room[row]
            ]
            assert made.room[row] in rt60s_s
            assert float(made.mixture.rt60_s[row]) in measured
        else:
            assert made.room[row] is None


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    target = reference * np.dot(estimate, reference) / np.dot(reference, reference)
    return 10 * np.log10(np.sum(target**2) / np.sum((estimate - target) ** 2))


def quality(made: Mixture) -> np.ndarray:
    """Mean PESQ-WB, STOI and SI-SDR of the unprocessed input."""
    from pesq import pesq
    from pystoi import stoi

    pairs = zip(made.noisy.double().numpy(), made.clean.double().numpy(), strict=True)
    rows = [(pesq(16_000, c, n, "wb"), stoi(c, n, 16_000), si_sdr_db(n, c)) for n, c in pairs]
    return np.mean(rows, axis=0)


def test_unprocessed_quality_rises_with_snr_and_falls_with_reverberation(
    tiny_corpus: Corpus,
) -> None:
    source = MixtureSource(tiny_corpus, "test", config.MixConfig(crop_s=2.0))
    recipe = source.recipe(seed=0, step=0, batch_size=12)  # the same ingredients every time

    def at(label: int, snr_db: float) -> np.ndarray:
        asked = replace(recipe, label=np.full(12, label), snr_db=np.full(12, snr_db))
        return quality(source.mix(asked))

    noise, both = ([at(label, snr_db) for snr_db in (-5, 5, 15)] for label in (NOISE, BOTH))
    reverb = at(REVERB, 0)
    assert (np.diff(noise, axis=0) > 0).all()
    assert (np.diff(both, axis=0)[:, 1:] > 0).all()
    assert (both[-1] < noise[-1]).all()
    assert (both[0] < reverb).all()


def test_unprocessed_quality_falls_with_reverberation_time(tiny_corpus: Corpus) -> None:
    source = MixtureSource(tiny_corpus, "test", config.MixConfig(crop_s=2.0))
    recipe = source.recipe(seed=0, step=0, batch_size=12)
    recipe = replace(recipe, label=np.full(12, REVERB), rir=np.zeros(12, dtype=np.int64))
    time_s = np.arange(24_000) / 16_000
    tail = np.random.default_rng(0).standard_normal(24_000)
    by_rt60 = []
    for rt60_s in (0.2, 0.5, 1.2):  # at one direct-to-reverberant ratio, 0 dB
        rir = tail * 10 ** (-3 * time_s / rt60_s)
        rir[:40] = 0
        rir = rir / np.linalg.norm(rir)
        rir[0] = 1
        source.rirs = torch.from_numpy(rir).float()[None]
        by_rt60.append(quality(source.mix(recipe)))
    assert (np.diff(by_rt60, axis=0)[:, :2] < 0).all()
