"""The benchmark: sides in turn, traffic from shapes, one file per machine, its table and figure."""

import json
from pathlib import Path

import pytest
import torch

from ablations.bench.benchmark import bench
from ablations.bench.floors import by_class, floors, flops, own_times, work
from ablations.bench.timing import alternate, traffic
from analysis.bench.report import report_bench, speed_table
from analysis.bundle.load import BundleError
from smoe.config import ModelConfig
from smoe.errors import UserError
from smoe.network.cost import REFERENCE_SAMPLES, cost
from smoe.network.unet import SpeechEnhancer
from smoe.ops import processor
from tests.ablations.conftest import ROOT


def test_sides_take_turns() -> None:
    """A B A B with the number of the round; the first round is not counted."""
    calls: list[tuple[str, int]] = []
    sides = {name: lambda index, n=name: calls.append((n, index)) for name in "AB"}
    times = alternate(sides, rounds=2, device="cpu")
    assert calls == [("A", 0), ("B", 0), ("A", 1), ("B", 1), ("A", 2), ("B", 2)]
    assert [len(v) for side in times.values() for v in side.values()] == [2, 2, 2, 2]


def test_traffic_counts_bytes_read_and_written() -> None:
    """A sum reads two tensors and writes one; a concatenation is a copy; views move nothing."""
    x = torch.zeros(1000)
    assert traffic(lambda: x + x) == {"all_bytes": 12_000, "layout_bytes": 0}
    assert traffic(lambda: torch.cat([x, x])) == {"all_bytes": 16_000, "layout_bytes": 16_000}
    assert traffic(lambda: x.view(10, 100).T[3:]) == {"all_bytes": 0, "layout_bytes": 0}


