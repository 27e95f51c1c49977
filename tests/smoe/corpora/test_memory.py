"""Long recordings are read in blocks: memory grows by what is kept, not by what is decoded.

Each case runs in a process of its own, whose peak memory is compared with that of the same work
on short recordings.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 48_000
MINUTES = 8
DECODED_MIB = MINUTES * 60 * RATE * 2 * 8 / 2**20  # of one recording in float64: 352 MiB
KEPT_MIB = MINUTES * 60 * 16_000 * 4 / 2**20  # of one recording at 16 kHz in float32: 29 MiB

CHECK = """
import resource, sys
from pathlib import Path
from smoe.corpora import open_corpus
from smoe.inspection.check import check
print(check(open_corpus(sys.argv[1], Path(sys.argv[2]))))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
"""

ENHANCE = """
import resource, sys
from pathlib import Path
import torch
from smoe.config import ModelConfig
from smoe.evaluation.enhance_files import enhance_file
from smoe.network.unet import SpeechEnhancer
torch.set_num_threads(1)
enhancer = SpeechEnhancer(ModelConfig(init_channels=1, n_layers=3)).eval()
print(enhance_file(enhancer, Path(sys.argv[1]), Path(sys.argv[2])))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
"""


def write_long(path: Path, minutes: float, seed: int) -> None:
    """Noise at 48 kHz in stereo, written second by second."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        for _ in range(round(60 * minutes)):
            file.write(0.1 * rng.standard_normal((RATE, 2)))


def peak_mib(program: str, *arguments: Path) -> float:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


def corpus(root: Path, minutes: float) -> Path:
    for i in range(3):
        write_long(root / "clean" / f"speaker{i}" / "a.wav", minutes if i < 2 else 0.1, i)
        write_long(root / "noise" / f"n{i}.wav", 0.1, 10 + i)
        rng = np.random.default_rng(20 + i)
        decay = rng.standard_normal(8000) * 10 ** (-3 * np.arange(8000) / 16_000 / 0.3)
        path = root / "rir" / f"room{i}" / "a.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.concatenate([[0.9], 0.2 * decay]), 16_000)
    return root


def test_data_check_reads_long_recordings_in_blocks(tmp_path: Path) -> None:
    short = peak_mib(CHECK, corpus(tmp_path / "short", 0.1), tmp_path / "cache")
    long = peak_mib(CHECK, corpus(tmp_path / "long", MINUTES), tmp_path / "cache")
    # Both recordings as they are kept, twice over, and what their fingerprints take; one of them
    # decoded as a whole would be more.
    assert long - short < 2 * 2 * KEPT_MIB + 150 < DECODED_MIB


def test_enhance_reads_and_writes_in_blocks(tmp_path: Path) -> None:
    write_long(tmp_path / "short.wav", 1.0, 0)
    write_long(tmp_path / "long.wav", MINUTES, 0)
    short = peak_mib(ENHANCE, tmp_path / "short.wav", tmp_path / "a.wav")
    long = peak_mib(ENHANCE, tmp_path / "long.wav", tmp_path / "b.wav")
    assert soundfile.info(tmp_path / "b.wav").frames == MINUTES * 60 * RATE
    assert long - short < KEPT_MIB  # not even what comes out is kept


@pytest.mark.slow
def test_an_hour_takes_little_memory(tmp_path: Path) -> None:
    write_long(tmp_path / "long.wav", 60, 0)
    assert peak_mib(ENHANCE, tmp_path / "long.wav", tmp_path / "b.wav") < 1024
    assert peak_mib(CHECK, corpus(tmp_path / "corpus", 60), tmp_path / "cache") < 2048
