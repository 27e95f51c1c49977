"""Initial values that cells share.

Each parameter is drawn from a generator of its own, seeded by the run's seed and the parameter's
qualified name. So any two cells start equal wherever they have a parameter in common, whatever else
they contain: differences between cells are then differences of design, not of the draw.
"""

import hashlib
import math

import torch
from torch import nn

from smoe.network.complex_layers import ComplexConv2d, ComplexUpsample2d
from smoe.network.experts import DistortionSpecificExpert

MASK_LAYER = "output_conv"
SMALL = 0.1


def initialise(network: nn.Module, seed: int) -> None:
    """Sets all weights of `network` in place; biases to 0, normalisations to identity.

    The mask starts near 1, so that an untrained network passes its input on: training then begins
    with the phase of the input instead of a random one, which short trainings never make good.
    Experts start as small refinements of what passes them by, for the same reason.
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
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                bias.zero_()
            if isinstance(module, ComplexConv2d) and name.endswith(MASK_LAYER):
                module.weight.mul_(SMALL)
                assert module.bias is not None
                module.bias.copy_(torch.tensor([1.0, 0.0]))  # 1 + 0i
        for module in network.modules():
            if isinstance(module, DistortionSpecificExpert):
                closing = module[-1]
                assert isinstance(closing, ComplexConv2d)
                closing.weight.mul_(SMALL)


def _draw(parameter: torch.Tensor, deviation: float, seed: int, name: str) -> None:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    values = torch.randn(parameter.shape, generator=generator) * deviation
    parameter.copy_(values)
