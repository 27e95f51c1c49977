"""Shapes of the design, and how the whole network behaves."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from ablations.studies.grid import CELLS, resolve
from smoe.config import POSITIONS, ModelConfig, RunConfig
from smoe.network.complex_layers import ComplexConv2d, NormCReLU
from smoe.network.unet import SMoEEnhancedUNet
from tests.smoe.networks import AXES, relative_error, spectrogram, unet

# Channels, frequencies and frames of every stage at width 45, as the design's table has them.
SKIPS = [(45, 257, 188), (90, 128, 94), (180, 64, 47), (360, 32, 23), (360, 16, 11)]
PASSED_ON = [(45, 128, 94), (90, 64, 47), (180, 32, 23), (360, 16, 11), (360, 8, 5)]
DECODED = [(360, 16, 11), (180, 32, 23), (90, 64, 47), (45, 128, 94), (45, 257, 188)]
REFINED = {
    "early_encoder": (90, 128, 94),
    "mid_encoder": (180, 64, 47),
    "bottleneck": (360, 8, 5),
    "mid_decoder": (90, 64, 47),
    "late_decoder": (45, 128, 94),
}


def test_shape_table_at_width_45() -> None:
    """Every row of the design's table, on the real 257 x 188 spectrogram."""
    network = SMoEEnhancedUNet(ModelConfig()).eval()
    seen: dict[str, object] = {}

    def note(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            maps = output if isinstance(output, tuple) else (output,)
            seen[name] = [(m.shape[1] // 2, *m.shape[2:]) for m in maps]

        return hook

    for name, module in network.named_modules():
        if name and "router" not in name:
            module.register_forward_hook(note(name))  # type: ignore[arg-type]
        if isinstance(module, nn.Sequential) and "experts" in name:  # the shapes do not need them
            module.forward = torch.zeros_like  # type: ignore[assignment]
    with torch.no_grad():
        outputs = network(spectrogram(1, (257, 188), dtype=torch.float32))
    assert seen["input_conv"] == [(45, 257, 188)]
    for level in range(5):
        assert seen[f"encoder.{level}"] == [SKIPS[level], PASSED_ON[level]]
        assert seen[f"decoder.{level}"] == [DECODED[level]]
    assert seen["bottleneck"] == [(360, 8, 5)]
    assert {p: seen[f"smoe.{p}"] for p in POSITIONS} == {p: [s] for p, s in REFINED.items()}
    assert seen["output_conv"] == [(1, 257, 188)]
    assert outputs["mask"].shape == outputs["enhanced_spec"].shape == (1, 1, 257, 188)
    assert outputs["mask"].is_complex()


@pytest.mark.parametrize("size", [(33, 32), (32, 33), (47, 64), (64, 61), (129, 500), (257, 63)])
def test_odd_and_even_sizes(size: tuple[int, int]) -> None:
    """The output has the input's size, whatever its parity at each of the five levels."""
    network = unet(n_layers=5, dtype=torch.float32).eval()
    x = spectrogram(1, size, dtype=torch.float32)
    with torch.no_grad():
        outputs = network(x)
    assert outputs["mask"].shape == x.shape
    assert torch.equal(outputs["enhanced_spec"], outputs["mask"] * x)


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_samples_of_a_batch_are_independent_in_evaluation(axes: dict) -> None:
    """A sample's output is the one it gets alone, and labels change nothing."""
    network = unet(**axes).eval()
    x = spectrogram(batch=4)
    with torch.no_grad():
        together = network(x)["mask"]
        alone = torch.cat([network(one)["mask"] for one in x.split(1)])
        labelled = network(x, torch.tensor([0, 1, 2, 0]))["mask"]
    assert relative_error(together, alone) < 1e-12
    assert torch.equal(together, labelled)


def test_labels_route_in_supervised_training_only() -> None:
    """They change the output of supervised training, and of nothing else."""
    x, labels, others = spectrogram(batch=3), torch.tensor([2, 0, 1]), torch.tensor([1, 1, 0])
    for axes in AXES:
        network = unet(**axes).train()
        same = torch.equal(network(x, others)["mask"], network(x, labels)["mask"])
        assert same == (axes["routing"] == "implicit"), axes


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_every_parameter_learns(axes: dict) -> None:
    """Each parameter of each placement gets a finite gradient that is not zero.

    Exceptions by design: with labels the enhancement loss does not reach the routers (the routing
    loss does), and in single-expert mode an expert that nobody chose learns nothing.
    """
    codes = [f"{p}.{'multi' if axes['enable_multi_expert'] else 'single'}" for p in placements()]
    for code in codes:
        cell = CELLS[f"{code}.{axes['routing']}.{axes['router_scope']}"]
        network = unet(smoe_layer_positions=cell.placement, **axes).train()
        outputs = network(spectrogram(batch=4), torch.tensor([0, 1, 2, 0]))
        outputs["mask"].abs().square().sum().backward()
        expected_none = {
            name
            for name, _ in network.named_parameters()
            if ("router" in name and axes["routing"] == "supervised")
            or ("experts." in name and not chosen(name, outputs))
        }
        for name, parameter in network.named_parameters():
            gradient = parameter.grad
            if name in expected_none:
                assert gradient is None or not gradient.any(), (cell.code, name)
            else:
                assert gradient is not None and gradient.isfinite().all(), (cell.code, name)
                assert gradient.any(), (cell.code, name)


def placements() -> list[str]:
    """Every position once alone and all together: each code path of the other 26 placements."""
    return ["E----", "-M---", "--B--", "---D-", "----L", "EMBDL"]


def chosen(name: str, outputs: dict) -> bool:
    """Whether the expert that a parameter belongs to had any weight in the batch."""
    _, position, _, expert, *_ = name.split(".")
    return bool(outputs["expert_usage"][position][int(expert)] > 0)


def test_all_cells_build() -> None:
    """249 cells, each with an S-MoE layer exactly where its name says and routers of its scope."""
    base = RunConfig(model=ModelConfig(init_channels=1), data_hash="")
    assert len(CELLS) == 249
    for code, cell in CELLS.items():
        config = resolve(code, base).model
        assert config is not None
        with torch.device("meta"):
            network = SMoEEnhancedUNet(config)
        assert set(network.smoe) == set(cell.placement)
        one_router = bool(cell.placement) and cell.router_scope == "global"
        assert (network.global_router is not None) == one_router
        assert set(network.layer_routers) == (set() if one_router else set(cell.placement))


def test_the_network_needs_torch_alone() -> None:
    """Importing it brings in no tracking, tables or plots: it can be used without the suite."""
    code = (
        "import sys, smoe.network.unet; "
        "print(*{'mlflow', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == []


def test_bounded_mask() -> None:
    """`tanh` keeps the phase and brings every magnitude below one."""
    network = unet().eval()
    x = spectrogram()
    with torch.no_grad():
        free = network(x)["mask"]
        network.config = network.config.model_copy(update={"mask_bound": "tanh"})
        bounded = network(x)["mask"]
    torch.testing.assert_close(bounded, torch.polar(free.abs().tanh(), free.angle()))
    assert free.abs().max() > 1 > bounded.abs().max()


def test_feature_maps_stay_channels_last() -> None:
    """No layer hands on another memory layout, also where experts see some samples only.

    One that did would make all that follow reorder or, worse, compute in the slower layout.
    """
    network = unet(init_channels=4, n_layers=5, dtype=torch.float32).train()
    lost = []

    def check(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for x in (*inputs[:1], output):
            if not x.is_contiguous(memory_format=torch.channels_last):
                lost.append((type(module).__name__, tuple(x.shape), x.stride()))

    for module in network.modules():
        if isinstance(module, ComplexConv2d | NormCReLU):
            module.register_forward_hook(check)
    with torch.autocast("cpu", torch.bfloat16):
        network(spectrogram(3, (64, 64), dtype=torch.float32), torch.tensor([0, 1, 2]))
    assert not lost
