"""What this processor computes with its own instructions, and what its libraries emulate.

PyTorch's own loops and oneDNN, which computes the convolutions, choose instructions separately. The
environment variables `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA` limit the one and the other, so
that a processor can imitate an older one. What is said here holds under these limits.
"""

import os
import platform
import re
from functools import cache
from pathlib import Path

import torch

# Instruction sets from the oldest to the newest, as far as they matter here.
LEVELS = ("default", "avx2", "avx512", "avx512-bf16", "amx")
# What values of ONEDNN_MAX_CPU_ISA allow; all others allow everything.
_ONEDNN_LEVELS = {
    "sse41": "default",
    "avx": "default",
    "avx2": "avx2",
    "avx2_vnni": "avx2",
    "avx2_vnni_2": "avx2",
    "avx512_core": "avx512",
    "avx512_core_vnni": "avx512",
    "avx512_core_bf16": "avx512-bf16",
    "avx512_core_fp16": "avx512-bf16",
}


@cache
def native_bfloat16() -> bool:
    """Return whether oneDNN convolves bfloat16 with instructions of this processor.

    oneDNN also accepts bfloat16 on processors with AVX-512 that have no instructions for it, and
    converts each number on the way; without AVX-512, PyTorch does not even ask it. Both are slower
    than float32.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return not _is_x86() or onednn_level() in ("avx512-bf16", "amx")


def pytorch_level() -> str:
    """Return the instruction set of PyTorch's own loops, in lower case, such as "avx2"."""
    return torch.backends.cpu.get_cpu_capability().lower().replace(" ", "-")


def onednn_level() -> str:
    """Return the newest of `LEVELS` that oneDNN uses on an x86 processor."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    allowed = _ONEDNN_LEVELS.get(limit.lower(), LEVELS[-1])
    return min(allowed, hardware_level(), key=LEVELS.index)


def hardware_level() -> str:
    """Return the newest of `LEVELS` that an x86 processor has, whatever the environment says."""
    if torch.cpu._is_amx_tile_supported():
        return "amx"
    if torch.cpu._is_avx512_bf16_supported():
        return "avx512-bf16"
    if torch.cpu._is_avx512_supported():
        return "avx512"
    return "avx2" if torch.cpu._is_avx2_supported() else "default"


def instructions() -> str:
    """Return the instruction sets in use, such as "avx512-bf16", "imitated-avx2" or "sve256-bf16".

    "imitated" says that the environment hides instructions that the processor has.
    """
    own = pytorch_level()
    if not _is_x86():
        return f"{own}-bf16" if native_bfloat16() else own
    onednn, hardware = onednn_level(), hardware_level()
    if (own, onednn) == (_of_loops(hardware), hardware):
        return hardware
    return f"imitated-{onednn}" if _of_loops(onednn) == own else f"imitated-{own}-onednn-{onednn}"


def processor_name() -> str:
    """Return the processor's model as the operating system names it, or else its architecture."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(\S.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def kind() -> str:
    """Return a name for processors that compute alike, fit for a file: "amd-epyc-avx512-bf16"."""
    return f"{slug(processor_name())}-{instructions()}"


def slug(name: str) -> str:
    """Return a device's name in lower case, its words joined by hyphens, without trademarks."""
    plain = re.sub(r"\((?:r|tm|c)\)|@.*|\b(?:cpu|processor)\b", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "unknown"


def _of_loops(level: str) -> str:
    """Return what PyTorch's own loops use of a level."""
    return "avx512" if LEVELS.index(level) >= LEVELS.index("avx512") else level


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
