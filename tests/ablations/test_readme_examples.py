"""The README's commands and worked examples, carried out as they stand there."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.processes import start
from tests.test_readme import BLOCKS, PAGES, ROOT, block

pytestmark = pytest.mark.slow
# GPUs, servers and clusters have their own page, and test_ray_cluster.py what can be had here.
HERE = "\n".join(text for path, text in PAGES.items() if path.name != "large-studies.md")
LINES = re.findall(r"^(?:python )(run_all\.py \S.*)$", HERE, re.MULTILINE)
# What a command needs that is not here; `bench` runs in test_benchmark.py.
ELSEWHERE = re.compile(r"# *\((?:corpus|GPU|cluster|minutes)\)")
TINY = """
title = "Example"
question = "Does the example of the README run?"
cells = ["dense", "{cell}"]
seeds = [0]
data = "synthetic:tiny"
[model]
init_channels = 2
n_experts = {n_experts}
[mix]
crop_s = 1.0
[train]
precision = "float32"
steps = 4
batch_size = 4
warmup_steps = 2
[test]
crop_s = 1.5
snrs_db = [10.0]
per_snr = 1
clean = 1
counterfactual_per_condition = 1
"""


@pytest.mark.parametrize("line", [line for line in LINES if not ELSEWHERE.search(line)])
def test_a_command_of_the_readme_runs(line: str, everything: Path, tmp_path: Path):
    words = [*line.split("#", maxsplit=1)[0].split(), "--results", str(everything)]
    if words[1] in ("enhance", "register"):  # of networks that are trained here
        words = [word.replace("quick", "smoke") for word in words]
    if words[1] == "ui":
        words += ["--port", "0"]
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noisy.wav", 0.1 * rng.standard_normal(32_000), 16_000)
    process = start([sys.executable, str(ROOT / words[0]), *words[1:]], tmp_path)
    if words[1] == "ui":
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_the_example_of_a_registered_network_enhances(smoke: Path, tmp_path: Path):
    (tmp_path / "results").symlink_to(smoke)
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noisy.wav", 0.1 * rng.standard_normal(32_000), 16_000)
    cell = "EMBDL.multi.supervised.global"
    register = [sys.executable, str(ROOT / "run_all.py"), "register", cell, "--study", "smoke"]
    subprocess.run(register, cwd=tmp_path, check=True)
    example = block("python", "load_model").replace("quick", "smoke")
    example += "assert enhanced.shape == noisy.shape and (enhanced != noisy).any()"
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)


@pytest.fixture(scope="module")
def everything(smoke: Path) -> Path:
    """Results with the smoke study trained here, and the stored ones of this repository."""
    for study in ("quick", "core"):
        shutil.copytree(ROOT / "results" / study, smoke / study, dirs_exist_ok=True)
    return smoke


def test_the_example_study_of_the_readme_trains(smoke: Path, tmp_path: Path):
    (tmp_path / "depth.toml").write_text(block("toml", "Depth").replace("[0, 1, 2]", "[0]"))
    settings = ["train.steps=4", "train.batch_size=4", "test.per_snr=1", "test.clean=1"]
    sets = [part for setting in settings for part in ("--set", setting)]
    shutil.copytree(smoke / ".corpora", tmp_path / "results" / ".corpora")
    study = trained(ROOT, tmp_path, "depth.toml", "--data", "synthetic:tiny", *sets)
    assert set(pd.read_parquet(study / "runs.parquet")["cell"]) == {
        "unprocessed", "dense", "--B--.multi.supervised.global",
    }  # fmt: skip


def test_the_example_metric_is_in_tables_and_explain(smoke: Path, tmp_path: Path):
    changed = suite_with(tmp_path, "segmental_snr_db")
    study = tiny_study(changed, smoke, "EMBDL.multi.supervised.global")
    scores = pd.read_parquet(study / "utterances.parquet")
    noise = scores[(scores["condition"] == "noise") & (scores["counterfactual"] == "learned")]
    assert noise["segmental_snr_db"].between(-10, 35).all()
    assert "segmental SNR" in (study / "tables" / "table1_main.md").read_text()


def test_the_example_expert_is_a_third_expert(smoke: Path, tmp_path: Path):
    changed = suite_with(tmp_path, 'EXPERT_KINDS["hum"]')
    study = tiny_study(changed, smoke, "EMBDL.multi.implicit.global", n_experts=3)
    code = (
        "from smoe.config import ModelConfig; from smoe.network.unet import SMoEEnhancedUNet;"
        "net = SMoEEnhancedUNet(ModelConfig(init_channels=2, n_experts=3));"
        "print([tuple(next(e.parameters()).shape[-2:]) for e in net.smoe['early_encoder'].experts])"
    )
    kernels = subprocess.run(
        [sys.executable, "-c", code], cwd=changed, capture_output=True, text=True, check=True
    )
    assert kernels.stdout.strip().endswith("(9, 1)]")
    assert set(pd.read_parquet(study / "runs.parquet")["status"]) == {"done"}


def test_the_example_placement_moves_the_late_decoder(smoke: Path, tmp_path: Path):
    cell = "----L.multi.supervised.global"
    costs = []
    for name in ("as it is", "moved"):
        (tmp_path / name).mkdir()
        changed = suite_with(tmp_path / name, "config.n_layers - 1" if name == "moved" else None)
        study = tiny_study(changed, smoke, cell)
        runs = pd.read_parquet(study / "runs.parquet").set_index("cell")
        costs.append(runs.loc[cell, "macs"] / runs.loc["dense", "macs"])
    assert costs[1] > 2 * costs[0] - 1  # full resolution: four times the bins, as many channels


def suite_with(folder: Path, content: str | None) -> Path:
    """A copy of the suite, changed as the README's blocks with or beside this content say."""
    for package in ("smoe", "ablations", "analysis"):
        shutil.copytree(ROOT / package, folder / package)
    shutil.copy(ROOT / "run_all.py", folder)
    for kind, text in BLOCKS:
        key = content and content.removeprefix("EXPERT_KINDS")
        if not key or key not in text:
            continue
        if kind == "python":
            file = re.findall(r"^# at the end of (\S+)$", text, re.MULTILINE)[0]
            with (folder / file).open("a") as source:
                source.write("\n\n" + text.split("\n", 1)[1])
        elif kind == "diff":
            file = re.findall(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE)[0]
            (old,) = re.findall(r"^-(?!--)(.*)$", text, re.MULTILINE)
            (new,) = re.findall(r"^\+(?!\+\+)(.*)$", text, re.MULTILINE)
            source_text = (folder / file).read_text()
            assert source_text.count(old) == 1
            (folder / file).write_text(source_text.replace(old, new))
    return folder


def tiny_study(suite: Path, smoke: Path, cell: str, n_experts: int = 2) -> Path:
    shutil.copytree(smoke / ".corpora", suite / "results" / ".corpora")
    (suite / "example.toml").write_text(TINY.format(cell=cell, n_experts=n_experts))
    return trained(suite, suite, "example.toml")


def trained(suite: Path, where: Path, study: str, *arguments: str) -> Path:
    """Runs a study; returns the folder of its bundle."""
    results = where / "results"
    finished = subprocess.run(
        [sys.executable, str(suite / "run_all.py"), "run", "--study", str(where / study),
         "--results", str(results), *arguments],
        cwd=suite, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (found,) = results.glob("*/study.json")
    assert json.loads(found.read_text())["failed"] == []
    return found.parent
