"""Small networks with weights that leave no term at zero, and inputs, for the network tests."""

from typing import Any

import torch
from torch import Tensor, nn

from smoe.config import POSITIONS, ModelConfig
from smoe.network.initialise import initialise
from smoe.network.unet import SMoEEnhancedUNet

DOUBLE = torch.float64
FLAGS: dict[str, Any] = {"init_channels": 1, "n_layers": 3, "smoe_layer_positions": POSITIONS}
AXES = [
    {"enable_multi_expert": multi, "routing": routing, "router_scope": scope}
    for multi in (True, False)
    for routing in ("supervised", "implicit")
    for scope in ("global", "per_layer")
]


def unet(seed: int = 0, dtype: torch.dtype = DOUBLE, **fields: Any) -> SMoEEnhancedUNet:
    """A U-Net with all five layers unless told otherwise, biases and norms away from 0 and 1."""
    network = SMoEEnhancedUNet(ModelConfig(**{**FLAGS, **fields}))
    initialise(network, seed)
    jitter(network, seed)
    return network.to(dtype)


def jitter(network: nn.Module, seed: int) -> None:
    """Moves biases, affine terms and running statistics off their neutral values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.3)
            elif name.endswith("head.weight"):
                tensor.mul_(3)  # routing weights that differ between samples


def spectrogram(
    batch: int = 2, size: tuple[int, int] = (16, 17), seed: int = 0, dtype: torch.dtype = DOUBLE
) -> Tensor:
    """Complex Gaussian noise [B, 1, F, T]."""
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(batch, 1, *size, 2, generator=generator, dtype=DOUBLE)
    return torch.view_as_complex(parts.to(dtype))


def relative_error(value: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the norm of the reference."""
    return float((value - reference).norm() / reference.norm())
