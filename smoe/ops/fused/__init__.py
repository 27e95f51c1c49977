"""What a GPU computes in training, in as few passes over memory as it takes.

On a GPU a convolution's arithmetic is cheap beside reading and writing its maps again and again.
These Triton kernels replace the chains of small operators between the convolutions, and the
convolutions of few channels themselves; `complex_layers`, `experts` and `losses` say on every line
what is computed, and tests hold each kernel against that.
"""

from smoe.ops.fused.bias import add_bias, add_gated
from smoe.ops.fused.convolutions import convolve, upsample
from smoe.ops.fused.kernel import stacked_kernel
from smoe.ops.fused.maps import fork, join, to_mask
from smoe.ops.fused.norm import norm_crelu
from smoe.ops.fused.spectrum import Compression, compressed_stft_distance
from smoe.ops.fused.wsdr import weighted_sdr

__all__ = [
    "Compression",
    "add_bias",
    "add_gated",
    "compressed_stft_distance",
    "convolve",
    "fork",
    "join",
    "norm_crelu",
    "stacked_kernel",
    "to_mask",
    "upsample",
    "weighted_sdr",
]
