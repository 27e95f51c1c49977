"""`data check` as its users see it, the table of the unprocessed input and the stored facts."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe import config
from smoe.audio.reading import walk
from smoe.corpora import Corpus, open_corpus
from smoe.corpora.pool import KINDS, SPLITS
from smoe.errors import UserError
from smoe.inspection.check import check
from smoe.inspection.facts import write_facts
from smoe.inspection.unprocessed import RT60_BANDS_S, quality_rows, unprocessed_quality
from tests.ablations.conftest import run_here

CONFIG = config.TestSetConfig(crop_s=2.0, per_snr=8, clean=2, snrs_db=(-5.0, 5.0, 15.0))


@pytest.fixture
def exported(tiny_corpus: Corpus, tmp_path: Path) -> Path:
    """The tiny corpus as a folder of files with a manifest."""
    root = tmp_path / "corpus"
    rows = []
    for (kind, split), pool in tiny_corpus.pools.items():
        for i, (name, group) in enumerate(zip(pool.names, pool.groups, strict=True)):
            path = root / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, pool.item(i), 16_000, subtype="PCM_24")
            rows.append((f"{name}.wav", kind, group, split))
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "kind", "group", "split"), *rows])
    return root


def test_a_training_file_copied_into_test_at_another_level_is_named_with_its_copy(
    exported: Path, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    done = run_here("data", "check", "--data", exported, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "leakage: none" in done.stdout
    original = tiny_corpus.pools["speech", "train"].names[0] + ".wav"
    audio, rate = soundfile.read(exported / original)
    soundfile.write(exported / "something else.flac", 0.3 * audio, rate)
    with (exported / "manifest.csv").open("a", newline="") as file:
        csv.writer(file).writerow(("something else.flac", "speech", "stranger", "test"))
    done = run_here("data", "check", "--data", exported, "--results", tmp_path / "results")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert f"{original} (train)" in done.stderr
    assert "something else.flac (test)" in done.stderr


not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)


@not_root
def test_a_file_without_permission_is_refused_by_name(small_tree: Path, tmp_path: Path) -> None:
    path = small_tree / "clean" / "group0" / "locked.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(8000) * 0.1, 16_000)
    with (small_tree / "manifest.csv").open("a") as file:
        file.write("clean/group0/locked.wav,clean,group0\n")
    path.chmod(0)
    report = check(open_corpus(str(small_tree), tmp_path / "cache"))
    assert "clean/group0/locked.wav cannot be opened (Permission denied)" in report


@not_root
def test_a_folder_without_permission_stops_with_its_name(small_tree: Path) -> None:
    folder = small_tree / "noise" / "group0"
    folder.chmod(0)
    try:
        with pytest.raises(UserError, match=r"group0 cannot be read \(Permission denied\)"):
            list(walk(small_tree))
    finally:
        folder.chmod(0o700)


def test_links_are_followed_once_and_loops_end(small_tree: Path, tmp_path: Path) -> None:
    (small_tree / "manifest.csv").unlink()
    noise = small_tree / "noise"
    before = {path.resolve() for path in walk(small_tree)}
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    rng = np.random.default_rng(9)
    soundfile.write(outside / "b.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    (noise / "linked").symlink_to(outside)  # a folder that lives elsewhere: read
    (noise / "up").symlink_to(small_tree)  # a loop: not entered again
    (outside / "back").symlink_to(noise)  # a loop over two folders
    (noise / "self.wav").symlink_to(noise / "self.wav")  # a link to itself
    (noise / "nowhere.wav").symlink_to(tmp_path / "missing.wav")
    found = [path for path in walk(small_tree) if path.exists()]
    assert {path.resolve() for path in found} == before | {(outside / "b.wav").resolve()}
    assert len(found) == len(before) + 1
    corpus = open_corpus(str(small_tree), tmp_path / "cache")
    reasons = {refused.name: refused.reason for refused in corpus.refused}
    assert set(reasons) == {"noise/self.wav", "noise/nowhere.wav"}


def test_the_unprocessed_input_behaves_as_acoustics_says(tiny_corpus: Corpus) -> None:
    parts = unprocessed_quality(tiny_corpus, CONFIG, jobs=1)
    assert sum(part.count for part in parts) == 3 * 24 + 2
    noise = [part.scores for part in parts if part.condition == "noise"]
    for metric in noise[0]:
        assert (np.diff([scores[metric] for scores in noise]) > 0).all(), metric
    reverb = {part.rt60_s: part.scores for part in parts if part.condition == "reverb"}
    assert set(reverb) == set(RT60_BANDS_S[1:])  # the two rooms of the tiny test split
    for metric in noise[0]:
        assert reverb[RT60_BANDS_S[1]][metric] > reverb[RT60_BANDS_S[2]][metric], metric
    both = {(p.snr_db, p.rt60_s): p.scores for p in parts if p.condition == "both"}
    for band in RT60_BANDS_S[1:]:
        assert both[-5.0, band]["stoi"] < both[5.0, band]["stoi"] < both[15.0, band]["stoi"]
    for snr_db in CONFIG.snrs_db:
        dry, wet = (both[snr_db, band]["stoi"] for band in RT60_BANDS_S[1:])
        assert dry > wet
    (clean,) = [part for part in parts if part.condition == "clean"]
    assert clean.scores["pesq_wb"] == pytest.approx(4.64, abs=0.01)
    rows = list(quality_rows(parts))
    assert rows[1][:4] == ("noise", "-5", "", "8")
    assert rows[-1][-1] == ""  # the SI-SDR of the clean input is infinite, hence missing


def test_facts_are_those_of_the_corpus(tiny_corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.npz"
    write_facts(tiny_corpus, path)
    with np.load(path) as facts:
        assert str(facts["data_hash"]) == tiny_corpus.data_hash
        for split in SPLITS:
            for kind in KINDS[:2]:
                levels = facts[f"level_dbfs/{kind}/{split}"]
                pool = tiny_corpus.pools[kind, split]
                first = 10 * np.log10(np.mean(pool.item(0).astype(np.float64) ** 2))
                assert len(levels) == len(pool.names)
                assert levels[0] == pytest.approx(first)
            assert np.array_equal(facts[f"rt60_s/{split}"], tiny_corpus.pools["rir", split].rt60_s)
        assert set(facts["snr_db/test"]) == {-5, 0, 5, 10, 15}
        assert -5 <= facts["snr_db/train"].min() < -4.5
        assert 14.5 < facts["snr_db/train"].max() <= 15
        for condition in ("noise", "reverb", "both", "clean"):
            spectrogram = facts[f"spectrogram/{condition}"]
            assert spectrogram.dtype == np.uint8
            assert spectrogram.shape == (257, 188)
            assert spectrogram.max() == 255
        assert str(facts["title/both"]).startswith("both, 5 dB SNR, T60 0.")
