"""Initial values that cells share.

Each parameter is drawn from a generator of its own, seeded by the run's seed and the parameter's
qualified name. So any two cells start equal wherever they have a parameter in common, whatever else
they contain: differences between cells are then differences of design, not of the draw.
"""

import hashlib
import math

import torch
from torch import nn

from smoe.complex_nn import ComplexConv2d, ComplexUpsample2d


def initialise(network: nn.Module, seed: int) -> None:
    """Sets all weights of `network` in place; biases to 0, normalisations to identity.

    Complex kernels: real and imaginary parts of variance 1 / (complex fan-in), which with CReLU
    keeps the variance of stacked features (He et al. 2015, applied to 2 x fan-in real inputs).
    """
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, ComplexConv2d):
                fan_in = math.prod(module.weight.shape[2:])
                _draw(module.weight, math.sqrt(1 / fan_in), seed, name)
            elif isinstance(module, ComplexUpsample2d):  # each output sees one input position
                _draw(module.weight, math.sqrt(1 / module.weight.shape[1]), seed, name)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = math.prod(module.weight.shape[1:])
                _draw(module.weight, math.sqrt(2 / fan_in), seed, name)
                if module.bias is not None:
                    module.bias.zero_()


def _draw(parameter: torch.Tensor, deviation: float, seed: int, name: str) -> None:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    values = torch.randn(parameter.shape, generator=generator) * deviation
    parameter.copy_(values)