def test_floors_count_every_operation_and_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of n x n in one second is 2 n^3 a second; a copy reads and writes each byte."""
    monkeypatch.setattr("ablations.bench.floors._median_s", lambda *_: 1.0)
    found = floors("cpu", quick=True)
    assert found["matmul_flops_per_s"] == {"float32": 2 * 128**3, "bfloat16": 2 * 128**3}
    assert found["copy_bytes_per_s"] == 2 * 2**16


def test_work_of_a_convolution_by_hand() -> None:
    """2 operations for each weight and output position; backward does the same work twice."""
    layer, x = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.zeros(2, 3, 8, 8)
    forward = 2 * (5 * 3 * 9) * (2 * 8 * 8)
    assert flops(lambda: layer(x)) == forward
    assert flops(lambda: layer(x.requires_grad_()).sum().backward()) == 3 * forward


def test_time_is_told_by_class_of_operators() -> None:
    """A convolution that is nothing but one spends its time there; all times are non-negative."""
    layer, x = torch.nn.Conv2d(16, 16, 5, padding=2), torch.zeros(2, 16, 64, 64)
    spent = by_class(own_times(lambda: layer(x), "cpu"), "cpu")
    assert max(spent, key=lambda name: spent[name]) == "convolution"
    assert min(spent.values()) >= 0


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("_stacked_backward", "kernel building"),
        ("_normalisation_gradients", "norm and activation"),
        ("_affine_crelu", "norm and activation"),
        ("_add_gated_backward", "bias and gates"),
        ("_kernel_gradient_kernel", "convolution"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_nhwckrsc_nhwc", "convolution"),
        ("void cutlass::device_kernel<AutoVectorizingCopyWithAssumedAlignment>", "convolution"),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16>", "copy and layout"),
        ("void at::native::CatArrayBatchedCopy<c10::BFloat16>", "copy and layout"),
        ("Memcpy DtoD (Device -> Device)", "copy and layout"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimiser"),
        ("void regular_fft<512u, EPT<8u>>", "transform"),
        ("void at::native::reduce_kernel<512, 1>", "other"),
    ],
)
def test_class_of_a_kernel_on_a_gpu(kernel: str, expected: str) -> None:
    spent = by_class({kernel: 2.0}, "cuda")
    assert spent.pop(expected) == 2.0
    assert not any(spent.values())


def test_work_of_a_step_is_three_times_that_of_enhancing() -> None:
    """Less the gradients of inputs, which the layers that see the signal itself do not compute."""
    config = ModelConfig(init_channels=2)
    network = SpeechEnhancer(config).unet
    router = network.global_router
    assert router is not None
    first = next(m for m in router.modules() if isinstance(m, torch.nn.Conv2d))
    seen: list[int] = []
    first.register_forward_hook(lambda _, x, y: seen.append(y.numel() * first.weight[0].numel()))
    network.input_conv.register_forward_hook(lambda *_: seen.append(4 * 2 * 9 * 257 * 188))
    network(torch.randn(1, 1, 257, 188, dtype=torch.complex64), torch.tensor([2]))
    macs = cost(config).macs_per_s * 3
    assert work(config, REFERENCE_SAMPLES).flops == pytest.approx(2 * (3 * macs - sum(seen)))


def test_bytes_that_convolutions_move_by_hand() -> None:
    """Of a network of three levels, from the sizes of its maps [complex channels, F, T]."""
    full, half, quarter, eighth = 257 * 32, 128 * 16, 64 * 8, 32 * 4
    maps = [  # read, written
        (full, full), (full, half),  # level 0, channels 1 to 1
        (half, 2 * half), (2 * half, 2 * quarter),
        (2 * quarter, 4 * quarter), (4 * quarter, 4 * eighth),
        (4 * eighth, 4 * eighth),  # bottleneck
        (4 * eighth, 4 * quarter), (8 * quarter, 2 * quarter),  # up; joined with the skip
        (2 * quarter, 2 * half), (4 * half, half),
        (half, full), (2 * full, full),
        (full, full),  # output
    ]  # fmt: skip
    elements = 2 * (2 * full + 2 * full)  # of the input's convolution: its map needs no gradient
    elements += sum(2 * (3 * read + 2 * written) for read, written in maps)
    config = ModelConfig(init_channels=1, n_layers=3, smoe_layer_positions=())
    assert work(config, 8000).map_bytes == 2 * elements


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench(tmp_path_factory.mktemp("results"), threads=1, quick=True)


def test_bench_writes_every_raw_time(measured: Path) -> None:
    """All measurements with their sides; the number of threads is put back."""
    content = json.loads(measured.read_text())
    kinds = {record["what"] for record in content["measurements"]}
    assert kinds == {
        "step", "inference", "loss", "metrics", "memory", "sweep_step", "sweep_inference", "floors",
    }  # fmt: skip
    for record in content["measurements"]:
        for side in record["times"].values():
            assert all(time > 0 for time in side["wall_s"])
    assert content["threads"] == 1 and content["quick"]
    assert content["versions"]["torch"] == torch.__version__.split("+")[0]


def test_report_from_the_file_alone(measured: Path) -> None:
    """Table in three forms and the figure; a ratio is the median of the ratios within rounds."""
    written = report_bench(measured.parent)
    assert {path.suffix for path in written} == {".md", ".tex", ".csv", ".png"}
    content = json.loads(measured.read_text())
    for record in content["measurements"]:
        if record["what"] == "step":
            record["times"] = {
                side: {"wall_s": walls, "cpu_s": walls}
                for side, walls in {
                    "fast_float32": [1.0, 1.0, 1.0],
                    "fast_bfloat16": [0.5, 0.5, 0.5],
                    "reference": [3.0, 9.0, 4.0],
                }.items()
            }
        if record["what"] == "floors":
            record["matmul_flops_per_s"] = {"float32": 4e12, "bfloat16": 8e12}
            record["fast_float32_flops"] = 1e12
    table = speed_table(content)
    assert any("1 TFLOP at 1 TFLOP/s, 25% of the product's rate" in note for note in table.notes)
    values = [str(v) for v in table.rows[0].values]
    assert values[2:5] == ["1\u2009000.0", "4\u2009000.0", "4.00"]


def test_what_users_can_mend(tmp_path: Path, measured: Path) -> None:
    """No measurement, a damaged one, a device that is not there."""
    with pytest.raises(BundleError, match="run_all"):
        report_bench(tmp_path)
    (tmp_path / "here.json").write_text(measured.read_text()[:100])
    with pytest.raises(BundleError, match="damaged"):
        report_bench(tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cpu"):
            bench(tmp_path, "cuda")


def test_files_are_named_by_processor_and_gpu(measured: Path) -> None:
    """So that machines of one kind share a file and others do not overwrite it."""
    assert measured.stem == f"{processor.kind()}-quick"
    committed = list((ROOT / "results" / "bench").glob("*.json"))
    assert len(committed) >= 2
    for path in committed:
        content = json.loads(path.read_text())
        assert not content["quick"], f"{path} is a trial, no result"
        if content["gpu"]:
            assert path.stem == processor.slug(content["gpu"])
        else:
            words = f"{content['cpu']} {content.get('instructions', '')}"
            assert set(path.stem.split("-")) <= set(processor.slug(words).split("-"))


def test_a_trial_replaces_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which measurements there are does not matter to their files' names."""
    monkeypatch.setattr("ablations.bench.benchmark._measurements", lambda *_: iter(()))
    whole = bench(tmp_path, threads=1)
    before = whole.read_bytes()
    trial = bench(tmp_path, threads=1, quick=True)
    assert whole.stem == processor.kind()
    assert trial.stem == f"{processor.kind()}-quick"
    assert whole.read_bytes() == before and not json.loads(before)["quick"]
    assert json.loads(trial.read_bytes())["quick"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"native_bfloat16": True, "instructions": "amx"}, "a (amx) with 2 threads"),
        ({"native_bfloat16": True, "instructions": "amx"}, "bfloat16 is native here."),
        ({"native_bfloat16": False, "instructions": "imitated-avx2"}, "bfloat16 is emulated here"),
        ({"cpu": "b avx512_bf16 avx512f"}, "bfloat16 is native here."),
        ({"cpu": "b avx512f"}, "bfloat16 is emulated here"),
    ],
)
def test_the_table_says_whether_bfloat16_is_native(said: dict, words: str) -> None:
    """Files from before it was noted have the instructions in the processor's name."""
    content = {"cpu": "a", "threads": 2, "versions": {"torch": "2"}, "quick": False}
    assert words in speed_table({**content, "measurements": [], **said}).caption
