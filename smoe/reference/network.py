"""The source description carried out to the letter: slow on purpose, for tests and benchmark only.

Complex tensors; four real convolutions for each complex one; the skip concatenated; Python loops
over samples and experts; labels compared one by one. Nothing is shared with the fast network but
its configuration, so that the two can be held against each other, and a speed-up has a baseline.
Where the source is silent, the decisions are those of the fast network (see `docs/decisions.md`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.reference.layers import (
    ComplexActivation,
    ComplexBatchNorm2d,
    ComplexConv2d,
    DecoderBlock,
    EncoderBlock,
)

NOISE, REVERB = 0, 1


def expert(input_dim: int, kind: int, layer_position: str, config: ModelConfig) -> nn.Sequential:
    """The expert networks of section 7, written out."""
    hidden_dim = max(1, round(config.expert_hidden_multiplier * input_dim))
    if layer_position == "bottleneck":
        hidden_dim = min(hidden_dim, 512)
        if kind == NOISE:
            first = ComplexConv2d(input_dim, hidden_dim, 3, padding=1)
        else:
            first = ComplexConv2d(input_dim, hidden_dim, (3, 5), padding=(1, 2))
        return nn.Sequential(first, ComplexActivation(), ComplexConv2d(hidden_dim, input_dim, 1))
    if kind == NOISE:
        first = ComplexConv2d(input_dim, hidden_dim, 3, padding=1)
        second = ComplexConv2d(hidden_dim, hidden_dim, 3, padding=1)
    else:
        first = ComplexConv2d(input_dim, hidden_dim, (3, 7), padding=(1, 3))
        second = ComplexConv2d(hidden_dim, hidden_dim, (3, 5), padding=(1, 2))
    last = ComplexConv2d(hidden_dim, input_dim, 1)
    return nn.Sequential(first, ComplexActivation(), second, ComplexActivation(), last)


class SMoELayer(nn.Module):
    """Section 5: a loop over samples, residual connection."""

    def __init__(self, input_dim: int, layer_position: str, config: ModelConfig):
        super().__init__()
        self.multi = config.enable_multi_expert or config.routing == "uniform"
        self.experts = nn.ModuleList(
            expert(input_dim, e % 2, layer_position, config) for e in range(config.n_experts)
        )

    def forward(self, x: Tensor, expert_weights: Tensor) -> Tensor:
        """Complex [B, C, F, T], weights [B, E]."""
        expert_outputs = []
        for batch_idx in range(x.shape[0]):
            sample_input = x[batch_idx : batch_idx + 1]
            mix = self._weighted if self.multi else self._chosen
            expert_outputs.append(mix(sample_input, expert_weights[batch_idx]))
        return x + torch.cat(expert_outputs, dim=0)

    def _weighted(self, sample_input: Tensor, weights: Tensor) -> Tensor:
        combined = torch.zeros_like(sample_input)
        for weight, one in zip(weights, self.experts, strict=True):
            combined = combined + weight * one(sample_input)
        return combined

    def _chosen(self, sample_input: Tensor, weights: Tensor) -> Tensor:
        expert_idx = int(torch.argmax(weights))
        output = self.experts[expert_idx](sample_input)
        if weights.requires_grad:  # the choice itself: nothing in value, the weights' gradient
            for weight, one in zip(weights, self.experts, strict=True):
                output = output + (weight - weight.detach()) * one(sample_input).detach()
        return output


class Router(nn.Module):
    """Sections 2 and 6, weights sample by sample; the features are those of the fast network."""

    def __init__(self, channels: int, config: ModelConfig):
        super().__init__()
        self.config = config
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, (3, 5), (2, 1), (1, 2), bias=False),
            nn.BatchNorm2d(16, eps=1e-2),
            nn.ReLU(),
            nn.Conv2d(16, 24, (3, 5), (2, 2), (1, 2), bias=False),
            nn.BatchNorm2d(24, eps=1e-2),
            nn.ReLU(),
            nn.Conv2d(24, 32, (3, 5), (2, 2), (1, 2), bias=False),
            nn.BatchNorm2d(32, eps=1e-2),
            nn.ReLU(),
            nn.Conv2d(32, 64, (3, 5), (2, 2), (1, 2), bias=False),
            nn.BatchNorm2d(64, eps=1e-2),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, 2**config.n_experts - 1)

    def forward(self, x: Tensor, distortion_labels: Tensor | None) -> dict[str, Tensor]:
        """Complex [B, C, F, T] to the decision of `smoe.network.router.RoutingDecision`."""
        rows = []
        for i, logits in enumerate(self.head(self.extract_features(x))):
            if (
                self.training
                and self.config.routing == "supervised"
                and distortion_labels is not None
            ):
                weights = self._label_weights(int(distortion_labels[i]), logits)
                confidence = torch.ones_like(logits[:1])
            else:
                probabilities = F.softmax(logits, dim=-1)
                weights = self._probability_weights(probabilities)
                confidence = probabilities.max().reshape(1)
            rows.append((weights, confidence, logits))
        weights, confidence, logits = (torch.stack(column) for column in zip(*rows, strict=True))
        return {"expert_weights": weights, "confidence": confidence, "logits": logits}

    def extract_features(self, x: Tensor) -> Tensor:
        """Mean and deviation of convolutions on log band powers, [B, 128] of complex [B, C, F, T].

        All samples at once, since the normalisation looks at the batch in training.
        """
        bands = F.adaptive_avg_pool2d(x.abs() ** 2, (min(64, x.shape[2]), x.shape[3]))
        level = torch.stack([sample.mean() for sample in bands])[:, None, None, None]
        maps = self.body(torch.log(bands / (level + 1e-12) + 1e-4))
        variance = maps.var(dim=(2, 3), unbiased=False)
        return torch.cat([maps.mean(dim=(2, 3)), torch.sqrt(variance + 1e-5)], dim=1)

    def _kinds(self, label: int) -> list[int]:
        return [e for e in range(self.config.n_experts) if (label + 1) >> e & 1]

    def _label_weights(self, label: int, like: Tensor) -> Tensor:
        weights = like.new_zeros(self.config.n_experts)
        for kind in self._kinds(label):  # noise [1, 0], reverb [0, 1], both [0.5, 0.5]
            weights[kind] = 1 / len(self._kinds(label))
        return weights

    def _probability_weights(self, probabilities: Tensor) -> Tensor:
        weights = [probabilities.new_zeros(()) for _ in range(self.config.n_experts)]
        for label, probability in enumerate(probabilities):
            kinds = self._kinds(label)
            share = 1 if self.config.both_mapping == "paper" else 1 / len(kinds)
            for kind in kinds:
                weights[kind] = weights[kind] + share * probability
        return torch.stack(weights)


class ReferenceUNet(nn.Module):
    """Sections 1 to 4; parameters are named as in `smoe.network.unet.SMoEEnhancedUNet`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        down = config.channels
        up = (*down[-2::-1], down[0])
        n = self.n_layers = config.n_layers
        self.input_conv = ComplexConv2d(1, down[0], 3, padding=1)
        self.encoder = nn.ModuleList(EncoderBlock(down[max(0, i - 1)], down[i]) for i in range(n))
        self.bottleneck = nn.Sequential(
            ComplexConv2d(down[-1], down[-1], 3, padding=1, bias=False),
            ComplexBatchNorm2d(down[-1]),
            ComplexActivation(),
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(down[-1] if i == 0 else up[i - 1], down[n - 1 - i], up[i])
            for i in range(n)
        )
        self.output_conv = ComplexConv2d(down[0], 1, 1)
        widths = {
            "early_encoder": down[1],
            "mid_encoder": down[2],
            "bottleneck": down[-1],
            "mid_decoder": up[n - 3],
            "late_decoder": up[n - 2],
        }
        chosen = {p: width for p, width in widths.items() if p in config.smoe_layer_positions}
        self.smoe = nn.ModuleDict({p: SMoELayer(w, p, config) for p, w in chosen.items()})
        self.global_router: Router | None = None
        self.layer_routers = nn.ModuleDict()
        if chosen and config.routing != "uniform" and config.router_scope == "global":
            self.global_router = Router(1, config)
        elif config.routing != "uniform":
            self.layer_routers = nn.ModuleDict({p: Router(w, config) for p, w in chosen.items()})

    def forward(self, x: Tensor, distortion_labels: Tensor | None = None) -> dict[str, Any]:
        """Complex [B, 1, F, T] to the mask, the enhanced spectrogram and the decisions."""
        decisions: dict[str, Any] = {}
        if self.global_router is not None:
            decisions["global"] = self.global_router(x, distortion_labels)
        current = self.input_conv(x)
        skip_connections = []
        for i, block in enumerate(self.encoder):
            skip, current = block(current)
            if i == 1:
                skip = self._refine("early_encoder", skip, decisions, distortion_labels)
            elif i == 2:
                skip = self._refine("mid_encoder", skip, decisions, distortion_labels)
            skip_connections.append(skip)
        current = self.bottleneck(current)
        current = self._refine("bottleneck", current, decisions, distortion_labels)
        for i, block in enumerate(self.decoder):
            current = block(current, skip_connections[-(i + 1)])
            if i == self.n_layers - 3:
                current = self._refine("mid_decoder", current, decisions, distortion_labels)
            elif i == self.n_layers - 2:
                current = self._refine("late_decoder", current, decisions, distortion_labels)
        mask = self.output_conv(current)
        if self.config.mask_bound == "tanh":
            mask = torch.polar(torch.tanh(mask.abs()), mask.angle())
        return {
            "enhanced_spec": mask * x,
            "mask": mask,
            "routing_decision": decisions.get("global", decisions),
        }

    def _refine(
        self, position: str, x: Tensor, decisions: dict[str, Any], labels: Tensor | None
    ) -> Tensor:
        if position not in self.smoe:
            return x
        if self.config.routing == "uniform":
            experts = self.config.n_experts
            weights = torch.full((len(x), experts), 1 / experts, dtype=x.real.dtype)
            return self.smoe[position](x, weights.to(x.device))
        where = "global"
        if self.global_router is None:
            where = position
            decisions[position] = self.layer_routers[position](x, labels)
        return self.smoe[position](x, decisions[where]["expert_weights"])


