"""Corpora from folders: layouts, splits, and every kind of file that cannot serve."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.audio.reading import RefusedFileError, read
from smoe.corpora import Corpus, open_corpus
from smoe.corpora.folders import sources
from smoe.corpora.pool import KINDS, SPLITS
from smoe.errors import UserError
from smoe.inspection.check import check

RATE = 16_000
DATA = Path(os.environ.get("SMOE_DATA", Path(__file__).parents[4] / "shared" / "data"))


def tone(seconds: float = 0.5, seed: int = 0, rate: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time_s) + 0.05 * rng.standard_normal(
        len(time_s)
    )


def decay(rt60_s: float = 0.2, seed: int = 0, lead: int = 0) -> np.ndarray:
    time_s = np.arange(RATE // 2) / RATE
    tail = np.random.default_rng(seed).standard_normal(RATE // 2) * 10 ** (-3 * time_s / rt60_s)
    return np.concatenate([np.zeros(lead), [1.0], 0.3 * tail])


def write(path: Path, audio: np.ndarray, rate: int = RATE, **how: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, **how)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Five speakers with two files each, five noise files, five rooms."""
    root = tmp_path / "corpus"
    for i in range(5):
        write(root / "clean" / f"speaker{i}" / "a.wav", tone(seed=2 * i))
        write(root / "clean" / f"speaker{i}" / "b.flac", tone(seed=2 * i + 1))
        write(root / "noise" / "street" / f"{i}.wav", tone(seed=100 + i))
        write(root / "rir" / f"room{i}" / "rir.wav", decay(seed=i, lead=30))
    return root


def names(corpus: Corpus, kind: str) -> set[str]:
    return {n for split in SPLITS for n in corpus.pools[kind, split].names}


def test_a_tree_becomes_a_corpus_with_disjoint_splits(tree: Path, tmp_path: Path) -> None:
    corpus = open_corpus(str(tree), tmp_path / "cache")
    assert set(corpus.pools) == {(kind, split) for kind in KINDS for split in SPLITS}
    for kind in ("speech", "rir"):
        groups = [set(corpus.pools[kind, split].groups) for split in SPLITS]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 5
    assert len(names(corpus, "noise")) == 5
    assert corpus.data_hash == open_corpus(f"folders:{tree}", tmp_path / "other").data_hash
    # Dealt out by name: other content changes the hash, not the splits.
    write(tree / "clean" / "speaker0" / "a.wav", tone(seed=77))
    changed = open_corpus(str(tree), tmp_path / "cache")
    assert changed.data_hash != corpus.data_hash
    assert changed.pools["speech", "test"].names == corpus.pools["speech", "test"].names


def test_folders_named_after_splits_set_them(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for i, split in enumerate(("train", "dev", "test")):
        write(root / split / "clean" / f"p{i}_001.wav", tone(seed=i))
        write(root / "noise" / split / f"n{i}.wav", tone(seed=10 + i))
        write(root / "rir" / split / f"room{i}" / "r.wav", decay(seed=i))
    found = {source.name: source for source in sources(root)}
    assert found["dev/clean/p1_001.wav"].split == "valid"
    assert found["dev/clean/p1_001.wav"].group == "p1"
    assert found["noise/test/n2.wav"].split == "test"
    assert found["rir/train/room0/r.wav"].group == "room0"


def test_onset_and_reverberation_time_come_from_the_file_or_from_rir_info(
    tree: Path, tmp_path: Path
) -> None:
    measured = open_corpus(str(tree), tmp_path / "cache")
    for split in SPLITS:
        pool = measured.pools["rir", split]
        assert pool.item(0)[0] == pytest.approx(1.0, abs=1e-3)
        assert pool.rt60_s == pytest.approx(0.2, rel=0.15)
    rows = [
        {"path": s.name, "kind": s.kind, "group": s.group, "split": s.split} for s in sources(tree)
    ]
    save_csv(tree / "manifest.csv", rows)
    path = measured.pools["rir", "test"].names[0]
    save_csv(tree / "rir_info.csv", [{"path": path, "t20_s": "0.7", "onset_sample": "10"}])
    told = open_corpus(str(tree), tmp_path / "cache").pools["rir", "test"]
    assert told.rt60_s[0] == pytest.approx(0.7)
    assert told.lengths[0] == measured.pools["rir", "test"].lengths[0] + 20


def save_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_files_are_brought_to_16_khz_mono_with_a_note(tree: Path, tmp_path: Path) -> None:
    rate = 44_100
    stereo = np.stack([tone(1.0, 5, rate), tone(1.0, 6, rate)], axis=1)
    write(tree / "clean" / "speaker0" / "näme with blank.wav", stereo, rate)
    write(tree / "clean" / "speaker0" / "six.wav", np.tile(tone(seed=99)[:, None], 6))
    write(tree / "clean" / "speaker0" / "slow.wav", tone(1.0, 8, 8000), 8000)
    write(tree / "clean" / "speaker0" / "offset.wav", tone(seed=11) * 0.3 + 0.5)
    corpus = open_corpus(str(tree), tmp_path / "cache")
    assert "1 x speech resampled from 44100 Hz" in corpus.notes
    assert "1 x speech resampled from 8000 Hz" in corpus.notes
    assert "1 x speech mixed down from 2 channels" in corpus.notes
    assert "1 x speech freed of a constant offset" in corpus.notes
    split = next(s for s in SPLITS if "speaker0" in corpus.pools["speech", s].groups)
    pool = corpus.pools["speech", split]
    item = pool.names.index("clean/speaker0/näme with blank.wav")
    assert pool.lengths[item] == RATE
    assert abs(pool.item(pool.names.index("clean/speaker0/offset.wav")).mean()) < 1e-6


def test_a_resampled_tone_keeps_frequency_and_level(tmp_path: Path) -> None:
    time_s = np.arange(44_100) / 44_100
    path = write(
        tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * time_s), 44_100, subtype="FLOAT"
    )
    audio = read(path, "speech").audio
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert np.abs(audio - expected)[500:-500].max() < 2e-3


