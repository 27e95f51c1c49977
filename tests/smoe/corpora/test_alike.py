"""What the leakage guard finds, what it leaves alone, and what it says it has looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.corpora import Corpus, open_corpus
from smoe.corpora.leakage import guarded
from smoe.corpora.pool import Recording
from smoe.errors import UserError
from smoe.inspection.check import check

RATE = 16_000


def members(corpus: Corpus, kind: str, split: str) -> list[Recording]:
    pool = corpus.pools[kind, split]
    return [
        Recording(name, kind, group, split, np.array(pool.item(i)))
        for i, (name, group) in enumerate(zip(pool.names, pool.groups, strict=True))
    ]


def excerpt(original: Recording, seconds: float, rng: np.random.Generator) -> Recording:
    """A part of a recording that is not a pause, at half level in 16 bit, in another split."""
    samples = round(seconds * RATE)
    for _ in range(100):
        start = int(rng.integers(0, len(original.audio) - samples))
        part = original.audio[start : start + samples]
        if np.std(part) > 0.5 * np.std(original.audio):
            break
    audio = (np.round(part * 2**14) / 2**15).astype(np.float32)
    return replace(original, name="copy", group="nobody", split="test", audio=audio)


def is_found(one: Recording, copy: Recording) -> bool:
    try:
        list(guarded([one, copy]))
    except UserError as error:
        return "hold the same sound" in str(error)
    return False


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, 0.85), (1.0, 0.95), (1.5, 0.95)])
def test_excerpts_of_speech_are_found(seconds: float, expected: float, tiny_corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    originals = members(tiny_corpus, "speech", "train")
    found = [is_found(one, excerpt(one, seconds, rng)) for one in originals for _ in range(4)]
    assert np.mean(found) >= expected


@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.5])
def test_short_files_copied_as_a_whole_are_found(seconds: float, tiny_corpus: Corpus) -> None:
    rng = np.random.default_rng(1)
    found = []
    for original in members(tiny_corpus, "speech", "train") * 3:
        part = excerpt(original, seconds, rng).audio
        one = replace(original, audio=part)
        audio = (np.round(part * 2**14) / 2**15).astype(np.float32)
        found.append(is_found(one, replace(one, name="b", group="b", split="valid", audio=audio)))
    assert np.mean(found) >= 0.9


def test_a_part_within_another_recording_is_found(tiny_corpus: Corpus) -> None:
    """Half of the test file is its own, the other half stands in training."""
    one, *_, own = members(tiny_corpus, "noise", "train")
    mixed = np.concatenate([own.audio[: 2 * RATE], 0.5 * one.audio[RATE : 3 * RATE]])
    assert is_found(one, replace(one, name="b", group="b", split="test", audio=mixed))


def beeps(frequency_hz: float, seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    time_s = np.arange(int(seconds * RATE)) / RATE
    noise = 1e-4 * np.random.default_rng(seed).standard_normal(len(time_s))
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time_s) + noise).astype(np.float32)


@pytest.mark.parametrize("other_hz", [1000.5, 1001.0, 1002.0, 1010.0, 1100.0])
@pytest.mark.parametrize("pulsed", [False, True])
def test_steady_beeps_of_two_frequencies_are_two_sounds(other_hz: float, pulsed: bool) -> None:
    on = (np.arange(4 * RATE) % (RATE // 2) < RATE // 4) if pulsed else 1.0
    one, other = beeps(1000.0) * on, beeps(other_hz, seed=1) * on
    pair = [
        Recording("one", "noise", "beep", "train", np.float32(one)),
        Recording("other", "noise", "beep", "test", np.float32(other)),
    ]
    assert list(guarded(pair)) == pair


def test_a_copy_of_a_beep_is_found() -> None:
    one = Recording("one", "noise", "beep", "train", beeps(1000.0))
    assert is_found(one, replace(one, name="b", split="test", audio=0.5 * one.audio))


def test_strangers_are_left_alone(tiny_corpus: Corpus) -> None:
    every = [
        recording
        for kind in ("speech", "noise")
        for split in ("train", "valid", "test")
        for recording in members(tiny_corpus, kind, split)
    ]
    remarks: dict[str, str] = {}
    assert list(guarded(every, None, remarks)) == every
    assert remarks["guard"].startswith("leakage: none found.")
    assert "were not compared" not in remarks["guard"]
    assert "under 0.5 s" not in remarks["guard"]


def test_what_is_too_short_to_be_compared_is_said(tiny_corpus: Corpus) -> None:
    one, two, *_ = members(tiny_corpus, "speech", "train")
    short = replace(two, audio=two.audio[5000:9800])
    remarks: dict[str, str] = {}
    list(guarded([one, short], None, remarks))
    assert "1 recordings under 0.5 s may be copies unnoticed" in remarks["guard"]


def test_impulse_responses_with_nothing_after_the_direct_path_are_said(tiny_corpus: Corpus) -> None:
    """A copy of one at another level is not found, and nothing claims that it would be."""
    one, *_ = members(tiny_corpus, "rir", "train")
    bare = replace(one, audio=one.audio[:40])
    copy = replace(bare, name="b", group="elsewhere", split="test", audio=0.5 * bare.audio)
    remarks: dict[str, str] = {}
    assert list(guarded([bare, copy], None, remarks)) == [bare, copy]
    assert "2 impulse responses of 2.5 ms and less" in remarks["guard"]
    list(guarded([one], None, remarks))
    assert "impulse responses of" not in remarks["guard"]


@pytest.fixture
def beeping(small_tree: Path) -> Path:
    """A corpus in which each noise begins with one and the same sound."""
    same = 0.1 * np.random.default_rng(99).standard_normal(RATE)
    for i, path in enumerate(sorted((small_tree / "noise").rglob("a.*"))):
        path.unlink()
        own = 0.1 * np.random.default_rng(i).standard_normal(RATE)
        soundfile.write(path.with_suffix(".wav"), np.concatenate([same, own]), RATE)
    (small_tree / "manifest.csv").unlink()
    return small_tree


def test_a_false_alarm_is_overruled_by_name_and_that_is_said(beeping: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hold the same sound.*distinct\.csv"):
        open_corpus(str(beeping), tmp_path / "cache")
    names = [f"noise/group{i}/a.wav" for i in range(4)]
    rows = [f"{one},{other},a beep" for one in names for other in names if one < other]
    (beeping / "distinct.csv").write_text("\n".join(["path,other,reason", *rows]))
    report = check(open_corpus(str(beeping), tmp_path / "cache"))
    assert "are alike and count as distinct, as distinct.csv says" in report
    (beeping / "distinct.csv").write_text("path,other\nnoise/group0/a.wav,noise/none.wav\n")
    with pytest.raises(UserError, match=r"line 2: the corpus has no file noise/none\.wav"):
        open_corpus(str(beeping), tmp_path / "cache")


def test_the_same_samples_are_never_overruled(small_tree: Path, tmp_path: Path) -> None:
    (small_tree / "manifest.csv").unlink()
    noises = sorted((small_tree / "noise").rglob("a.*"))
    for path in noises:
        path.unlink()
        soundfile.write(path.with_suffix(".wav"), beeps(1000.0), RATE)
    names = [f"noise/group{i}/a.wav" for i in range(4)]
    rows = [f"{one},{other}" for one in names for other in names if one < other]
    (small_tree / "distinct.csv").write_text("\n".join(["path,other", *rows]))
    with pytest.raises(UserError, match="hold the same samples"):
        open_corpus(str(small_tree), tmp_path / "cache")


def test_where_too_many_seem_alike_the_rest_is_said_not_to_be_compared(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoe.corpora.leakage.COMPARED", 2)
    every = [
        recording
        for split in ("train", "valid", "test")
        for recording in members(tiny_corpus, "speech", split)
    ]
    remarks: dict[str, str] = {}
    list(guarded(every, None, remarks))
    assert "(2 pairs)" in remarks["guard"]
    assert "further pairs were not compared" in remarks["guard"]


def test_pieces_of_a_large_corpus_are_looked_up_one_after_the_other(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoe.corpora.fingerprint.COMPARED_AT_ONCE", 300)
    one, *others = members(tiny_corpus, "speech", "train")
    strangers = [replace(other, split="test", group="b", name=other.name) for other in others]
    copy = excerpt(one, 1.5, np.random.default_rng(3))
    with pytest.raises(UserError, match=f"{one.name}.*copy"):
        list(guarded([one, *strangers, copy]))
    assert list(guarded([one, *strangers])) == [one, *strangers]
