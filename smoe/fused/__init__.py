"""What stands between the convolutions on a GPU, in as few passes over memory as it takes.

On a GPU a convolution's arithmetic is cheap beside reading and writing its maps again and again.
These Triton kernels replace the chains of small operators in training; `complex_nn` and `experts`
say on every line what is computed, and tests hold each kernel against that.
"""

from smoe.fused.bias import add_bias, add_gated
from smoe.fused.kernel import stacked_kernel
from smoe.fused.norm import norm_crelu

__all__ = ["add_bias", "add_gated", "norm_crelu", "stacked_kernel"]
