"""The GPU's kernels are tested on the processor, by Triton's interpreter."""

import os

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, so before everything else
