"""Which distortion is present, and so which experts work: one router, from audio alone.

Classes are the non-empty subsets of the distortion kinds, numbered by their bit mask minus one:
for noise and reverb 0 = {noise}, 1 = {reverb}, 2 = {noise, reverb}. With `empty_class` the empty
subset, undistorted speech, comes last.
"""

from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.network.architecture import ROUTER_BANDS, ROUTER_CONVS
from smoe.ops.folded import convolve, folds

# Small maps leave a layer's own router few values a channel: this bounds the gradient they get.
NORM_EPS = 1e-2


class RoutingDecision(TypedDict):
    """One router's answer for a batch.

    `expert_weights` float32 [B, n_experts]; `confidence` float32 [B, 1], the largest class
    probability, 1 where labels decided; `logits` float32 [B, classes].
    """

    expert_weights: Tensor
    confidence: Tensor
    logits: Tensor


def class_weights(config: ModelConfig) -> Tensor:
    """Return the weights that the paper's mapping gives each class, float32 [classes, n_experts].

    They are 1 for each kind of distortion that the class has, else 0.
    """
    masks = [*range(1, 2**config.n_experts), *([0] if config.empty_class else [])]
    return (torch.tensor(masks)[:, None] >> torch.arange(config.n_experts) & 1).float()


def class_shares(config: ModelConfig) -> Tensor:
    """Return the weights of each class with a sum of 1, float32 [classes, n_experts].

    Training gives them to a label, and the normalised mapping to a class. The empty class has none.
    """
    members = class_weights(config)
    return members / members.sum(dim=1, keepdim=True).clamp(min=1)


def class_of(label: Tensor, config: ModelConfig) -> Tensor:
    """Return the class of each label, int64 [B]; -1 for clean speech without an empty class."""
    clean = 2**config.n_experts - 1 if config.empty_class else -1
    return torch.where(label < 0, clean, label)


def taught_weights(learned: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    """Return the weights [B, E] that training gives to classes, int64 [B].

    Args:
        learned: The router's own weights [B, E], kept without gradient where the class is -1.
        classes: See `class_of`.
        shares: See `class_shares`.
    """
    taught = shares[classes.clamp(min=0)]
    return torch.where(classes[:, None] < 0, learned.detach(), taught)


class GlobalDistortionRouter(nn.Module):
    """Classifies the distortion from a stacked spectrogram or feature map.

    Noise fills the gaps between words and reverberation smears them, at every level and in every
    band; so the features are log magnitudes in bands, free of the overall level, and the classifier
    is a few small convolutions pooled by mean and deviation over time and bands. They are
    normalised because a router has to be right long before the network around it has learned.

    Args:
        channels: Complex channels of the map that is routed on: 1 for the input spectrogram.
        config: Number of experts, routing and `both_mapping`.
    """

    def __init__(self, channels: int, config: ModelConfig):
        super().__init__()
        self.channels, self.supervised = channels, config.routing == "supervised"
        self.config = config
        layers: list[nn.Module] = []
        width = channels
        for conv in ROUTER_CONVS:
            same = (conv.kernel[0] // 2, conv.kernel[1] // 2)
            layers += [
                nn.Conv2d(width, conv.out_channels, conv.kernel, conv.stride, same, bias=False),
                nn.BatchNorm2d(conv.out_channels, eps=NORM_EPS),
                nn.ReLU(inplace=True),
            ]
            width = conv.out_channels
        layout = torch.channels_last
        self.body = nn.Sequential(*layers).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
        shares = class_shares(config)
        self.head = nn.Linear(2 * width, len(shares))
        mapping = class_weights(config) if config.both_mapping == "paper" else shares
        self.register_buffer("label_weights", shares, persistent=False)  # [classes, E]
        self.register_buffer("mapping", mapping, persistent=False)  # [classes, E]
        self.label_weights: Tensor
        self.mapping: Tensor

    def forward(self, x: Tensor, distortion_labels: Tensor | None = None) -> RoutingDecision:
        """Routes a batch.

        Args:
            x: Stacked real [B, 2 channels, F, T].
            distortion_labels: Label per sample, int64 [B]; used only in training and only if the
                routing is supervised (teacher forcing), else ignored. A sample that has no class
                (clean speech, without an empty class) keeps the router's own weights.
        """
        with torch.autocast(x.device.type, enabled=False):
            logits = self.head(self._pooled(x if x.dtype == torch.float64 else x.float()))
            probabilities = logits.softmax(dim=1)
            weights = probabilities @ self.mapping
            confidence = probabilities.amax(dim=1, keepdim=True)
            if self.training and self.supervised and distortion_labels is not None:
                classes = class_of(distortion_labels, self.config)
                weights = taught_weights(weights, classes, self.label_weights)
                confidence = torch.where(classes[:, None] < 0, confidence.detach(), 1.0)
        return {"expert_weights": weights, "confidence": confidence, "logits": logits}

    def _pooled(self, x: Tensor) -> Tensor:
        parts = x.unflatten(1, (2, -1))[:, :, : self.channels]
        real, imag = parts.unbind(dim=1)
        power = real.square() + imag.square()  # [B, C, F, T]
        bands = _banded(power)
        level = bands.mean(dim=(1, 2, 3), keepdim=True)
        log_power = torch.log(bands / (level + 1e-12) + 1e-4)  # floor at -40 dB of the mean
        features = self._convolved(log_power).flatten(2)  # [B, D, bands x time]
        deviation = (features.var(dim=2, correction=0) + 1e-5).sqrt()
        return torch.cat([features.mean(dim=2), deviation], dim=1)

    def _convolved(self, log_power: Tensor) -> Tensor:
        if not folds(log_power, training=self.training):
            return self.body(log_power)
        for conv, norm in zip(self.body[::3], self.body[1::3], strict=True):
            log_power = convolve(log_power, conv, norm)
        return log_power


def _banded(power: Tensor) -> Tensor:
    """Means over bands of about equal width along frequency: [B, C, F, T] to [B, C, bands, T].

    Whole numbers of rows go by the operator whose gradient does not vary on a GPU.
    """
    rows, columns = power.shape[-2:]
    bands = min(ROUTER_BANDS, rows)
    if rows % bands == 0:
        return F.avg_pool2d(power, (rows // bands, 1))
    return F.adaptive_avg_pool2d(power, (bands, columns))
