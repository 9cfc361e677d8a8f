"""Tickets for the tests of widths, and what their units are, counted one by one."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tombola.core.layout import Arch, Interface, initial_weights
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.core.ticket import Ticket

IO = Interface(inputs=(2, 16, 16), classes=3)
FAMILIES = {  # Narrow, wide with as many copies of each unit, wide with more copies of some.
    "mlp": ("mlp(hidden=(6, 6, 4))", "mlp(hidden=(12, 12, 8))", "mlp(hidden=(7, 7, 11))"),
    "conv": ("conv(layers=2, width=2)", "conv(layers=2, width=4)", "conv(layers=2, width=5)"),
    "vgg": ("vgg(depth=11, linear=2, width=2)", "vgg(depth=11, linear=2, width=4)", "vgg(depth=11, linear=2, width=3)"),
    "resnet": ("resnet(depth=14, width=2)", "resnet(depth=14, width=4)", "resnet(depth=14, width=3)"),
    "bottleneck": (
        "imagenet_resnet(depth=50, width=2, bn_affine='no')",
        "imagenet_resnet(depth=50, width=4, bn_affine='no')",
        "imagenet_resnet(depth=50, width=3, bn_affine='no')",
    ),
    "depthwise": ("mobilenet(repeats=1, width=2)", "mobilenet(repeats=1, width=4)", "mobilenet(repeats=1, width=3)"),
    "vit": ("vit(depth=1, width=4, ratio=2)", "vit(depth=1, width=4, ratio=4)", "vit(depth=1, width=4, ratio=3)"),
}


def sparse(arch: Arch | str, *, io: Interface = IO, density: float = 0.6, seed: int = 0) -> Ticket:
    """A ticket in double precision whose biases, scales and statistics are as different as its weights."""
    arch = parse("arch", arch) if isinstance(arch, str) else arch
    rng = np.random.default_rng(seed)
    weights = {n: v.double() if v.is_floating_point() else v + 3 for n, v in initial_weights(arch, io, seed).items()}
    for name, value in weights.items():
        if value.dim() == 1:
            low, high = (-0.3, 0.3) if name.endswith(("bias", "mean")) else (0.5, 1.5)
            weights[name] = torch.from_numpy(rng.uniform(low, high, tuple(value.shape)))
    for name in arch.layout().prunable:
        weights[name] *= density**-0.5  # As much comes through as would be dense.
    mask = Mask({n: torch.from_numpy(rng.random(weights[n].shape) < density) for n in arch.layout().prunable})
    return Ticket(arch=arch, io=io, mask=mask, weights=weights, step=5, task="digits()", recipe="recipe()", data="0")


def outputs(net: nn.Module, io: Interface, *, mode: str) -> Tensor:
    net = net.double()
    x = torch.from_numpy(np.random.default_rng(9).normal(size=(8, *io.inputs)))
    return net.train(mode == "train")(x).detach()


def equal(a: Ticket, b: Ticket) -> bool:
    same = a.mask == b.mask and list(a.weights) == list(b.weights)
    return same and all(torch.equal(a.weights[n], b.weights[n]) for n in a.weights)


@functools.lru_cache(maxsize=8)
def axes_of(arch: Arch) -> Mapping[str, tuple[str, ...]]:
    return arch.layout().axes


@functools.lru_cache(maxsize=8)
def lengths(ticket: Ticket) -> dict[str, int]:
    """The number of units of each group."""
    found: dict[str, int] = {}
    for name, groups in axes_of(ticket.arch).items():
        for group, length in zip(groups, ticket.weights[name].shape, strict=True):
            found[group] = min(length, found.get(group, length))
    return {group: length for group, length in found.items() if group}


def of_units(ticket: Ticket, name: str, group: str, units: Sequence[int], *, axes: Sequence[int] = range(4)) -> Tensor:
    """Which entries of a tensor some units write or read, found by counting through each axis."""
    value, found = ticket.weights[name], torch.zeros_like(ticket.weights[name], dtype=torch.bool)
    for axis, own in enumerate(axes_of(ticket.arch)[name]):
        if own == group and axis in axes:
            per = value.shape[axis] // lengths(ticket)[group]
            found |= torch.tensor([place // per in units for place in range(value.shape[axis])]).reshape(
                [-1 if axis == other else 1 for other in range(value.dim())]
            )
    return found
