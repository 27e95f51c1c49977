"""Memory: what a forward pass keeps for the backward pass, what is freed, and when it ran out."""

import contextlib
import ctypes
from collections.abc import Callable

import torch
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.network.unet import SpeechEnhancer

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def activation_bytes(config: ModelConfig, *, batch_size: int, samples: int) -> int:
    """Bytes that a float32 training step of this network holds at its peak, weights apart.

    The peak is where forward ends and backward begins. Labels are cycled through the classes, so
    that in supervised training every expert sees its share of the batch.
    """
    enhancer = SpeechEnhancer(config).train()
    classes = 2**config.n_experts - 1
    labels = torch.arange(batch_size) % classes
    noisy = torch.randn(batch_size, samples, generator=torch.Generator().manual_seed(0))
    return saved_bytes(enhancer, lambda: enhancer(noisy, labels)["enhanced_waveform"])


def saved_bytes(network: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes of the distinct storages that autograd keeps after `forward`, parameters apart."""
    own = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = forward()
    total = sum(kept.values())
    del output  # only now: while the graph lives, no storage is freed and its address used again
    return total


def keep_freed_memory() -> None:
    """Has the process keep what it frees, for good; a fifth of the time of inference on a CPU.

    glibc gives large maps back to the kernel at once and asks for them anew in the next layer,
    which then comes a page at a time. Other C libraries are left as they are.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the GPU or the host has no memory left.

    oneDNN, which computes convolutions on a processor, only says that it could not create what it
    wanted memory for.
    """
    signs = (
        "can't allocate memory", "could not create a primitive", "could not create a memory",
        "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
    )  # fmt: skip
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(sign in str(error) for sign in signs)
