"""Tiny networks that the tests of enhancing files share."""

import torch

from smoe.config import ModelConfig
from smoe.network.initialise import initialise
from smoe.network.unet import SpeechEnhancer

TINY = ModelConfig(init_channels=1, n_layers=3)


def tiny() -> SpeechEnhancer:
    """Return an untrained network."""
    network = SpeechEnhancer(TINY)
    initialise(network, 0)
    return network.eval()


def unchanging() -> SpeechEnhancer:
    """Return a network whose mask is 1: it gives back what it gets."""
    network = tiny()
    torch.nn.init.zeros_(network.unet.output_conv.weight)
    return network
