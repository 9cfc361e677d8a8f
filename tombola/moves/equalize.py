"""Bring a carried ticket to a wanted density, so that it can be compared with another one of its network."""

import fnmatch
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.core.select import keep_best
from tombola.core.ticket import Ticket


@plugin("move", "equalize")
class Equalize:
    """The ticket at another density: smallest weights pruned, or dead ones revived, all tensors ranked together.

    A stretched ticket's density is a little off its source's (Chen et al. 2021, section 3.1), and that of the target's
    own ticket; this takes the difference away. What is ranked are the rewound weights: nothing was trained.

    Args:
        density: The fraction of all prunable weights to be left, to the weight.
        grow: Which dead weights come back if there are too few: the "largest" rewound values, or any ("random").
        exclude: Patterns of tensors that stay as they are; they count in the total.
        seed: Of what is drawn.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> (draw(Mlp(hidden=(5,)), Digits(), Quickstart()) | Equalize(density=0.1)).mask.kept
        37
    """

    density: float
    grow: Literal["largest", "random"] = "largest"
    exclude: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise Refused(
                f"equalize: field 'density' is {self.density}. It is the fraction of weights left: above 0, to 1."
            )

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with exactly so many weights alive."""
        mask, wanted = ticket.mask, round(self.density * ticket.mask.size)
        for pattern in self.exclude:
            if not fnmatch.filter(mask, pattern):
                raise Refused(f"equalize: exclude: '{pattern}' matches no tensor. There are: {', '.join(mask)}.")
        free = [name for name in mask if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude)]
        spared = sum(mask.kept_in(name) for name in mask if name not in free)
        room = sum(mask[name].numel() for name in free)
        if not 0 < wanted - spared <= room:
            raise Refused(
                f"{self} asks for {wanted:,} weights; {spared:,} are spared, and {room:,} more can live. Ask for "
                "another density, or exclude less."
            )
        if wanted <= mask.kept:
            kept = keep_best(mask, {name: ticket.weights[name].abs() for name in free}, free, wanted - spared)
            return self._with(ticket, Mask({**mask, **kept}))
        ticket.needs_all("reviving weights")
        dead = Mask({name: ~mask[name] for name in free})
        back = keep_best(dead, {name: self._score(ticket, name) for name in free}, free, wanted - mask.kept)
        return self._with(ticket, Mask({**mask, **{name: mask[name] | back[name] for name in free}}))

    def _score(self, ticket: Ticket, name: str) -> Tensor:
        if self.grow == "largest":
            return ticket.weights[name].abs()
        return torch.from_numpy(numbers("equalize", self.seed, name).random(tuple(ticket.weights[name].shape)))

    def _with(self, ticket: Ticket, mask: Mask) -> Ticket:
        weights = mask.apply(ticket.weights) if ticket.holding == "alive" else ticket.weights
        return ticket.rebuilt(mask=mask, weights=weights)
