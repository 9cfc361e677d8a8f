"""Carry a ticket to another depth of its family: the elastic ticket transformation of Chen et al. 2021, section 3."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.core.ticket import Ticket
from tombola.moves.branches import branch_ends
from tombola.moves.copying import Interpolate
from tombola.moves.depthmap import DepthMap
from tombola.moves.keeping import KeepFirst
from tombola.moves.origins import Origins, origins


@plugin("move", "stretch")
class Stretch:
    """The ticket of a deeper network of the family, made of this one's blocks.

    As in the paper, masks, rewound weights, and all of batch norm are copied as they are; stem, the entry of each stage
    and the head are carried one to one, and nothing is scaled, drawn or pruned. The other fields are variants and
    controls.

    Args:
        to: The target, e.g. resnet(depth=56).
        by: Which block comes from which (see: tombola list depth_map).
        carried: The "mask" alone, on newly drawn weights, whose training begins at the ticket's step all the same (so
            they skip the first part of the schedule); the "weights" alone, all alive; or "both".
        copies: What a block has that is not the first one made of its source: the "same" mask and weights; its mask
            "permuted" within each tensor (the paper's figure 4, "random"); or the same mask on "fresh" weights.
        values: "masked" carries survivors alone, as the paper's code does: where a mask is permuted, it then keeps
            zeros. "rewound" carries the values under dead positions too, where the ticket has them.
        scale: "divided": what a block adds to its residual stream is divided by the number of its copies, as the
            picture of Euler steps has it (section 3.1; the paper scales nothing); that of "fresh" copies too.
        noise: Added to the weights of copies, as a multiple of the standard deviation of each tensor's survivors.
        fresh: Parts of the target that begin anew, dense: those that no block can be carried to.
        seed: Of all that is drawn.

    Example:
        >>> from tombola.archs.resnet import ResNet
        >>> Stretch(to=ResNet(depth=32)).maps(ResNet(depth=20), Interface(inputs=(3, 32, 32), classes=10))
        ((1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 2, 2))
    """

    to: Arch
    by: DepthMap = Interpolate()
    carried: Literal["both", "mask", "weights"] = "both"
    copies: Literal["same", "permuted", "fresh"] = "same"
    values: Literal["rewound", "masked"] = "rewound"
    scale: Literal["kept", "divided"] = "kept"
    noise: float = 0.0
    fresh: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise Refused(f"noise is {self.noise}. It is a multiple of a standard deviation: 0 or more.")
        redrawn = self.carried == "mask"
        idle = {
            "copies='permuted'": self.copies == "permuted" and self.carried == "weights",
            "copies='fresh'": self.copies == "fresh" and redrawn,
            "noise": self.noise > 0 and (redrawn or self.copies == "fresh"),
            "scale='divided'": self.scale == "divided" and redrawn,
            "values='masked'": self.values == "masked" and redrawn,
        }
        for option in (name for name, given in idle.items() if given):
            other = f"carried={self.carried!r}" if self.carried != "both" else "copies='fresh'"
            raise Refused(f"stretch: {option} changes what {other} does not carry. Leave one of them out.")

    def __call__(self, ticket: Ticket) -> Ticket:
        """The ticket of the target."""
        elsewhere = self.carried == "weights" or (self.copies == "permuted" and self.carried == "both")
        if self.values == "rewound" and elsewhere:
            ticket.needs_all("a mask that is not the ticket's own")
        found = self.origins(ticket.arch, ticket.io)
        mask = self._mask(ticket, found)
        weights = self._weights(ticket, found, mask)
        if self.carried == "mask":
            return ticket.rebuilt(arch=self.to, mask=mask, weights=weights, restart="weights", holding="all")
        if ticket.holding == "all" and self.values == "rewound":
            return ticket.rebuilt(arch=self.to, mask=mask, weights=weights)
        alive = {name: mask.living(name, value) if name in mask else value for name, value in weights.items()}
        return ticket.rebuilt(arch=self.to, mask=mask, weights=alive, holding="alive")

    def origins(self, source: Arch, io: Interface) -> Origins:
        """Where every part of the target comes from.

        Raises:
            Refused: If the target cannot be made of the source by this map.
        """
        return origins(source, self.to, io, self.by, self.fresh)

    def maps(self, source: Arch, io: Interface) -> tuple[tuple[int | None, ...], ...]:
        """For each stage the number of the source's block that each block is made of."""
        return self.origins(source, io).stages

    def copied(self, source: Arch, io: Interface) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Which masks and which weights of the target are those of the source, bit for bit: target's name to source's.

        What is not named is new, or was changed by an option.
        """
        found = self.origins(source, io)
        kept = {name: came for name, came in found.entries.items() if came}
        prunable, divided = set(self.to.layout().prunable), self._divided(found)
        masks = {} if self.carried == "weights" else dict(kept)
        weights = {} if self.carried == "mask" else dict(kept)
        for name in kept:
            copy = found.owners[name] in found.copies
            if copy and self.copies == "permuted":
                masks.pop(name, None)
            noisy = self.noise > 0 and name in prunable
            if (copy and (self.copies == "fresh" or noisy)) or name in divided:
                weights.pop(name, None)
        return masks, weights

    def _divided(self, found: Origins) -> Mapping[str, int]:
        """The tensors at the ends of branches of blocks that were copied, and how often."""
        if self.scale == "kept":
            return {}
        layout, many = self.to.layout(), {part for part, came in found.parts.items() if found.times.get(came, 0) > 1}
        return {name: found.times[found.parts[part]] for part in many for name in branch_ends(layout, part)}

    def _mask(self, ticket: Ticket, found: Origins) -> Mask:
        prunable = self.to.layout().prunable
        whole = set(ticket.mask) != set(ticket.arch.layout().prunable)  # A scope may have every parameter in it.
        names = [n for n, _ in blank(self.to, ticket.io).named_parameters()] if whole else list(prunable)
        alive: dict[str, Tensor] = {}
        for name in names:
            came = found.entries[name]
            if not came or self.carried == "weights":
                alive[name] = torch.ones(found.target[name][0], dtype=torch.bool)
            elif found.owners[name] in found.copies and self.copies == "permuted":
                order = numbers("stretch", self.seed, name).permutation(ticket.mask[came].numel())
                alive[name] = ticket.mask[came].reshape(-1)[torch.from_numpy(order)].reshape(found.target[name][0])
            else:
                alive[name] = ticket.mask[came]
        return Mask(alive)

    def _weights(self, ticket: Ticket, found: Origins, mask: Mask) -> dict[str, Tensor]:
        own = ticket.masked() if self.values == "masked" else ticket.weights
        drawn: dict[str, Tensor] = {}
        if self.carried == "mask" or found.fresh or (self.copies == "fresh" and found.copies):
            drawn = initial_weights(self.to, ticket.io, "stretch", self.seed)
        prunable, divided = set(self.to.layout().prunable), self._divided(found)
        weights: dict[str, Tensor] = {}
        for name, came in found.entries.items():
            copy = found.owners[name] in found.copies
            new = not came or self.carried == "mask" or (copy and self.copies == "fresh")
            value = drawn[name] if new else own[came]
            if not new and copy and self.noise and name in prunable:
                value = value + self._jitter(name, value, mask[name])
            if name in divided:
                value = value / divided[name]
            weights[name] = value.clone() if copy and value is own.get(came) else value
        return weights

    def _jitter(self, name: str, value: Tensor, alive: Tensor) -> Tensor:
        living = value[alive].double()
        spread = float(living.std(correction=0)) if len(living) else 0.0
        drawn = numbers("stretch", self.seed, "noise", name).standard_normal(tuple(value.shape), dtype=np.float32)
        return torch.from_numpy(drawn).to(value.dtype).mul_(self.noise * spread).mul_(alive)


@plugin("move", "squeeze")
class Squeeze(Stretch):
    """The ticket of a shallower network of the family: `stretch`, but that it keeps the first blocks unless told.

    Example:
        >>> from tombola.archs.resnet import ResNet
        >>> Squeeze(to=ResNet(depth=14)).maps(ResNet(depth=32), Interface(inputs=(3, 32, 32), classes=10))
        ((1,), (1,), (1,))
    """

    by: DepthMap = KeepFirst()
