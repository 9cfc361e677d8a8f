"""Floating-point operations of a training, by one declared convention.

A multiply-add counts as two operations; only convolutions and linear layers count. A training example costs a forward
pass, the gradient of the weights (as much again), and the gradient of the inputs (as much again, but none in the first
layer, whose inputs are data). A text counts as the longest that its network takes. "Dense" is what is computed today,
mask or not; "sparse" weighs each layer by its density: what remained if dead weights cost nothing. An unstructured
mask by itself saves no time.

Where the mask changes in training, each step counts with the weights that lived in it; the gradient of the weights
counts for all those that the method asks it of: RigL of all of a layer at the steps at which it looks for new ones, a
method with dense shadows at every step.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tombola.core.layout import Arch, Interface, blank
from tombola.core.mask import Mask

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""What has weights that are multiplied with inputs."""
Layers = list[tuple[str, float]]


@dataclasses.dataclass(frozen=True)
class Flops:
    """Operations for one example: forward alone, and forward with both gradients; dense and density-weighted."""

    forward_dense: float
    forward_sparse: float
    training_dense: float
    training_sparse: float


def flops(arch: Arch, io: Interface, mask: Mask) -> Flops:
    """The operations of a network for one example; nothing is computed (meta device).

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> lenet, io = Mlp(), Interface(inputs=(1, 28, 28), classes=10)
        >>> flops(lenet, io, Mask({})).forward_dense == 2 * 266_200
        True
    """
    layers = forward_of(arch, io)
    density = {name: mask.kept_in(name) / mask[name].numel() for name in mask}
    dense = training(layers, {}, {})
    sparse = training(layers, density, density)
    alive = sum(each * density.get(name, 1.0) for name, each in layers)
    return Flops(sum(each for _, each in layers), alive, dense, sparse)


def training(layers: Layers, forward: Mapping[str, float], backward: Mapping[str, float]) -> float:
    """Operations of training on one example, where layers are so dense in the forward pass and for their gradients."""
    first = next(iter(layers), ("", 0.0))[0]
    total = 0.0
    for name, dense in layers:
        passes = 1 if name == first else 2
        total += dense * (passes * forward.get(name, 1.0) + backward.get(name, 1.0))
    return total


def forward_of(arch: Arch, io: Interface) -> Layers:
    """The operations of each layer's forward pass for one example, dense, by the name of its weight, in order."""
    counted: list[tuple[str, float]] = []

    def count(name: str, module: nn.Module, output: Any) -> None:
        weight = module.get_parameter("weight")
        counted.append((f"{name}.weight", 2.0 * output[0].numel() * weight[0].numel()))

    net = blank(arch, io).eval()
    for name, module in net.named_modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(lambda m, _, output, name=name: count(name, m, output))
    net(torch.empty((1, *io.inputs), dtype=torch.int64 if io.tokens else None, device="meta"))
    return counted
