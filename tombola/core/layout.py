"""How a network describes itself: as data, so that no algorithm ever looks at a model's name.

Moves, criteria and probes read a `Layout`; networks and data meet in an `Interface`.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from tombola.core.mask import Mask
from tombola.core.plugin import plugin

Scores = Mapping[str, Tensor]


@plugin("interface", "interface")
class Interface:
    """What goes into a network and comes out: the shape of one input (without the batch) and the number of classes.

    Example:
        >>> Interface(inputs=(1, 28, 28), classes=10)
        interface(inputs=(1, 28, 28), classes=10)
    """

    inputs: tuple[int, ...]
    classes: int

    @property
    def features(self) -> int:
        """Numbers in one input."""
        return math.prod(self.inputs)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of blocks: the entry, which may change shape and stands once ("" for none), then interchangeable ones."""

    entry: str
    blocks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything is in a network: module prefixes of stem, stages and head, and the prunable parameters.

    `stem`, stages and `head` are disjoint and cover all parameters. `prunable` names conv and linear weights in the
    order of the network. `axes` gives, for each parameter, the permutation that acts on each of its axes ("" where none
    may); an axis that is k times as long as its permutation moves in runs of k, as behind a flattened feature map.
    """

    stem: tuple[str, ...]
    stages: tuple[Stage, ...]
    head: tuple[str, ...]
    prunable: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]


@runtime_checkable
class Arch(Protocol):
    """A network as a plug-in: it knows nothing of data or training."""

    def build(self, io: Interface) -> nn.Module:
        """The module, with whatever values; `initial_weights` gives it those that a seed names."""
        ...

    def layout(self) -> Layout:
        """Its description."""
        ...

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        """Initial values for the whole state dict of `net`, drawn from streams folded from the names."""
        ...


@runtime_checkable
class Prunable(Protocol):
    """All that a criterion may know of a network: no task, no data set, no module."""

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Trained values of the prunable tensors, zero where the mask is dead."""
        ...

    @property
    def mask(self) -> Mask:
        """What is alive before the cut."""
        ...


def blank(arch: Arch, io: Interface) -> nn.Module:
    """The network without any values or memory for them (on the meta device): names and shapes only."""
    with torch.device("meta"):
        return arch.build(io)


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the state dict, in its order."""
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def initial_weights(arch: Arch, io: Interface, *names: str | int) -> dict[str, Tensor]:
    """The network's state dict at the start: a function of arch, interface and the names of the stream.

    Two depths of a family do not share draws: the arch's text is part of every stream's name.
    """
    return arch.initial(blank(arch, io), str(arch), *names)
