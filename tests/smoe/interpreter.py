"""Triton's interpreter, by which the GPU's kernels are tested on machines without a GPU."""

from typing import Any

import numpy as np
import pytest


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

    patch.setattr("smoe.fused.tilings._SUM_COLUMNS", 256)
    patch.setattr(interpreter, "_patch_lang_tensor", patched)
    patch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)
