"""How a network describes itself: as data, so that no algorithm ever looks at a model's name.

Moves, criteria and probes read a `Layout`; networks and data meet in an `Interface`.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import non_default_fields, plugin

Scores = Mapping[str, Tensor]
PAD, UNKNOWN = 0, 1
"""Among token numbers: what stands behind a text that is shorter than others, and for what a vocabulary lacks."""


@plugin("interface", "interface")
class Interface:
    """What goes into a network and comes out: the shape of one input (without the batch) and the number of classes.

    Where `tokens` is not 0 an input is a row of token numbers, at most `inputs` many, each below `tokens`, with `PAD`
    behind them. `vocabulary` is the digest of what the numbers mean: an embedding means nothing under another one.

    Example:
        >>> Interface(inputs=(1, 28, 28), classes=10)
        interface(inputs=(1, 28, 28), classes=10)
    """

    inputs: tuple[int, ...]
    classes: int
    tokens: int = 0
    vocabulary: str = ""

    @property
    def features(self) -> int:
        """Numbers in one input."""
        return math.prod(self.inputs)

    def to_json(self) -> dict[str, Any]:
        """Its fields as plain data; those of tokens only where there are any."""
        return {**non_default_fields(self), "inputs": list(self.inputs)}

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The interface of such data."""
        text = {name: found[name] for name in ("tokens", "vocabulary") if name in found}
        return cls(inputs=tuple(found["inputs"]), classes=found["classes"], **text)


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
    Where several act side by side on one axis, as behind parallel layers, they are named in their order: "a+b".
    """

    stem: tuple[str, ...]
    stages: tuple[Stage, ...]
    head: tuple[str, ...]
    prunable: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]


def side_by_side(axis: str) -> tuple[str, ...]:
    """The permutations that act on an axis, in their order.

    Example:
        >>> side_by_side("a+b"), side_by_side("a"), side_by_side("")
        (('a', 'b'), ('a',), ())
    """
    return tuple(axis.split("+")) if axis else ()


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


def ignores_padding(arch: Arch) -> bool:
    """Whether a network's answers to a text do not depend on its padding; False where the plug-in does not say.

    It says so by an attribute of that name. Texts of such networks may be padded to any length.
    """
    return bool(getattr(arch, "ignores_padding", False))


Mode = Literal["train", "eval"]
"""Whether batch norm takes the statistics of the batch, or those that it has gathered."""
Norm = Literal["scale", "folded", "identity"]
"""What batch norm multiplies a flow by: its scale, that over the running standard deviation, or 1."""
Biases = Literal["zero", "absolute"]
"""Whether biases and shifts add to a flow."""


@runtime_checkable
class Prunable(Protocol):
    """All that a criterion may know of a network: no task, no data set, no module.

    Tensors are those of the mask, by name, in its order; mappings may make them when they are asked for. What needs
    data takes it in `batches` of the recipe's size (0: one whole epoch), augmented as in training, or with `per_class`
    in batches of so many examples of each class.
    """

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Values of the prunable tensors, zero where the mask is dead."""
        ...

    @property
    def whole(self) -> Mapping[str, Tensor]:
        """The same, with the values under dead positions too, where they are known."""
        ...

    @property
    def start(self) -> Mapping[str, Tensor]:
        """The values from which the training began, under dead positions too."""
        ...

    @property
    def mask(self) -> Mask:
        """What is alive before the cut."""
        ...

    def masked(self, mask: Mask) -> Self:
        """The same network under another mask."""
        ...

    def in_round(self, number: int) -> Self:
        """The same network with other batches, for a later round of scoring."""
        ...

    def fresh(self, seed: int, *, part: Literal["all", "head"] = "all") -> Self:
        """The same mask on newly drawn initial weights, of the whole network or of its head."""
        ...

    def gradients(
        self, *, batches: int = 1, per_class: int = 0, mode: Mode = "train", temperature: float = 1.0
    ) -> dict[str, Tensor]:
        """The gradient of the mean loss by every weight, dead ones too; outputs are divided by the temperature.

        Raises:
            Refused: If no gradient reaches some tensor.
        """
        ...

    def curvature(
        self,
        vectors: Mapping[str, Tensor],
        *,
        batches: int = 1,
        per_class: int = 0,
        mode: Mode = "train",
        temperature: float = 1.0,
    ) -> dict[str, Tensor]:
        """The Hessian of the mean loss by the prunable weights, times the vectors; on the same data as `gradients`.

        Raises:
            Refused: If second derivatives are not to be had: in bfloat16, or of a network that has none.
        """
        ...

    def inputs(self, *, batches: int = 1) -> dict[str, Tensor]:
        """The Euclidean norm of what each weight is multiplied with, over examples and places; fits the weight."""
        ...

    def flow(
        self, weights: Mapping[str, Tensor], *, norm: Norm = "scale", bias: Biases = "zero", power: int = 1
    ) -> Tensor:
        """The sum of the outputs, for an input of ones, of the network made linear: a differentiable scalar.

        Weights are those given (float64); all other values are absolute, to that power.

        Raises:
            Refused: If the network is more than products, sums, maxima, ReLU and normalisation.
        """
        ...

    def wiring(self) -> "Wiring":
        """How the prunable tensors follow one another.

        Raises:
            Refused: If it cannot be read off the network.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Joint:
    """A prunable tensor's place in the network: which ones, or the input (""), its inputs come from.

    Units are the rows of a linear weight and the filters of a convolution. `runs` says, for each of `sources`, how many
    of this tensor's inputs in a row belong to one unit of the source: those of a flattened feature map; `offsets` at
    which of its inputs they begin. Sources that overlap are added. In a convolution of `groups`, each group of units
    reads its own share of the inputs.
    """

    name: str
    sources: tuple[str, ...]
    runs: tuple[int, ...]
    offsets: tuple[int, ...]
    groups: int = 1


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The prunable tensors in the order in which they act, which of them give the outputs, and the input's units.

    The input has `inputs` units: its channels, or its numbers if it is flattened before any tensor reads it.
    """

    joints: tuple[Joint, ...]
    outputs: tuple[str, ...]
    inputs: int


def blank(arch: Arch, io: Interface) -> nn.Module:
    """The network without any values or memory for them (on the meta device): names and shapes only.

    Raises:
        Refused: If two names stand for one tensor.
    """
    with torch.device("meta"):
        net = arch.build(io)
    check_untied(net, str(arch))
    return net


def check_untied(net: nn.Module, what: str) -> None:
    """Whether every name of the state dict stands for a tensor of its own; else masks and values would part.

    Raises:
        Refused: If two stand for one.

    Example:
        >>> check_untied(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "two layers")
    """
    names: dict[int, str] = {}
    for name, value in net.state_dict(keep_vars=True).items():
        if (other := names.setdefault(id(value), name)) != name:
            raise Refused(
                f"'{other}' and '{name}' of {what} are one tensor. A ticket has a mask and values for each name: keep "
                f"the tensor under one name and use it twice in forward, or give '{name}' one of its own."
            )


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the state dict, in its order."""
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def dense_mask(arch: Arch, io: Interface) -> Mask:
    """Everything alive, in the tensors that the layout calls prunable."""
    sizes = shapes(blank(arch, io))
    return Mask.dense({name: sizes[name] for name in arch.layout().prunable})


def initial_weights(arch: Arch, io: Interface, *names: str | int) -> dict[str, Tensor]:
    """The network's state dict at the start: a function of arch, interface and the names of the stream.

    Two depths of a family do not share draws: the arch's text is part of every stream's name.
    """
    return arch.initial(blank(arch, io), str(arch), *names)
