"""The benchmark of a GPU, its plan gone through on the processor."""

import json
from pathlib import Path

import pytest
import torch

from ablations.bench.benchmark import bench
from ablations.bench.floors import work
from ablations.bench.gpu import QUICK, MakeStep
from analysis.bench.report import report_bench, speed_table
from smoe.config import ModelConfig
from smoe.training.step import training_step


def ordinary_step(enhancer, optimiser, config):
    """In place of a captured one, which only a GPU can do."""

    def step(mixture, labels, rate, parts):
        return torch.stack(list(training_step(enhancer, optimiser, config, mixture, labels, parts)))

    return step


def failing_after(number: int) -> MakeStep:
    """The networks after so many find no memory."""
    made = []

    def make_step(*arguments):
        made.append(0)
        if len(made) > number:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return ordinary_step(*arguments)

    return make_step


def as_on_a_gpu(path: Path) -> dict:
    return json.loads(path.read_text()) | {"gpu": "NVIDIA H200"}


@pytest.fixture(scope="module")
def measured_as_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GPU's plan gone through on the processor."""
    results = tmp_path_factory.mktemp("gpu")
    return bench(results, threads=1, quick=True, make_step=ordinary_step)


def test_plan_of_a_gpu(measured_as_gpu: Path) -> None:
    """Every measurement succeeds; steps know their work and floors; each cell its preparation."""
    records = json.loads(measured_as_gpu.read_text())["measurements"]
    assert [r["what"] for r in records] == ["floors", "together", "step", "step", "kernels"]
    assert not any("errors" in r for r in records)
    for record in records:
        for side in record["times"].values():
            assert len(side["wall_s"]) == 1 and min(side["wall_s"]) > 0
    rates, together, step, _, kernels = records
    assert list(together["times"]) == ["1", "2"] and len(together["prepare_s"]) == 2
    assert list(step["times"]) == ["captured", "reference"]
    assert step["flops"] == step["batch"] * work(ModelConfig(init_channels=2), 8000).flops
    arithmetic_s = step["flops"] / rates["matmul_flops_per_s"]["bfloat16"]
    assert step["floors_s"]["arithmetic"] == pytest.approx(arithmetic_s)
    assert sum(kernels["profile_s"].values()) > 0 and kernels["largest_s"]


def test_time_is_told_per_network_and_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A turn of 1 s: two networks do two steps each in it, the literal network does one."""

    def turns(sides, rounds, device):
        return {name: {"wall_s": [1.0] * rounds, "cpu_s": [1.0] * rounds} for name in sides}

    monkeypatch.setattr("ablations.bench.gpu.alternate", turns)
    monkeypatch.setattr("ablations.bench.gpu.QUICK", QUICK._replace(rounds=2, profiled=()))
    path = bench(tmp_path, threads=1, quick=True, make_step=ordinary_step)
    _, together, step, *_ = json.loads(path.read_text())["measurements"]
    assert together["times"]["1"]["wall_s"] == [0.5, 0.5]
    assert together["times"]["2"]["wall_s"] == [0.25, 0.25]
    assert step["times"]["captured"]["wall_s"] == [0.5, 0.5]
    assert step["times"]["reference"]["wall_s"] == [1.0, 1.0]


def test_table_and_figure_of_a_gpu(measured_as_gpu: Path) -> None:
    """Rows against the literal network and both floors, then of networks at once, with the rate."""
    content = as_on_a_gpu(measured_as_gpu)
    _, together, step, *_ = content["measurements"]
    for record, walls in ((step, {"captured": 0.01, "reference": 0.3}), (together, {"1": 0.02})):
        for side, wall_s in walls.items():
            record["times"][side] = {"wall_s": [wall_s] * 2, "cpu_s": [wall_s] * 2}
    step |= {"flops": 2e12, "floors_s": {"arithmetic": 0.005, "memory": 0.001}}
    measured_as_gpu.write_text(json.dumps(content))
    written = report_bench(measured_as_gpu.parent)
    assert {path.suffix for path in written} == {".md", ".tex", ".csv", ".png"}
    table = speed_table(content)
    values = [[str(v) for v in row.values] for row in table.rows if "batch 2" in row.group]
    assert values[2][1:] == [
        "literal, float32",
        "10.0",
        "300.0",
        "30.00",
        "30.00 to 30.00",
        "200.0",
    ]
    assert [row[4] for row in values[3:5]] == ["0.50", "0.10"]
    assert values[0][2] == "20.0" and values[1][:2] == ["2", "1"]
    assert "NVIDIA H200" in table.caption
    assert sum("first network" in note for note in table.notes) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_what_fails_costs_no_other(number: int, tmp_path: Path) -> None:
    """The reason is noted, the rest measured, and table and figure are drawn from what there is."""
    said: list[str] = []
    options = {"make_step": failing_after(number), "on_progress": said.append}
    path = bench(tmp_path, threads=1, quick=True, **options)
    content = as_on_a_gpu(path)
    path.write_text(json.dumps(content))
    records = content["measurements"]
    assert [r["what"] for r in records] == ["floors", "together", "step", "step", "kernels"]
    assert list(records[1]["times"]) == ["1", "2"][:number]
    assert all(list(r["times"]) == ["reference"] and "flops" in r for r in records[2:4])
    reason = "OutOfMemoryError: CUDA out of memory."
    assert records[2]["errors"] == {"captured": reason} and any(reason in line for line in said)
    assert report_bench(path.parent)
    assert any(reason in note for note in speed_table(content).notes)


def test_what_is_measured_is_kept_when_time_is_up(tmp_path: Path) -> None:
    """The GPU's file is written after each measurement, and can be reported from."""

    def stop(title: str) -> None:
        if "step: width 1" in title:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, threads=1, quick=True, make_step=ordinary_step, on_progress=stop)
    (path,) = tmp_path.glob("bench/*.json")
    content = as_on_a_gpu(path)
    assert [r["what"] for r in content["measurements"]] == ["floors", "together", "step"]
    path.write_text(json.dumps(content))
    assert len(report_bench(path.parent)) == 4
