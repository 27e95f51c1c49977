"""What a machine can do at best, and how far from it a training step is, and why.

Two rates bound every network: that of a large matrix product and that of a large copy. A step that
computes at half the rate of the product cannot become more than twice as fast.
"""

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ablations.bench.timing import wait
from smoe.config import ModelConfig, RunConfig, TrainConfig
from smoe.mixtures.mixing import BOTH, Mixture
from smoe.network.complex_layers import ComplexConv2d, ComplexUpsample2d
from smoe.network.unet import SpeechEnhancer
from smoe.training.step import training_step

REPEATS = 7
PROFILED_STEPS = 3
_PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # long enough to hide the start of a kernel
_COPY_BYTES = {"cpu": 2**28, "cuda": 2**32}  # far beyond every cache
# Operators by the beginning of their names; the first that fits decides.
_OPERATORS = {
    "convolution": ("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution",
                    "_slow_conv", "slow_conv"),
    "norm and activation": ("native_batch_norm", "cudnn_batch_norm", "threshold", "clamp_min",
                            "relu", "softmax", "_softmax", "_log_softmax"),
    "transform": ("_fft", "unfold", "col2im", "im2col", "reflection_pad"),
    "copy and layout": ("copy_", "cat", "clone", "fill_", "index", "scatter", "stack"),
    "optimiser": ("_fused_adamw", "_foreach", "linalg_vector_norm"),
}  # fmt: skip
# A GPU's kernels by what their names contain, ours by how they begin; the first that fits decides.
# Names of convolutions can contain "copy", and those of cuDNN's changes of layout contain "cudnn".
_KERNELS = (
    ("kernel building", "^_stacked"),
    ("norm and activation", "^_(moments|normalisation|affine_crelu)"),
    ("bias and gates", "^_add_(bias|gated)"),
    ("optimiser", "multi_tensor"),
    ("transform", "fft"),
    ("copy and layout", "nchwtonhwc|nhwctonchw"),
    ("convolution", "^_(convolve|kernel_gradient|sum)_kernel|xmma|cutlass|cudnn|convolve|[dw]grad"),
    ("copy and layout", "memcpy|memset|catarray|copy"),
)


def floors(device: str, *, quick: bool = False) -> dict[str, Any]:
    """Rates of a square matrix product and of a copy, medians, as large as the device deserves.

    Returns:
        `matmul_flops_per_s` by precision, and `copy_bytes_per_s`, counting reads and writes.
    """
    kind = device.partition(":")[0]
    size = 128 if quick else _PRODUCT_SIZE[kind]
    rates = {}
    for precision in ("float32", "bfloat16"):
        factors = torch.randn(2, size, size, device=device).to(getattr(torch, precision))
        rates[precision] = 2 * size**3 / _median_s(lambda f=factors: f[0] @ f[1], device)
    source = torch.zeros(2**16 if quick else _COPY_BYTES[kind], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _median_s(lambda: target.copy_(source), device)
    return {"matmul_flops_per_s": rates, "copy_bytes_per_s": 2 * len(source) / copy_s}


def flops(step: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products of a step, by shape."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


class Work(NamedTuple):
    """What a training step has to do for one signal, whatever carries it out.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products, forward and backward,
            every expert at work.
        map_bytes: Read and written by the complex convolutions if each reads its map and writes its
            result once, reads the map and the result's gradient once more, and writes the map's
            gradient; in bfloat16, kernels left out.
    """

    flops: int
    map_bytes: int


def work(config: ModelConfig, samples: int) -> Work:
    """Counts a training step on the processor, on one signal that needs both experts."""
    enhancer = SpeechEnhancer(config).train()
    elements = 0

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            nonlocal elements
            elements += (2 + inputs[0].requires_grad) * inputs[0].numel()
            # The skip's convolution adds to the result of another, which is counted there.
            elements += 0 if name.endswith("skip_conv") else 2 * output.numel()

        return hook

    for name, module in enhancer.named_modules():
        if isinstance(module, ComplexConv2d | ComplexUpsample2d):
            module.register_forward_hook(note(name))
    signal, unknown = torch.randn(1, samples), torch.full((1,), torch.nan)
    mixture = Mixture(signal, signal, torch.tensor([BOTH]), unknown, unknown)
    settings = RunConfig(train=TrainConfig(precision="float32"), data_hash="")
    optimiser = torch.optim.SGD(enhancer.parameters(), lr=0.0)
    step = lambda: training_step(enhancer, optimiser, settings, mixture, mixture.label)  # noqa: E731
    return Work(flops(step), elements * torch.bfloat16.itemsize)


def own_times(step: Callable[[], object], device: str) -> dict[str, float]:
    """Seconds that a step spends in each operator, or on a GPU in each kernel, by name."""
    on_gpu = device.startswith("cuda")
    step()
    wait(device)
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as profiler:
        for _ in range(PROFILED_STEPS):
            step()
        wait(device)
    spent = {}
    for event in profiler.key_averages():
        if (event.device_type.name != "CPU") != on_gpu or (on_gpu and event.is_user_annotation):
            continue  # an annotation spans kernels that are there themselves
        own_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        spent[event.key] = spent.get(event.key, 0.0) + own_us * 1e-6 / PROFILED_STEPS
    return spent


def by_class(own: dict[str, float], device: str) -> dict[str, float]:
    """The same seconds by class of operators or kernels."""
    on_gpu = device.startswith("cuda")
    classes = dict.fromkeys(label for label, _ in _KERNELS) if on_gpu else _OPERATORS
    spent = dict.fromkeys([*classes, "other"], 0.0)
    for name, own_s in own.items():
        spent[_kernel_class(name) if on_gpu else _operator_class(name)] += own_s
    return spent


def _operator_class(operator: str) -> str:
    name = operator.removeprefix("aten::")
    fits = (label for label, beginnings in _OPERATORS.items() if name.startswith(beginnings))
    return next(fits, "other")


def _kernel_class(kernel: str) -> str:
    fits = (label for label, sign in _KERNELS if re.search(sign, kernel, re.IGNORECASE))
    return next(fits, "other")


def _median_s(work: Callable[[], object], device: str) -> float:
    times = []
    for _ in range(REPEATS + 1):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[REPEATS // 2]
