"""The network: a complex U-Net with S-MoE layers (source description, sections 1 to 4)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.network.architecture import chosen_stages, decoder_channels
from smoe.network.complex_layers import (
    ComplexConv2d,
    ComplexUpsample2d,
    NormCReLU,
    on_gpu,
    stack,
    twice,
    unstack,
)
from smoe.network.experts import SMoELayer
from smoe.network.router import GlobalDistortionRouter, RoutingDecision
from smoe.network.stft import STFT
from smoe.ops import folded

# Gives other weights [B, E] than a router decided: the test-time counterfactuals.
Intervention = Callable[[RoutingDecision], Tensor]


class EncoderBlock(nn.Module):
    """3 x 3 convolution to the skip, then 2 x 2 with stride 2 to what is passed on."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = ComplexConv2d(in_channels, out_channels, (3, 3), padding=(1, 1), bias=False)
        self.norm = NormCReLU(out_channels)
        self.down = ComplexConv2d(out_channels, out_channels, (2, 2), stride=2, bias=False)
        self.down_norm = NormCReLU(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Stacked [B, 2 in, F, T] to skip [B, 2 out, F, T] and [B, 2 out, F//2, T//2]."""
        skip, below = twice(folded.convolve(x, self.conv, self.norm))
        return skip, folded.convolve(below, self.down, self.down_norm)


class DecoderBlock(nn.Module):
    """Doubles the resolution to the skip's size, joins the skip, 3 x 3 convolution.

    Convolving the concatenation of two maps is the sum of convolving each: written as that sum, the
    large concatenated map is never copied together. On a GPU the copy is cheaper than convolving
    twice.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int):
        super().__init__()
        self.up = ComplexUpsample2d(in_channels, in_channels)
        self.up_norm = NormCReLU(in_channels)
        self.conv = ComplexConv2d(in_channels, out_channels, (3, 3), padding=(1, 1), bias=False)
        self.skip_conv = ComplexConv2d(
            skip_channels, out_channels, (3, 3), padding=(1, 1), bias=False
        )
        self.norm = NormCReLU(out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Stacked [B, 2 in, F, T] and skip [B, 2 skip, F', T'] to [B, 2 out, F', T']."""
        up = folded.upsample(x, self.up, self.up_norm, (skip.shape[-2], skip.shape[-1]))
        if on_gpu(x):
            from smoe.ops import fused

            kernel = torch.cat([self.conv.kernel(up), self.skip_conv.kernel(skip)], dim=1)
            joined = fused.convolve(fused.join(up, skip), kernel, 1, (1, 1))
            return self.norm(joined)
        joined = folded.summand(up, self.conv, self.norm)
        return folded.convolve(skip, self.skip_conv, self.norm, onto=joined)


class Bottleneck(nn.Sequential):
    """A convolution and its normalisation."""

    def forward(self, input: Tensor) -> Tensor:
        """Stacked [B, 2C, F, T] to the same."""
        conv, norm = self
        assert isinstance(conv, ComplexConv2d) and isinstance(norm, NormCReLU)
        return folded.convolve(input, conv, norm)


class SMoEEnhancedUNet(nn.Module):
    """Complex spectrogram to complex mask, with S-MoE layers where the configuration says."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        down, up = config.channels, decoder_channels(config)
        self.input_conv = ComplexConv2d(1, down[0], (3, 3), padding=(1, 1))
        self.encoder = nn.ModuleList(
            EncoderBlock(i, o) for i, o in zip((down[0], *down[:-1]), down, strict=True)
        )
        self.bottleneck = Bottleneck(
            ComplexConv2d(down[-1], down[-1], (3, 3), padding=(1, 1), bias=False),
            NormCReLU(down[-1]),
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(i, s, o)
            for i, s, o in zip((down[-1], *up[:-1]), reversed(down), up, strict=True)
        )
        self.output_conv = ComplexConv2d(down[0], 1, (1, 1))

        chosen = chosen_stages(config)
        self.position_at = {stage.name: stage.position for stage in chosen}
        self.smoe = nn.ModuleDict(
            {s.position: SMoELayer(s.channels, s.position, config) for s in chosen}
        )
        self.global_router: GlobalDistortionRouter | None = None
        self.layer_routers = nn.ModuleDict()
        if chosen and config.routing != "uniform":
            if config.router_scope == "global":
                self.global_router = GlobalDistortionRouter(1, config)
            else:
                self.layer_routers = nn.ModuleDict(
                    {s.position: GlobalDistortionRouter(s.channels, config) for s in chosen}
                )

    def forward(
        self,
        x: Tensor,
        distortion_labels: Tensor | None = None,
        intervention: Intervention | None = None,
    ) -> dict[str, Any]:
        """Enhances a batch of spectrograms.

        Args:
            x: Complex [B, 1, F, T], F and T at least 32.
            distortion_labels: Class of each sample, int64 [B]; used in supervised training only.
            intervention: Gives every layer other weights than its router decided; None keeps those.
                A network without a router ignores it.

        Returns:
            `enhanced_spec` and `mask`, complex like `x`; `routing_decision`, one for the network or
            one per position (empty without a router); `expert_usage`, the mean gate of each expert
            over the batch, float32 [n_experts] per position.
        """
        decisions: dict[str, RoutingDecision] = {}
        usage: dict[str, Tensor] = {}

        def refine(stage: str, features: Tensor) -> Tensor:
            position = self.position_at.get(stage)
            if position is None:
                return features
            weights = self._weights(position, features, distortion_labels, decisions, intervention)
            layer = self.smoe[position]
            assert isinstance(layer, SMoELayer)
            usage[position] = layer.gates(weights).detach().float().mean(dim=0)
            return layer(features, weights)

        stacked = stack(x)
        if self.global_router is not None:
            decisions["global"] = self.global_router(stacked, distortion_labels)
        current, skips = self.input_conv(stacked), []
        for level, encoder in enumerate(self.encoder):
            skip, current = encoder(current)
            skips.append(refine(f"encoder.{level}", skip))
        current = refine("bottleneck", self.bottleneck(current))
        for level, decoder in enumerate(self.decoder):
            current = refine(f"decoder.{level}", decoder(current, skips.pop()))
        mask = self._bounded(self._mask(current))
        return {
            "enhanced_spec": mask * x,
            "mask": mask,
            "routing_decision": decisions.get("global", decisions),
            "expert_usage": usage,
        }

    def _weights(
        self,
        position: str,
        features: Tensor,
        labels: Tensor | None,
        decisions: dict[str, RoutingDecision],
        intervention: Intervention | None,
    ) -> Tensor:
        """Return the weights [B, E] of one S-MoE layer and note the decision of its own router."""
        if self.config.routing == "uniform":
            experts = self.config.n_experts
            return features.new_full((len(features), experts), 1 / experts, dtype=torch.float32)
        if self.global_router is None:
            decisions[position] = self.layer_routers[position](features, labels)
        decision = decisions["global" if self.global_router is not None else position]
        return decision["expert_weights"] if intervention is None else intervention(decision)

    def _mask(self, x: Tensor) -> Tensor:
        """The output convolution, as a complex map."""
        if not on_gpu(x):
            return unstack(self.output_conv(x))
        from smoe.ops import fused

        assert self.output_conv.bias is not None
        return fused.to_mask(self.output_conv.by_kernels(x, biased=False), self.output_conv.bias)

    def _bounded(self, mask: Tensor) -> Tensor:
        """The mask itself, or with its magnitude squashed below 1 (DCUNet, Choi et al. 2019)."""
        if self.config.mask_bound == "none":
            return mask
        magnitude = mask.abs().clamp_min(1e-12)
        return mask * (torch.tanh(magnitude) / magnitude)


class SpeechEnhancer(nn.Module):
    """Waveform to waveform: STFT, network, inverse STFT.

    The input is brought to unit root mean square and the output back, so that the recording level
    means nothing to the network.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.stft = STFT(config.n_fft, config.win_length, config.hop_length)
        self.unet = SMoEEnhancedUNet(config)

    def forward(
        self,
        noisy: Tensor,
        distortion_labels: Tensor | None = None,
        intervention: Intervention | None = None,
    ) -> dict[str, Any]:
        """Enhances waveforms [B, samples] at 16 kHz, of 0.5 s or more.

        Returns:
            The network's outputs and `enhanced_waveform`, float like `noisy`, [B, samples].
        """
        level = noisy.square().mean(dim=1, keepdim=True).sqrt() + 1e-8
        outputs = self.unet(self.stft(noisy / level), distortion_labels, intervention)
        waveform = self.stft.inverse(outputs["enhanced_spec"], noisy.shape[-1]) * level
        return {**outputs, "enhanced_waveform": waveform}
