"""The leakage guard finds copies in every disguise and accuses nobody else."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from scipy import signal

from smoe.corpora import Corpus
from smoe.corpora.leakage import guarded
from smoe.corpora.pool import Recording
from smoe.errors import UserError


def recordings(corpus: Corpus) -> list[Recording]:
    return [
        Recording(name, kind, group, split, np.array(pool.item(i)))
        for (kind, split), pool in corpus.pools.items()
        for i, (name, group) in enumerate(zip(pool.names, pool.groups, strict=True))
    ]


def recoded(audio: np.ndarray, kind: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, audio / np.abs(audio).max() * 0.5, 16_000, format=kind)
    file.seek(0)
    return soundfile.read(file)[0]


def resampled(audio: np.ndarray) -> np.ndarray:
    return signal.resample_poly(signal.resample_poly(audio, 441, 160), 160, 441)


DISGUISES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quieter": lambda audio: np.round(audio * 0.2 * 2**15) / 2**15,
    "resampled": resampled,
    "narrowband": lambda audio: signal.resample_poly(signal.resample_poly(audio, 1, 2), 2, 1),
    "vorbis": lambda audio: recoded(audio, "OGG"),
    "mp3": lambda audio: recoded(audio, "MP3"),
    "cut": lambda audio: audio[7001:-5000],
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_copy_of_training_speech_in_the_test_split_is_named(
    disguise: str, tiny_corpus: Corpus
) -> None:
    members = recordings(tiny_corpus)
    original = next(r for r in members if (r.kind, r.split) == ("speech", "train"))
    audio = DISGUISES[disguise](original.audio.astype(np.float64)).astype(np.float32)
    copy = replace(original, name="other/name", group="new", split="test", audio=audio)
    with pytest.raises(UserError) as error:
        list(guarded([*members, copy]))
    assert original.name in str(error.value)
    assert "other/name (test)" in str(error.value)


def test_a_quieter_copy_of_noise_is_named(tiny_corpus: Corpus) -> None:
    members = recordings(tiny_corpus)
    original = next(r for r in members if r.kind == "noise" and r.group == "rain")
    copy = replace(original, name="copy", split="valid", audio=original.audio * np.float32(0.3))
    with pytest.raises(UserError, match=f"{original.name}.*copy"):
        list(guarded([*members, copy]))


def test_a_resampled_copy_of_an_impulse_response_is_named(tiny_corpus: Corpus) -> None:
    members = recordings(tiny_corpus)
    original = next(r for r in members if r.kind == "rir" and r.split == "train")
    audio = 0.5 * resampled(original.audio.astype(np.float64)).astype(np.float32)
    copy = replace(original, name="copy", group="new", split="test", audio=audio)
    with pytest.raises(
        UserError, match=f"{original.name} .train. and copy .test. hold the same imp"
    ):
        list(guarded([*members, copy]))


@pytest.mark.parametrize(("kind", "what"), [("speech", "speaker"), ("rir", "room")])
def test_a_group_in_two_splits_is_named(kind: str, what: str, tiny_corpus: Corpus) -> None:
    members = recordings(tiny_corpus)
    one = next(r for r in members if (r.kind, r.split) == (kind, "train"))
    other = next(r for r in members if (r.kind, r.split) == (kind, "test"))
    moved = [replace(r, group=one.group) if r is other else r for r in members]
    with pytest.raises(UserError, match=f"The {what} {one.group} stands in two splits"):
        list(guarded(moved))


def test_the_same_content_is_named(tiny_corpus: Corpus) -> None:
    members = recordings(tiny_corpus)
    one = next(r for r in members if r.kind == "rir" and r.split == "train")
    with pytest.raises(UserError, match="hold the same samples"):
        list(guarded([*members, replace(one, name="b", group="elsewhere", split="test")]))


def test_an_honest_corpus_passes_unchanged(tiny_corpus: Corpus) -> None:
    members = recordings(tiny_corpus)
    assert list(guarded(members)) == members


def test_equal_clicks_with_silence_are_no_evidence() -> None:
    rng = np.random.default_rng(0)
    members = []
    for split in ("train", "valid", "test"):
        audio = rng.normal(0, 1e-5, 48_000)
        audio[rng.integers(0, 48_000, 4)] = 0.8
        audio[40_000:] = 0
        members.append(Recording(split, "noise", "clicks", split, audio.astype(np.float32)))
    assert len(list(guarded(members))) == 3
