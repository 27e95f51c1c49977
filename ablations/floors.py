"""What a machine can do at best, and how far from it a training step is, and why.

Two rates bound every network: that of a large matrix product and that of a large copy. A step that
computes at half the rate of the product cannot become more than twice as fast.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ablations.timing import wait

REPEATS = 7
PROFILED_STEPS = 3
_PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # long enough to hide the start of a kernel
_COPY_BYTES = {"cpu": 2**28, "cuda": 2**32}  # far beyond every cache
# Operators by the beginning of their names; the first that fits decides.
_CLASSES = {
    "convolution": ("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution",
                    "_slow_conv", "slow_conv"),
    "norm and activation": ("native_batch_norm", "cudnn_batch_norm", "threshold", "clamp_min",
                            "relu", "softmax", "_softmax", "_log_softmax"),
    "transform": ("_fft", "unfold", "col2im", "im2col", "reflection_pad"),
    "copy and layout": ("copy_", "cat", "clone", "fill_", "index", "scatter", "stack"),
    "optimiser": ("_fused_adamw", "_foreach", "linalg_vector_norm"),
}  # fmt: skip


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


def time_by_class(step: Callable[[], object], device: str) -> dict[str, float]:
    """Seconds that a step spends in each class of operators, on the device that computes."""
    on_gpu = device.startswith("cuda")
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    step()
    with profile(activities=activities, acc_events=True) as profiler:
        for _ in range(PROFILED_STEPS):
            step()
    spent = dict.fromkeys([*_CLASSES, "other"], 0.0)
    for event in profiler.key_averages():
        if event.device_type.name == "CPU":  # an operator; the time of its kernels is its own
            own_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[_class_of(event.key)] += own_us * 1e-6 / PROFILED_STEPS
    return spent


def _class_of(operator: str) -> str:
    name = operator.removeprefix("aten::")
    for label, beginnings in _CLASSES.items():
        if name.startswith(beginnings):
            return label
    return "other"


def _median_s(work: Callable[[], object], device: str) -> float:
    times = []
    for _ in range(REPEATS + 1):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[REPEATS // 2]
