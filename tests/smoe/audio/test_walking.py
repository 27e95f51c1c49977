"""FIFOs, devices, sockets, folders and links named like audio: named and refused at once.

Each runs in a process of its own with a time limit, since the fault would be to wait for ever.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

TIME_LIMIT_S = 120
CHECK = """
import sys
from pathlib import Path
from smoe.corpora import open_corpus
from smoe.inspection.check import check
from smoe.errors import UserError
try:
    print(check(open_corpus(sys.argv[1], Path(sys.argv[2]))))
except UserError as error:
    sys.exit(f"Error: {error}")
"""
READ = """
import sys
from pathlib import Path
from smoe.audio.reading import RefusedFileError, read
try:
    read(Path(sys.argv[1]), "speech")
except RefusedFileError as error:
    print(error)
"""


def run(program: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S
    )


def a_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's address is short
    socket.socket(socket.AF_UNIX).bind(path.name)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\xffWAVE")
        file.truncate(1 << 40)


SPECIAL: dict[str, tuple[str, Callable[[Path], object]]] = {
    "fifo.wav": ("is not a file but a FIFO", os.mkfifo),
    "zero.wav": ("is not a file but a device", lambda path: path.symlink_to("/dev/zero")),
    "socket.wav": ("is not a file but a socket", a_socket),
    "folder.wav": ("is not a file but a folder", lambda path: path.mkdir()),
    "broken.wav": ("(a broken link)", lambda path: path.symlink_to("nowhere")),
    "loop.wav": ("Too many levels of symbolic links", lambda path: path.symlink_to(path)),
    "huge.wav": ("is larger than 32 GiB", sparse),
    "kernel.wav": ("is empty (zero bytes)", lambda path: path.symlink_to("/proc/self/mem")),
    "fifo": ("is not a file but a FIFO", os.mkfifo),
    "random": ("is not a file but a device", lambda path: path.symlink_to("/dev/random")),
}


@pytest.fixture
def in_place() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.mark.usefixtures("in_place")
def test_special_files_in_a_folder_are_named(small_tree: Path, tmp_path: Path) -> None:
    (small_tree / "manifest.csv").unlink()
    for name, (_, make) in SPECIAL.items():
        make(small_tree / "noise" / name)
    done = run(CHECK, small_tree, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("  noise/")]
    for name, (reason, _) in SPECIAL.items():
        assert any(f"noise/{name} " in line and reason in line for line in lines), (name, lines)


@pytest.mark.usefixtures("in_place")
def test_special_files_in_a_manifest_are_named(small_tree: Path, tmp_path: Path) -> None:
    manifest = small_tree / "manifest.csv"
    lines = [manifest.read_text()]
    for name, (_, make) in SPECIAL.items():
        make(small_tree / name)
        lines.append(f"{name},noise,special\n")
    lines.append("/dev/zero,noise,special\n")
    manifest.write_text("".join(lines))
    done = run(CHECK, small_tree, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    for name in [*SPECIAL, "/dev/zero"]:
        assert f"\n  {name} " in done.stdout, name
    assert "  /dev/zero is not a file but a device" in done.stdout


@pytest.mark.parametrize("name", ["manifest.csv", "rir_info.csv", "distinct.csv"])
def test_a_fifo_in_place_of_a_table_is_one_sentence(
    name: str, small_tree: Path, tmp_path: Path
) -> None:
    (small_tree / name).unlink(missing_ok=True)
    os.mkfifo(small_tree / name)
    done = run(CHECK, small_tree, tmp_path / "cache")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert f"{name} is not a file but a FIFO" in done.stderr


@pytest.mark.parametrize("name", ["fifo.wav", "zero.wav", "huge.wav"])
def test_reading_one_directly_is_refused_at_once(name: str, tmp_path: Path) -> None:
    reason, make = SPECIAL[name]
    make(tmp_path / name)
    assert reason in run(READ, tmp_path / name).stdout


def test_a_file_that_decodes_for_ever_is_refused(tmp_path: Path) -> None:
    """Silence compresses so well that a small file may hold days."""
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 4000, 1, subtype="PCM_16") as file:
        for _ in range(13):
            file.write(np.zeros(4000 * 3600, np.int16))
    assert path.stat().st_size < 1e6
    assert "is longer than 12 h" in run(READ, path).stdout


ODD = [
    "new\nline.wav", "per%20cent.wav", "hash#.wav", "quote'\".wav", "blank .wav", "a+b.wav",
    "ctrl\x1b[31m.wav", "-dash.wav", "[bold]x.wav", "日本.wav", "a" * 200 + ".wav",
]  # fmt: skip


def test_odd_names_are_read_and_the_report_can_be_printed(small_tree: Path, tmp_path: Path) -> None:
    (small_tree / "manifest.csv").unlink()
    folder = small_tree / "noise" / "odd"
    folder.mkdir()
    for i, name in enumerate(ODD):
        noise = 0.1 * np.random.default_rng(40 + i).standard_normal(16_000)
        soundfile.write(str(folder / name), noise, 16_000)
    (folder / os.fsdecode(b"not\xffutf8.wav")).write_bytes((folder / ODD[0]).read_bytes()[:-9])
    (folder / "bad\nname\x1b[2J.wav").write_text("no audio")
    done = run(CHECK, small_tree, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("noise ")]
    assert sum(int(row[2]) for row in rows) == 4 + len(ODD)
    assert r"noise/odd/bad\nname\x1b[2J.wav is not audio" in done.stdout
    assert r"noise/odd/not\xffutf8.wav is cut short" in done.stdout


def test_a_very_long_path_works(small_tree: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 120] * 12)
    deep.parent.mkdir(parents=True)
    small_tree.rename(deep)
    assert len(str(deep)) > 1450
    done = run(CHECK, deep, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    done = run(CHECK, f"folders:{deep}+mit:{deep}", tmp_path / "cache")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")


@pytest.mark.parametrize("spec", ["x" * 300, "/" + "y/" * 3000, "~nobody/x", "folders:~nobody/x"])
def test_a_path_that_cannot_be_is_one_sentence(spec: str, tmp_path: Path) -> None:
    done = run(CHECK, spec, tmp_path / "cache")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
