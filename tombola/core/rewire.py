"""Masks that change while a network trains: what a rewiring method sees, and what it may do.

A method is a plug-in of the kind "rewire" made from `Rewire`. It knows no loop, no optimiser and no data: at each step
it is shown a `Live` training, and now and then it gives new masks.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers

Masks = Mapping[str, Tensor]
"""Boolean tensors on the device of the training, by name: True means alive."""


@dataclasses.dataclass
class Live:
    """A training under way, as a rewiring method sees it: tensors by name, of the mask's names, on the device.

    `variables` is what the optimiser changes: the weights, or what stands in their place (dense shadows, scores).
    `gradients` are those of this step's loss by every weight that the network computed with, dead ones too; `watch` and
    `rewired` may read them, for an update masks and clips them where they are. `first` are
    the weights that the ticket began with. `state` is the method's own: tensors that are kept in checkpoints.
    `step` counts from 0 and `steps` ends the training; `rate` is the learning rate of this step. `counts` are the
    numbers of living weights of `masks`, where they are known: `kept` gives them anyway.
    """

    step: int
    steps: int
    seed: int
    variables: dict[str, Tensor]
    masks: dict[str, Tensor]
    gradients: dict[str, Tensor]
    first: Mapping[str, Tensor]
    state: dict[str, Tensor]
    rate: float = 0.0
    renewed: dict[str, Tensor] = dataclasses.field(default_factory=dict[str, Tensor])
    counts: dict[str, int] = dataclasses.field(default_factory=dict[str, int])

    def numbers(self, name: str) -> np.random.Generator:
        """The random stream of this step and a tensor."""
        return numbers("rewire", self.seed, self.step, name)

    def renew(self, name: str, where: Tensor) -> None:
        """Set weights to zero, with their optimiser state, though they are to live on (dropped and grown at once)."""
        zero([self.variables[name]], where)
        self.renewed[name] = where | self.renewed[name] if name in self.renewed else where

    def kept(self, name: str) -> int:
        """The number of living weights of a tensor."""
        return self.counts[name] if name in self.counts else number(self.masks[name])


class Rewire:
    """What methods are made from; by itself it changes nothing.

    `dead` says what dead weights are: "zero", with their optimiser state, and new ones start at zero with fresh state;
    or "shadow": the optimiser goes on with all of them, and only the network computes without them. `instead` says
    whether a step that changes the mask makes no update, as in RigL. `begins` says which tickets it takes: those with
    dead weights, those without, or any.
    """

    dead: ClassVar[Literal["zero", "shadow"]] = "zero"
    begins: ClassVar[Literal["sparse", "dense", "any"]] = "any"
    instead: ClassVar[Literal["yes", "no"]] = "no"
    grows: ClassVar[Literal["blindly", "by gradient"]] = "blindly"
    """Whether a step that changes the mask needs the gradients of dead weights: it is counted with their operations."""
    told: ClassVar[Literal["change", "point"]] = "change"
    """A row of the history for each change, or, where changes come at every step, one for each point of the curve."""

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The same method with every time in steps, for epochs and a training of so many.

        Raises:
            Refused: If the training is too short for it.
        """
        return self

    def check(self, mask: Mask) -> None:
        """Whether it can begin with a ticket of this mask: `begins` is looked at here.

        Raises:
            Refused: If not.
        """
        if self.begins == "sparse" and mask.kept == mask.size:
            raise Refused(
                f"{self} moves a mask's living weights, and this ticket is dense: there is nothing to grow. Cut it "
                "first: cut_early(criterion=random(), scope=erk(), density=0.1), say."
            )
        if self.begins == "dense" and mask.kept < mask.size:
            raise Refused(
                f"{self} begins with all weights and prunes them itself; this ticket has {mask.kept} of {mask.size}. "
                "Give it the dense ticket that `draw` makes."
            )

    def begin(self, live: Live) -> Masks:
        """The masks of the first step; `live.gradients` is empty."""
        return live.masks

    def watch(self, live: Live) -> None:
        """See the gradients of a step before its update; called at every step."""

    def after(self, live: Live) -> None:
        """Change what is the method's own after an update, before the masks change; called after every update."""

    def free(self, name: str, live: Live) -> Tensor | None:
        """Which entries of a variable an update may move (None: all); the others keep their value, without state.

        Of methods with shadows.
        """
        return None

    def row(self, live: Live) -> dict[str, float]:
        """What a point of the curve tells besides density and weights explored."""
        return {}

    def due(self, step: int, steps: int) -> bool:
        """Whether the masks change at a step."""
        return False

    def rewired(self, live: Live) -> Masks:
        """New masks, at a step that is due: after its update, or instead of it."""
        return live.masks

    def weights(self, name: str, live: Live) -> Tensor:
        """The values that the network computes with at `live.step`; of methods with shadows."""
        return live.variables[name] * live.masks[name]

    def pulled(self, name: str, live: Live) -> Tensor:
        """The gradient by a variable; of methods with shadows."""
        return live.gradients[name]

    def trained(self, name: str, live: Live) -> int:
        """How many weights of a tensor have their gradient computed at this step, for the count of operations."""
        return live.masks[name].numel() if self.dead == "shadow" else live.kept(name)


@plugin("rewire", "static")
class Static(Rewire):
    """The mask stays as it is: training as usual."""


def as_masks(mask: Mask, device: torch.device) -> dict[str, Tensor]:
    """A mask's tensors on a device, as copies that may be changed."""
    return {name: mask[name].to(device, copy=True) for name in mask}


def number(flags: Tensor) -> int:
    """How many of a boolean tensor are true; on a processor faster than a sum."""
    if flags.device.type == "cpu":
        return int(np.count_nonzero(flags.numpy()))
    return int(torch.count_nonzero(flags))


def zero(tensors: Iterable[Tensor], where: Tensor) -> None:
    """Set some entries of some tensors to zero; on a processor a few places take less time than a mask."""
    if where.device.type != "cpu":
        for tensor in tensors:
            tensor.masked_fill_(where, 0.0)
        return
    places = torch.as_tensor(np.flatnonzero(where.numpy()))
    for tensor in tensors if len(places) else ():
        if tensor.is_contiguous():
            tensor.view(-1).index_fill_(0, places, 0.0)
        else:
            tensor.masked_fill_(where, 0.0)
