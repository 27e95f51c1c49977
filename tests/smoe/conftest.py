"""One thread for small tensors; the tiny embedded corpus and a small folder of audio files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from smoe.config import SAMPLE_RATE
from smoe.corpora import Corpus, open_corpus


@pytest.fixture(scope="session")
def corpus_cache(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A cache of this process with the tiny corpus."""
    return Path(shutil.copytree(prepared, tmp_path_factory.mktemp("corpora"), dirs_exist_ok=True))


@pytest.fixture(scope="session")
def tiny_corpus(corpus_cache: Path) -> Corpus:
    return open_corpus("synthetic:tiny", corpus_cache)


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """Four speakers, noises and rooms of half a second each, with a manifest."""
    root = tmp_path / "corpus"
    for i in range(4):
        rng = np.random.default_rng(i)
        time_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        decay = np.concatenate([[1.0], 0.3 * rng.standard_normal(4000) * 0.999 ** np.arange(4000)])
        for kind, audio in (
            ("clean", 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time_s)),
            ("noise", 0.1 * rng.standard_normal(SAMPLE_RATE // 2)),
            ("rir", decay),
        ):
            path = root / kind / f"group{i}" / f"a.{('wav', 'flac', 'ogg', 'mp3')[i]}"
            path.parent.mkdir(parents=True)
            soundfile.write(path, audio, SAMPLE_RATE)
    lines = [f"{p.relative_to(root)},{p.parts[-3]},{p.parts[-2]}" for p in root.rglob("a.*")]
    (root / "manifest.csv").write_text("\n".join(["path,kind,group", *lines]) + "\n")
    return root


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that share out tensors this small spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
