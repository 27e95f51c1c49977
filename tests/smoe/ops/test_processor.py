"""What the processor computes by itself: the answers against what oneDNN says it does."""

import json
import os
import subprocess
import sys

import pytest
import torch

from smoe.ops import processor

LIMITED = {
    "nothing": {},
    "loops": {"ATEN_CPU_CAPABILITY": "avx2"},
    "convolutions": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "old name": {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "avx2"},
}
# A convolution whose kernel's name oneDNN tells, and what this module says of the processor.
ASK = """
import json, torch
from smoe.ops import processor
x, kernel = torch.ones(2, 16, 32, 32).bfloat16(), torch.ones(16, 16, 3, 3).bfloat16()
torch.nn.functional.conv2d(x, kernel)
print(json.dumps([processor.native_bfloat16(), processor.kind(), processor.hardware_level()]))
"""


def asked(limits: dict[str, str]) -> tuple[bool, str, str, list[str]]:
    """Answers under limits, and the kernels that oneDNN used for a convolution in bfloat16."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("_MAX_CPU_ISA", "_CAPABILITY"))}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**kept, **limits, "ONEDNN_VERBOSE": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    used = [line for line in lines if "exec,cpu,convolution" in line and "bf16" in line]
    native, kind, hardware = json.loads(lines[-1])
    return native, kind, hardware, used


@pytest.mark.skipif(not processor._is_x86(), reason="the limits are those of x86 processors")
@pytest.mark.parametrize("limited", LIMITED)
def test_what_is_native_is_what_onednn_uses(limited: str) -> None:
    native, kind, hardware, used = asked(LIMITED[limited])
    by_instructions = [line for line in used if "avx512_core_bf16" in line or "amx" in line]
    assert native == bool(by_instructions)
    best = "avx512" if limited == "avx512" else "avx2" if LIMITED[limited] else "amx"
    hidden = processor.LEVELS.index(hardware) > processor.LEVELS.index(best)
    assert ("imitated" in kind) == hidden
    if limited == "avx2":
        assert not native and kind.endswith("avx2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Intel(R) Xeon(R) Platinum 8488C", "intel-xeon-platinum-8488c"),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "intel-core-i7-8550u"),
        ("AMD EPYC", "amd-epyc"),
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("", "unknown"),
    ],
)
def test_names_of_files(name: str, expected: str) -> None:
    assert processor.slug(name) == expected


@pytest.mark.parametrize(
    ("hardware", "own", "onednn", "expected"),
    [
        ("avx2", "avx2", "avx2", "avx2"),
        ("amx", "avx512", "amx", "amx"),
        ("amx", "avx2", "avx2", "imitated-avx2"),
        ("avx512-bf16", "avx512", "avx512", "imitated-avx512"),
        ("avx512", "avx512", "avx2", "imitated-avx512-onednn-avx2"),
    ],
)
def test_an_imitation_says_so(hardware, own, onednn, expected, monkeypatch) -> None:
    monkeypatch.setattr(processor, "_is_x86", lambda: True)
    for name, level in (("hardware", hardware), ("pytorch", own), ("onednn", onednn)):
        monkeypatch.setattr(processor, f"{name}_level", lambda level=level: level)
    assert processor.instructions() == expected


def test_without_procfs_and_on_another_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Mac: there is still a name, and no question about x86 is asked."""
    monkeypatch.setattr(processor.Path, "exists", lambda _: False)
    monkeypatch.setattr(processor.platform, "processor", lambda: "arm")
    monkeypatch.setattr(processor, "_is_x86", lambda: False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    processor.native_bfloat16.cache_clear()
    try:
        assert processor.kind() == f"arm-{processor.pytorch_level()}"
    finally:
        processor.native_bfloat16.cache_clear()
