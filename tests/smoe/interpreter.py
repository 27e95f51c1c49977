"""Triton's interpreter, by which the GPU's kernels are tested on machines without a GPU."""

from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from torch import Tensor


def mend(patch: pytest.MonkeyPatch) -> None:
    """Two faults of Triton 3.6's interpreter, both outside of what is tested, and its slowness.

    Loop bounds are arrays of one element, which NumPy 2.4 no longer takes for integers; and the
    matrix product multiplies the bit patterns of bfloat16, which it holds as 16-bit integers.
    Sums of partial sums are cut into fewer pieces, for each costs 3 ms.
    """
    from triton.runtime import interpreter

    stock: Any = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        stock(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    def create_dot(self: Any, a: Any, b: Any, total: Any, *precision: Any) -> Any:
        left, right = ((v.data.astype(np.uint32) << 16).view(np.float32) for v in (a, b))
        return interpreter.TensorHandle(left @ right + total.data, total.dtype.scalar)

    patch.setattr("smoe.ops.fused.tilings._SUM_COLUMNS", 256)
    patch.setattr(interpreter, "_patch_lang_tensor", patched)
    patch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


def exact_library(patch: pytest.MonkeyPatch) -> None:
    """Put exact arithmetic in the place of the GPU's library, where our convolution calls it.

    The processor's library is another one, and on many processors it sums bfloat16 in bfloat16,
    which no GPU does. A GPU's own is tested on a GPU.
    """
    patch.setattr("smoe.ops.fused.narrow_conv.by_library", _convolution)
    patch.setattr("smoe.ops.fused.narrow_conv.map_gradient_by_library", _map_gradient)


def _convolution(x: Tensor, kernel: Tensor) -> Tensor:
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return F.conv2d(x.double(), kernel.double(), padding=padding).to(x.dtype)


def _map_gradient(grad: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return F.conv_transpose2d(grad.double(), kernel.double(), padding=padding).to(x.dtype)
