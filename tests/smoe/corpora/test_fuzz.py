"""Random damage to files, manifests and caches: refused in words or read, never a traceback."""

import time
from pathlib import Path

import numpy as np
import pytest

from smoe.audio.reading import RefusedFileError, read
from smoe.corpora import open_corpus
from smoe.corpora.pool import Corpus, load
from smoe.errors import UserError


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite, cut, drop or repeat some bytes."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 8)):
        at = int(rng.integers(0, max(len(data), 1)))
        how = rng.integers(4)
        if how == 0:
            data[at : at + 4] = rng.bytes(4)
        elif how == 1:
            data = data[: max(at, 1)]
        elif how == 2:
            del data[at : at + int(rng.integers(1, 200))]
        else:
            data[at:at] = data[at : at + 100]
        # Headers are short: half of the damage aims at them.
        if len(data) > 64 and rng.random() < 0.5:
            data[int(rng.integers(0, 64))] = int(rng.integers(256))
    return bytes(data)


def attack(root: Path, seconds: float, cache: Path, seed: int) -> int:
    """Damage one file at a time and put it back; returns how often."""
    rng = np.random.default_rng(seed)
    files = sorted(p for p in root.rglob("*") if p.is_file())
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        path = files[rng.integers(len(files))]
        content = path.read_bytes()
        path.write_bytes(damaged(content, rng))
        try:
            if path.suffix == ".csv" or rounds % 10 == 0:
                open_corpus(str(root), cache)
            else:
                decoded = read(path, "speech")
                assert np.isfinite(decoded.audio).all()
        except (UserError, RefusedFileError) as error:
            assert str(error)
        path.write_bytes(content)
        rounds += 1
    return rounds


def test_damaged_files_are_refused_in_words(small_tree: Path, tmp_path: Path) -> None:
    assert attack(small_tree, 4.0, tmp_path / "cache", seed=0) > 20


@pytest.mark.slow
def test_damaged_files_are_refused_in_words_for_a_minute(small_tree: Path, tmp_path: Path) -> None:
    attack(small_tree, 60.0, tmp_path / "cache", seed=int(time.time()))


def test_a_damaged_index_is_never_taken_for_whole(
    tiny_corpus: Corpus, corpus_cache: Path, tmp_path: Path
) -> None:
    folder = next(p for p in corpus_cache.iterdir() if p.is_dir())
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).symlink_to(file)
    content = (folder / "index.json").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        (copy / "index.json").unlink()
        (copy / "index.json").write_bytes(changed := damaged(content, rng))
        assert changed == content or load(copy, "copy") is None
