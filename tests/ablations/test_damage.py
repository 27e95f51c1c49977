"""Full disks, read-only ones, torn and foreign files: one sentence, and nothing done is lost."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ablations.runs.plan import plan
from ablations.studies.study import load_study
from tests.ablations.conftest import assert_same_bundle, command, run_all

STUDY = ("run", "--study", "smoke", "--jobs", "2", "--results")


def folders(results: Path) -> dict[str, Path]:
    """The run folder of each cell of the smoke study."""
    runs = pd.read_parquet(results / "smoke" / "runs.parquet")
    return {
        cell: results / ".runs" / run_id.rpartition("-")[0] / run_id.rpartition("-")[2]
        for cell, run_id in zip(runs["cell"], runs["run_id"], strict=True)
    }


def trained_steps(folder: Path) -> list[int]:
    """The steps that a run was trained, in order, repeated ones repeated."""
    lines = (folder / "log.txt").read_text().splitlines()
    return [int(line.rpartition(" ")[2]) for line in lines if " training: step " in line]


@pytest.fixture
def copy(smoke: Path, tmp_path: Path) -> Path:
    """A results folder with the finished smoke study, to be damaged."""
    return Path(shutil.copytree(smoke, tmp_path / "results"))


@pytest.fixture
def disk(smoke: Path, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with the smoke study's corpus."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", path]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount a file system")
    shutil.copytree(smoke / ".corpora", path / ".corpora")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


def planned(results: Path) -> dict:
    """The runs of the smoke study by cell."""
    data_hash = json.loads((results / ".corpora" / "corpus.json").read_text())["synthetic:tiny"]
    return {run.cell: run for run in plan(load_study("smoke"), results, data_hash)}


def test_a_whole_run_stays_done(copy: Path):
    for run in planned(copy).values():
        assert run.folder.set_aside_damage(run.config) == []
        assert run.folder.is_done()


@pytest.mark.parametrize("name", ["utterances.parquet", "config.json", "done"])
def test_a_damaged_file_is_set_aside_and_its_run_is_no_longer_done(name: str, copy: Path):
    run = planned(copy)["dense"]
    file = run.folder.file(name)
    file.write_bytes(file.read_bytes()[:-30])
    assert run.folder.set_aside_damage(run.config) == [file.with_name(f"{name}.damaged")]
    assert not run.folder.is_done()
    assert run.folder.file(f"{name}.damaged").exists()


def test_a_folder_that_holds_another_run_is_set_aside_as_a_whole(copy: Path):
    runs = planned(copy)
    foreign, own = runs["unprocessed"].folder.path, runs["dense"].folder.path
    shutil.rmtree(own)
    shutil.copytree(foreign, own)
    assert runs["dense"].folder.set_aside_damage(runs["dense"].config) == [
        own.with_name("0.damaged")
    ]
    assert not runs["dense"].folder.is_done()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_room_is_all_that_is_missing(smoke: Path, disk: Path):
    assert run_all(*STUDY, disk, "--limit", "2").returncode == 0
    done = [path.parent for path in disk.glob(".runs/*/*/done")]
    assert len(done) == 2
    remount(disk, f"size={shutil.disk_usage(disk).used + 300_000}")
    full = run_all(*STUDY, disk)
    assert full.returncode == 2, full.stdout + full.stderr
    assert "no space is left on its disk" in full.stderr
    assert len(full.stderr.strip().splitlines()) == 1
    remount(disk, "size=200m")
    again = run_all(*STUDY, disk)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same_bundle(disk, smoke)
    assert [(folder / "log.txt").read_text().count("started ") for folder in done] == [1, 1]


@pytest.mark.slow
def test_a_read_only_results_folder_is_named(disk: Path):
    remount(disk, "ro")
    finished = run_all(*STUDY, disk)
    assert finished.returncode == 2
    assert str(disk) in finished.stderr
    assert "--results" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_damaged_results_are_named_and_scored_again_without_training(smoke: Path, copy: Path):
    cells = folders(copy)
    torn = cells["dense"] / "utterances.parquet"
    torn.write_bytes(torn.read_bytes()[:500])
    corrupted = cells["EMBDL.multi.supervised.global"] / "config.json"
    corrupted.write_text("{")
    finished = run_all(*STUDY, copy)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    words = " ".join(finished.stdout.replace("\n", "").split())
    for path in (torn, corrupted):
        assert path.with_name(f"{path.name}.damaged").exists()
        assert f"{path.name}.damaged" in words
    assert_same_bundle(copy, smoke)
    for name in ("dense", "EMBDL.multi.supervised.global"):
        assert trained_steps(cells[name]) == list(range(1, 21))


@pytest.mark.slow
def test_a_truncated_and_a_foreign_checkpoint_cost_their_runs_alone(smoke: Path, tmp_path: Path):
    shutil.copytree(smoke / ".corpora", tmp_path / ".corpora")
    process = subprocess.Popen(
        command(*STUDY, tmp_path, "--checkpoint-every", "0"),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    checkpoints: list[Path] = []
    while len(checkpoints) < 2:
        assert process.poll() is None
        checkpoints = sorted(tmp_path.glob(".runs/*/*/checkpoint.pt"))
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first, second = checkpoints
    shutil.copy(first, second)
    first.write_bytes(first.read_bytes()[:-100])
    finished = run_all(*STUDY, tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("checkpoint.pt.damaged") == 2
    assert_same_bundle(tmp_path, smoke)
