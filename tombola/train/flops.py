"""Floating-point operations of a training, by one declared convention.

A multiply-add counts as two operations; only convolutions and linear layers count. A training example costs a forward
pass, the gradient of the weights (as much again), and the gradient of the inputs (as much again, but none in the first
layer, whose inputs are data). "Dense" is what is computed today, mask or not; "sparse" weighs each layer by its
density: what remained if dead weights cost nothing. An unstructured mask by itself saves no time.
"""

import dataclasses
from typing import Any

import torch
from torch import nn

from tombola.core.layout import Arch, Interface, blank
from tombola.core.mask import Mask


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
    counted: list[tuple[str, float]] = []

    def count(name: str, module: nn.Module, output: Any) -> None:
        weight = module.get_parameter("weight")
        counted.append((f"{name}.weight", 2.0 * output[0].numel() * weight[0].numel()))

    net = blank(arch, io).eval()
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.register_forward_hook(lambda m, _, output, name=name: count(name, m, output))
    net(torch.empty((1, *io.inputs), device="meta"))
    density = {name: mask.kept_in(name) / mask[name].numel() for name in mask}
    forward = [(dense, dense * density.get(name, 1.0)) for name, dense in counted]
    totals = [sum(pair[i] for pair in forward) for i in (0, 1)]
    firsts = forward[0] if forward else (0.0, 0.0)
    return Flops(totals[0], totals[1], 3 * totals[0] - firsts[0], 3 * totals[1] - firsts[1])
