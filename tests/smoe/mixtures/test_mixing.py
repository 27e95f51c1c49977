"""Mixing against its definition, recomputed with NumPy and SciPy."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from smoe.config import SAMPLE_RATE, MixConfig
from smoe.corpora import Corpus
from smoe.corpora.pool import Pool
from smoe.errors import UserError
from smoe.mixtures.mixing import (
    BOTH,
    CLEAN,
    FRAME,
    NOISE,
    REVERB,
    MixtureSource,
    Recipe,
    active_frames,
    convolve,
    mix,
)
from smoe.mixtures.tracks import looped, noise_track, speech_track

N = 16_000
seeds = st.integers(0, 2**32 - 1)


def talk(seed: int, samples: int = N) -> np.ndarray:
    """Bursts of noise with silence between them, like words and pauses."""
    rng = np.random.default_rng(seed)
    words = np.repeat(rng.random(samples // 1000 + 1) > 0.4, 1000)[:samples]
    words[:1000] = True
    return (rng.standard_normal(samples) * words * 10 ** rng.uniform(-2, 0)).astype(np.float32)


def room(seed: int, samples: int = 4000) -> np.ndarray:
    """A direct path of 1 and a decaying tail."""
    rng = np.random.default_rng(seed)
    tail = rng.standard_normal(samples) * np.exp(-6.9 * np.arange(samples) / samples)
    rir = (tail * 10 ** rng.uniform(-2, -1)).astype(np.float32)
    rir[0] = 1.0
    return rir


def reference_snr_db(speech: np.ndarray, noise: np.ndarray) -> float:
    """The definition in plain NumPy: 20 ms frames within 35 dB of the loudest."""
    frames = speech[: len(speech) // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)
    power = (frames**2).mean(1)
    active = power >= power.max() * 10**-3.5
    return 10 * np.log10(power[active].mean() / np.mean(noise.astype(np.float64) ** 2))


def mixed(seed: int, label: int, snr_db: float = 5.0, level_dbfs: float = -25.0):
    rng = np.random.default_rng(seed)
    speech, rir = talk(seed), room(seed)
    noise = rng.standard_normal(N).astype(np.float32) * 10 ** rng.uniform(-4, 0)
    noisy, clean = mix(
        speech=torch.from_numpy(speech)[None],
        noise=torch.from_numpy(noise.astype(np.float32))[None],
        rir=torch.from_numpy(rir)[None],
        label=torch.tensor([label]),
        snr_db=torch.tensor([snr_db], dtype=torch.float32),
        level_dbfs=torch.tensor([level_dbfs], dtype=torch.float32),
    )
    return speech, noise, rir, noisy[0].numpy(), clean[0].numpy()


@given(seed=seeds, snr_db=st.floats(-20, 40), label=st.sampled_from([NOISE, BOTH]))
@settings(max_examples=40, deadline=None)
def test_measured_snr_equals_requested(seed: int, snr_db: float, label: int) -> None:
    speech, noise, rir, noisy, clean = mixed(seed, label, snr_db)
    heard = signal.fftconvolve(speech, rir)[:N] if label == BOTH else speech
    target = signal.fftconvolve(speech, rir[:40])[:N] if label == BOTH else speech
    gain = np.dot(clean, target) / np.dot(target, target)
    assert abs(reference_snr_db(gain * heard, noisy - gain * heard) - snr_db) < 0.05
    # What was added is the noise itself, in its own shape.
    added = noisy - gain * heard
    assert np.dot(added, noise) / np.linalg.norm(added) / np.linalg.norm(noise) > 0.99


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_each_label_means_its_distortion(seed: int) -> None:
    speech, _, rir, noisy, clean = mixed(seed, CLEAN)
    assert np.array_equal(noisy, clean)
    assert np.allclose(clean / np.linalg.norm(clean), speech / np.linalg.norm(speech), atol=1e-5)

    *_, noisy, clean = mixed(seed, NOISE)
    assert np.allclose(clean / np.linalg.norm(clean), speech / np.linalg.norm(speech), atol=1e-5)
    assert not np.allclose(noisy, clean)

    *_, noisy, clean = mixed(seed, REVERB)
    heard = signal.fftconvolve(speech, rir)[:N]
    dry = signal.fftconvolve(speech, rir[:40])[:N]
    gain = np.linalg.norm(clean) / np.linalg.norm(dry)
    assert np.allclose(clean, gain * dry, atol=1e-4)
    assert np.allclose(noisy, gain * heard, atol=1e-4)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_target_is_aligned_with_the_direct_path(seed: int) -> None:
    _, _, _, noisy, clean = mixed(seed, REVERB)
    lags = signal.correlation_lags(N, N)
    assert abs(lags[np.argmax(signal.correlate(noisy, clean, method="fft"))]) <= 1


@given(seed=seeds, level_dbfs=st.floats(-60, 0), label=st.sampled_from([NOISE, REVERB, BOTH]))
@settings(max_examples=30, deadline=None)
def test_level_is_as_asked_and_never_clips(seed: int, level_dbfs: float, label: int) -> None:
    *_, noisy, clean = mixed(seed, label, level_dbfs=level_dbfs)
    peak = max(np.abs(noisy).max(), np.abs(clean).max())
    active = active_frames(torch.from_numpy(clean)[None])[0].numpy()
    frames = noisy[: N // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)[active]
    measured_dbfs = 10 * np.log10(np.mean(frames**2))
    assert peak <= 0.99 * (1 + 1e-5)
    assert abs(measured_dbfs - level_dbfs) < 0.05 or (measured_dbfs < level_dbfs and peak > 0.989)


def test_convolution_cuts_a_response_longer_than_the_crop() -> None:
    speech, rir = talk(1, 2000), room(1, 5000)
    reverberant, _ = convolve(torch.from_numpy(speech)[None], torch.from_numpy(rir)[None])
    assert np.allclose(reverberant[0], signal.fftconvolve(speech, rir)[:2000], atol=1e-4)


def test_silence_stays_finite() -> None:
    silent = torch.zeros(1, N)
    noisy, clean = mix(
        speech=silent,
        noise=silent,
        rir=torch.from_numpy(room(0))[None],
        label=torch.tensor([BOTH]),
        snr_db=torch.tensor([5.0]),
        level_dbfs=torch.tensor([-25.0]),
    )
    assert torch.isfinite(noisy).all()
    assert torch.isfinite(clean).all()


@pytest.fixture(scope="module")
def source(tiny_corpus: Corpus) -> MixtureSource:
    return MixtureSource(tiny_corpus, "train", MixConfig(crop_s=1.0))


def test_a_mixture_does_not_depend_on_its_neighbours(source: MixtureSource) -> None:
    recipe = source.recipe(seed=3, step=5, batch_size=12)
    whole = source.mix(recipe)
    for i in range(12):
        alone = source.mix(Recipe(*(column[i : i + 1] for column in vars(recipe).values())))
        # The order of summation within a row may differ: 1e-6 of full scale is float32 rounding.
        assert torch.allclose(alone.noisy[0], whole.noisy[i], rtol=0, atol=1e-6)
        assert torch.allclose(alone.clean[0], whole.clean[i], rtol=0, atol=1e-6)


def test_a_batch_is_a_function_of_seed_and_step(source: MixtureSource) -> None:
    once, again = (source.batch(seed=1, step=7, batch_size=8) for _ in range(2))
    larger = source.batch(seed=1, step=7, batch_size=20)
    assert torch.equal(once.noisy, again.noisy)
    assert torch.allclose(once.noisy, larger.noisy[:8], rtol=0, atol=1e-6)  # as above
    for seed, step in ((1, 8), (2, 7)):
        assert not torch.equal(once.noisy, source.batch(seed=seed, step=step, batch_size=8).noisy)


def test_draws_are_uniform_over_labels_and_ranges(source: MixtureSource) -> None:
    recipes = [source.recipe(seed=0, step=step, batch_size=100) for step in range(60)]
    label = np.concatenate([recipe.label for recipe in recipes])
    counts = np.bincount(label, minlength=3)
    assert ((counts - 2000) ** 2 / 2000).sum() < 13.8  # chi square, 2 degrees of freedom, 0.1 %
    snr_db = np.concatenate([recipe.snr_db for recipe in recipes])
    assert -5 <= snr_db.min() < -4.8
    assert 14.8 < snr_db.max() <= 15
    assert set(np.concatenate([r.rir for r in recipes])) == set(range(len(source.rirs)))


def test_columns_are_missing_where_they_mean_nothing(source: MixtureSource) -> None:
    batch = source.batch(seed=0, step=0, batch_size=30)
    assert torch.equal(batch.snr_db.isnan(), batch.label == REVERB)
    assert torch.equal(batch.rt60_s.isnan(), batch.label == NOISE)


def pool(recordings: list[tuple[str, np.ndarray]]) -> Pool:
    """A pool in memory from (group, samples)."""
    lengths = np.array([len(audio) for _, audio in recordings])
    return Pool(
        audio=np.concatenate([audio for _, audio in recordings]).astype(np.float32),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        names=[str(i) for i in range(len(recordings))],
        groups=[group for group, _ in recordings],
        rt60_s=np.full(len(recordings), np.nan, np.float32),
        drr_db=np.full(len(recordings), np.nan, np.float32),
        clipped=np.zeros(len(recordings), np.float32),
        hashes=[""] * len(recordings),
    )


def test_utterances_of_a_speaker_run_on_and_short_ones_are_padded() -> None:
    one, two, short = np.full(600, 0.1), np.full(700, 0.2), np.full(300, 0.3)
    track = speech_track(pool([("a", one), ("b", short), ("a", two)]), 1000, "cpu")
    assert track.groups == ["a", "b"]
    assert track.lengths.tolist() == [1300, 1000]
    expected = np.concatenate([one, two, short, np.zeros(700)])
    assert np.array_equal(track.audio.numpy(), expected.astype(np.float32))


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_crops_hold_speech(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mostly_silent = np.zeros(20 * N)
    for start in (2 * N, 9 * N, 15 * N):
        mostly_silent[start : start + N] = rng.standard_normal(N)
    track = speech_track(pool([("a", mostly_silent)]), N, "cpu")
    positions = rng.random((50, 64))
    start = track.pick(np.zeros(50, dtype=np.int64), positions, N, share=0.4)
    active = (track.crops(start, N) != 0).float().mean(1)
    assert active.min() > 0.3


def test_short_noise_is_looped_without_gap_or_click() -> None:
    time_s = np.arange(5000) / SAMPLE_RATE
    hum = np.sin(2 * np.pi * 100 * time_s)  # 5000 samples are not whole periods
    loop = looped(hum, 12_000)
    assert len(loop) >= 12_000 + 5000 - FRAME
    assert np.abs(np.diff(loop)).max() < 2.5 * np.abs(np.diff(hum)).max()
    power = (loop[: len(loop) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(1)
    assert power.min() > 0.1
    track = noise_track(pool([("hum", hum)]), 12_000, "cpu")
    assert np.allclose(track.audio.numpy(), loop, atol=1e-6)
    long = np.ones(N)
    assert np.array_equal(looped(long, 12_000), long)


def test_a_split_without_a_kind_is_refused(tiny_corpus: Corpus) -> None:
    pools = {key: p for key, p in tiny_corpus.pools.items() if key != ("noise", "train")}
    corpus = Corpus("half", "", Path(), pools)
    with pytest.raises(UserError, match="half has no noise in its train split"):
        MixtureSource(corpus, "train", MixConfig())


def test_mixing_is_far_faster_than_real_time(tiny_corpus: Corpus) -> None:
    source = MixtureSource(tiny_corpus, "train", MixConfig())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        source.batch(seed=0, step=0, batch_size=16)
        begun = time.process_time()
        for step in range(4):
            source.batch(seed=0, step=step, batch_size=16)
        per_core = 4 * 16 * 3.0 / (time.process_time() - begun)
    finally:
        torch.set_num_threads(threads)
    assert per_core > 200
