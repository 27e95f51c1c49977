"""A preparation that is killed goes on where it was, and ends with the same bytes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from smoe.corpora import Corpus, open_corpus
from smoe.corpora.pool import save
from smoe.corpora.synthetic import TINY, recordings

PREPARE = """
import sys
from pathlib import Path
from smoe.corpora.synthetic import TINY, recordings
for _ in recordings(TINY, 1, lambda *_: None, Path(sys.argv[1])):
    pass
"""


def test_finished_pieces_are_taken_over_after_a_kill(tiny_corpus: Corpus, tmp_path: Path) -> None:
    work = tmp_path / "work"
    process = subprocess.Popen([sys.executable, "-c", PREPARE, str(work)])
    while process.poll() is None and len(list(work.glob("*.pickle"))) < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = {path: path.stat().st_mtime_ns for path in work.glob("*.pickle")}
    assert len(left) >= 5
    damaged = min(left)
    damaged.write_bytes(damaged.read_bytes()[:100])  # as when the machine itself goes down
    del left[damaged]

    states: list[tuple[int, int]] = []
    made = list(recordings(TINY, 1, lambda _what, *state: states.append(state), work))
    assert all(path.stat().st_mtime_ns == before for path, before in left.items())
    assert isinstance(pickle.loads(damaged.read_bytes()), list)
    assert states == [(i, states[-1][1]) for i in range(1, len(states) + 1)]
    by_name = {recording.name: recording.audio for recording in made}
    for pool in tiny_corpus.pools.values():
        for i, name in enumerate(pool.names):
            assert np.array_equal(by_name.pop(name), pool.item(i))
    assert not by_name


def test_nothing_is_left_of_a_finished_preparation(small_tree: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, young = cache / ".preparing-old", cache / ".preparing-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "speech-train.f32").write_bytes(b"1234")
    for path in (old / "speech-train.f32", old):
        os.utime(path, (1e9, 1e9))
    open_corpus(str(small_tree), cache)
    hidden = {path.name for path in cache.iterdir() if path.name.startswith(".")}
    assert hidden == {".preparing-young"}  # which may belong to another process


def test_a_second_writer_of_the_same_corpus_is_no_error(tmp_path: Path) -> None:
    save(tmp_path / "corpus", [])
    save(tmp_path / "corpus", [])
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