def test_digital_silence_is_cut_out_of_noise_alone(tmp_path: Path) -> None:
    padded = np.concatenate([tone(0.5), np.zeros(RATE), tone(0.5, 1)])
    path = write(tmp_path / "a.wav", padded)
    noise, speech = read(path, "noise"), read(path, "speech")
    assert len(noise.audio) == RATE
    assert noise.notes == ("freed of digital silence",)
    assert len(speech.audio) == 2 * RATE


def cut_short(path: Path) -> None:
    write(path, tone(3.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BROKEN: dict[str, tuple[str, Callable[[Path], object]]] = {
    "truncated.flac": ("cut short", cut_short),
    "empty.wav": ("zero bytes", lambda path: path.write_bytes(b"")),
    "text.wav": ("not audio", lambda path: path.write_text("not a recording")),
    "nan.wav": ("not finite", lambda path: write(path, np.full(8000, np.nan), subtype="FLOAT")),
    "huge.wav": ("100 times full", lambda path: write(path, tone() * 1e9, subtype="FLOAT")),
    "dc.wav": ("silent", lambda path: write(path, np.full(8000, 0.4))),
    "silent.wav": ("silent", lambda path: write(path, np.zeros(8000))),
    "short.wav": ("0.10 s of audio", lambda path: write(path, tone(0.1))),
    "clipped.wav": ("clipped", lambda path: write(path, np.clip(tone() * 50, -1, 1))),
    "no frames.wav": ("0.00 s", lambda path: write(path, np.zeros(0))),
    "folder.wav": ("is not a file", lambda path: path.mkdir()),
    "missing.wav": ("does not exist", lambda path: None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_serve_says_why(name: str, tmp_path: Path) -> None:
    reason, make = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(RefusedFileError, match=reason):
        read(tmp_path / name, "speech")


def test_one_refused_file_among_many_is_named_and_the_rest_goes_on(
    tree: Path, tmp_path: Path
) -> None:
    (tree / "clean" / "speaker1" / "broken.wav").write_text("no audio")
    write(tree / "rir" / "room1" / "dead.wav", np.ones(4000))
    (tree / "clean" / "loop").symlink_to(tree / "clean")
    corpus = open_corpus(str(tree), tmp_path / "cache")
    assert {each.name for each in corpus.refused} == {
        "clean/speaker1/broken.wav",
        "rir/room1/dead.wav",
    }
    report = check(corpus)
    assert "clean/speaker1/broken.wav is not audio" in report
    assert "rir/room1/dead.wav shows no decay" in report
    assert len(names(corpus, "speech")) == 10


def refused(root: Path, tmp_path: Path) -> str:
    with pytest.raises(UserError) as error:
        open_corpus(str(root), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))
    return str(error.value)


def test_what_makes_no_corpus_is_one_sentence(tree: Path, tmp_path: Path) -> None:
    for path in (tree / "rir").rglob("*.wav"):
        path.rename(path.with_suffix(".txt"))
    assert "holds no rir files" in refused(tree, tmp_path)
    write(tree / "rir" / "r1" / "a.wav", decay(seed=50))
    write(tree / "rir" / "r2" / "a.wav", decay(seed=51))
    assert "has 2 rooms; train, valid and test need at least 3" in refused(tree, tmp_path)
    write(tree / "rir" / "r3" / "a.wav", np.ones(4000))
    assert "No usable rir file is left" in refused(tree, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "music"}, "'music' is neither a kind"),
        ({"split": "holdout"}, "'holdout' is neither a kind"),
        ({"split": ""}, "has no split, other speech files have"),
        ({"path": ""}, "line 2: the column path is missing or empty"),
    ],
)
def test_a_wrong_manifest_names_its_line(
    change: dict[str, str], message: str, tree: Path, tmp_path: Path
) -> None:
    rows = [
        {"path": s.name, "kind": s.kind, "group": s.group, "split": s.split} for s in sources(tree)
    ]
    rows.sort(key=lambda row: row["kind"] != "speech")
    rows[0].update(change)
    save_csv(tree / "manifest.csv", rows)
    assert message in refused(tree, tmp_path)


def test_a_copy_across_splits_is_refused_and_leaves_no_cache(tree: Path, tmp_path: Path) -> None:
    corpus = open_corpus(str(tree), tmp_path / "first")
    rows = [
        {"path": s.name, "kind": s.kind, "group": s.group, "split": s.split} for s in sources(tree)
    ]
    original = corpus.pools["speech", "train"].names[0]
    audio = soundfile.read(tree / original)[0]
    soundfile.write(tree / "copy.wav", audio, RATE)
    rows.append({"path": "copy.wav", "kind": "speech", "group": "nobody", "split": "test"})
    save_csv(tree / "manifest.csv", rows)
    message = refused(tree, tmp_path)
    assert original in message
    assert "copy.wav" in message


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "manifest.csv").exists(), reason="no recordings at SMOE_DATA")
def test_the_recordings_match_their_manifest(tmp_path: Path) -> None:
    corpus = open_corpus(str(DATA), tmp_path)
    with (DATA / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for (kind, split), pool in corpus.pools.items():
        listed = [row for row in rows if (row["kind"], row["split"]) == (kind, split)]
        assert sorted(pool.names) == sorted(row["path"] for row in listed)
        if kind == "speech":
            seconds = sum(float(row["seconds"]) for row in listed)
            assert pool.lengths.sum() / RATE == pytest.approx(seconds, abs=0.1)
    assert not corpus.refused