class ReferenceEnhancer(nn.Module):
    """Waveform to waveform around `ReferenceUNet`, with torch's own transforms."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.unet = ReferenceUNet(config)

    def forward(self, noisy: Tensor, distortion_labels: Tensor | None = None) -> dict[str, Any]:
        """Waveforms [B, samples] to the network's outputs and `enhanced_waveform`."""
        c = self.config
        window = torch.hann_window(c.win_length, dtype=noisy.dtype, device=noisy.device)
        frame = (c.n_fft, c.hop_length, c.win_length, window)
        level = noisy.square().mean(dim=1, keepdim=True).sqrt() + 1e-8
        spec = torch.stft(noisy / level, *frame, return_complex=True)
        outputs = self.unet(spec[:, None], distortion_labels)
        enhanced = torch.istft(outputs["enhanced_spec"][:, 0], *frame, length=noisy.shape[-1])
        return {**outputs, "enhanced_waveform": enhanced * level}


def translate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights, or gradients, of the fast network under the reference's names and shapes.

    The fast decoder convolves skip and upsampled map apart, and its normalisations hold the real
    channels before the imaginary ones.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, leaf = name.rpartition(".")
        if stem.endswith("skip_conv"):
            continue
        if "decoder." in stem and stem.endswith(".conv"):
            skip = tensors[f"{stem.removesuffix('conv')}skip_conv.{leaf}"]
            out[name] = torch.cat([tensor, skip], dim=2)
            continue
        if "router" in name:
            out[name] = tensor
        elif leaf == "num_batches_tracked":
            out[f"{stem}.real.{leaf}"] = out[f"{stem}.imag.{leaf}"] = tensor
        elif stem.endswith(("norm", "bottleneck.1")):
            out[f"{stem}.real.{leaf}"], out[f"{stem}.imag.{leaf}"] = tensor.chunk(2)
        else:
            out[name] = tensor
    return out
