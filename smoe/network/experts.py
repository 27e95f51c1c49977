"""Experts and the layer that weighs them (source description, sections 5 to 7)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from smoe.config import ModelConfig
from smoe.network.architecture import expert_hidden, expert_kernels, expert_kinds
from smoe.network.complex_layers import ComplexConv2d, in_lanes, on_gpu
from smoe.ops.folded import convolve, folds


class DistortionSpecificExpert(nn.Sequential):
    """Convolutions with CReLU between them, closed by a 1 x 1 convolution back to `input_dim`.

    Args:
        input_dim: Complex channels of input and output.
        kind: A key of `EXPERT_KINDS`.
        layer_position: One of the five positions; the bottleneck has the short form.
        config: Gives the hidden width.
    """

    def __init__(self, input_dim: int, kind: str, layer_position: str, config: ModelConfig):
        hidden = expert_hidden(input_dim, layer_position, config)
        layers: list[nn.Module] = []
        channels = input_dim
        for k in expert_kernels(kind, layer_position):
            same = (k[0] // 2, k[1] // 2)
            layers.append(ComplexConv2d(channels, hidden, k, padding=same, crelu=True))
            channels = hidden
        layers.append(ComplexConv2d(hidden, input_dim, (1, 1)))
        # Initial values go by names; these count as if the activations were layers of their own.
        super().__init__(OrderedDict((str(2 * i), layer) for i, layer in enumerate(layers)))

    def forward(self, input: Tensor, onto: Tensor | None = None) -> Tensor:
        """Stacked [B, 2C, F, T] to the same; added to `onto`, in its place, if that is given."""
        *hidden, closing = self
        for layer in hidden:
            input = layer(input)
        assert isinstance(closing, ComplexConv2d)
        return convolve(input, closing, onto=onto)

    def unfinished(self, x: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """Output in lanes on a GPU but for its bias, and that bias.

        Samples with a gate [B] of zero are left out; one that learns asks for all of them.
        """
        idle = None if gate.requires_grad else gate
        *hidden, closing = self
        for layer in hidden:
            x = layer(x, idle)
        assert isinstance(closing, ComplexConv2d) and closing.bias is not None
        y = closing.by_kernels(x, idle, biased=False)
        return y, in_lanes(closing.bias, y.shape[1] // 2)


class SMoELayer(nn.Module):
    """x + sum over experts of gate times expert(x).

    Multi-expert: the gates are the routing weights. Single-expert: one-hot at the arg-max (ties go
    to the lower index), with the gradient of the weights (straight-through; Bengio et al. 2013).
    """

    def __init__(self, input_dim: int, layer_position: str, config: ModelConfig):
        super().__init__()
        self.layer_position = layer_position
        self.enable_multi_expert = config.enable_multi_expert or config.routing == "uniform"
        self.experts = nn.ModuleList(
            DistortionSpecificExpert(input_dim, kind, layer_position, config)
            for kind in expert_kinds(config.n_experts)
        )

    def gates(self, expert_weights: Tensor) -> Tensor:
        """What each expert's output is multiplied by, [B, E], from routing weights [B, E]."""
        if self.enable_multi_expert:
            return expert_weights
        hard = torch.zeros_like(expert_weights)
        hard.scatter_(1, expert_weights.argmax(dim=1, keepdim=True), 1.0)
        if not expert_weights.requires_grad:
            return hard
        return hard + (expert_weights - expert_weights.detach())

    def forward(self, x: Tensor, expert_weights: Tensor) -> Tensor:
        """Refines stacked features [B, 2C, F, T] with routing weights [B, E]."""
        if not self.enable_multi_expert and folds(x, training=self.training):
            return self._chosen_experts(x, expert_weights.argmax(dim=1).tolist())
        gates = self.gates(expert_weights)
        if on_gpu(x) and self.training:
            return self._all_experts(x, gates)
        gates = gates.to(x.dtype)[:, :, None, None, None]  # [B, E, 1, 1, 1]
        samples = x.permute(0, 2, 3, 1)  # [B, F, T, 2C] as in memory, so that indexing keeps that
        mixed = samples.clone()
        for index, expert in enumerate(self.experts):
            gate = gates[:, index]
            rows = None if gate.requires_grad else gate.flatten().nonzero().flatten()
            if rows is None or len(rows) == len(x):  # a gate that learns needs every sample
                mixed.addcmul_(gate, expert(x).permute(0, 2, 3, 1))
            elif len(rows):  # the expert sees only the samples that give it weight
                refined = expert(samples.index_select(0, rows).permute(0, 3, 1, 2))
                mixed.index_add_(0, rows, gate[rows] * refined.permute(0, 2, 3, 1))
        return mixed.permute(0, 3, 1, 2)

    def _chosen_experts(self, x: Tensor, choice: list[int]) -> Tensor:
        """Each sample with its expert alone, those of one expert together."""
        samples = x.permute(0, 2, 3, 1)  # [B, F, T, 2C], as in memory
        mixed = torch.empty_like(samples)
        for index, expert in enumerate(self.experts):
            rows = [row for row, chosen in enumerate(choice) if chosen == index]
            if len(rows) == len(x):
                return expert(x, onto=x.clone())
            if rows:
                group = samples.index_select(0, torch.tensor(rows)).permute(0, 3, 1, 2)
                refined = expert(group, onto=group).permute(0, 2, 3, 1)
                for row, sample in zip(rows, refined, strict=True):
                    mixed[row] = sample
        return mixed.permute(0, 3, 1, 2)

    def _all_experts(self, x: Tensor, gates: Tensor) -> Tensor:
        """Every expert on every sample: which ones work may not steer a captured step."""
        from smoe.ops import fused

        mixed, *inputs = fused.fork(x, 1 + len(self.experts))
        each = gates.float().t().contiguous()  # [E, B]
        for gate, expert, own in zip(each, self.experts, inputs, strict=True):
            assert isinstance(expert, DistortionSpecificExpert)
            refined, bias = expert.unfinished(own, gate)
            mixed = fused.add_gated(mixed, refined, bias, gate)
        return mixed
