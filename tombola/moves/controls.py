"""The controls of a ticket: what it must beat, at the same counts, before it may be called winning.

Each keeps the number of living weights of every tensor (`erk_mask`: of all together) and changes one thing.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.core.share import apportion, erk_wishes
from tombola.core.ticket import Ticket


@plugin("move", "reinit")
class Reinit:
    """The same mask on fresh initial weights (Frankle and Carbin 2019, "random reinit").

    `draw` "fixed" is one second initialisation for all levels, as in Maene et al. 2021; "fresh" is another one for each
    mask. `signs` "same" keeps the signs of the ticket's weights (Zhou et al. 2019). The training begins at step 0 of
    the schedule, or with `start` "rewind" where the ticket's does, as in the code of Chen et al. 2021.
    """

    seed: int = 0
    draw: Literal["fixed", "fresh"] = "fixed"
    signs: Literal["new", "same"] = "new"
    start: Literal["beginning", "rewind"] = "beginning"

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with the same mask and other weights."""
        names = ("reinit", self.seed) if self.draw == "fixed" else ("reinit", self.seed, ticket.mask.digest())
        weights = initial_weights(ticket.arch, ticket.io, *names)
        if self.signs == "same":
            own = ticket.weights
            weights |= {name: torch.copysign(weights[name].abs(), own[name]) for name in ticket.mask}
        step = 0 if self.start == "beginning" else ticket.step
        return ticket.rebuilt(weights=weights, step=step, restart="weights", holding="all")


@plugin("move", "shuffle")
class Shuffle:
    """Survivors in other places of the same tensor: the layer densities win, or the places do.

    `of` "mask" moves the mask over the rewound weights (the random-pruning control of Frankle et al. 2020); "weights"
    keeps the mask and lets the surviving values change places among themselves (Su et al. 2020; Frankle et al. 2021).
    With `values` "masked" the moved mask finds the ticket's survivors alone, and zeros elsewhere: so does the code of
    Chen et al. 2021, against their text.
    """

    seed: int = 0
    of: Literal["mask", "weights"] = "mask"
    values: Literal["rewound", "masked"] = "rewound"

    def __post_init__(self) -> None:
        if (self.of, self.values) == ("weights", "masked"):
            raise Refused(
                "shuffle: values='masked' is of a mask that moves; with of='weights' survivors change places."
            )

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with the same counts in every tensor."""
        if self.of == "mask":
            mask = Mask({n: _permuted(m, self.seed, n) for n, m in ticket.mask.items()})
            if self.values == "masked":
                return ticket.rebuilt(mask=mask, weights=mask.apply(ticket.masked()), holding="alive")
            return ticket.rebuilt(mask=mask, weights=ticket.needs_all("shuffle"))
        moved: dict[str, Tensor] = {}
        for name, mask in ticket.mask.items():
            moved[name] = ticket.weights[name].clone(memory_format=torch.contiguous_format)
            moved[name][mask] = _permuted(ticket.weights[name][mask], self.seed, name)
        return ticket.rebuilt(weights={**ticket.weights, **moved})


@plugin("move", "random_mask")
class RandomMask:
    """A mask drawn at random with the ticket's count in every tensor, independent of the ticket's own mask."""

    seed: int = 0

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with the same counts and rewound weights."""
        counts = {name: ticket.mask.kept_in(name) for name in ticket.mask}
        return _drawn(ticket, counts, self.seed, "random_mask")


@plugin("move", "erk_mask")
class ErkMask:
    """A random mask with Erdos-Renyi-Kernel densities and the ticket's total (Evci et al. 2020)."""

    seed: int = 0

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with the same total and rewound weights."""
        caps = {name: ticket.mask[name].numel() for name in ticket.mask}
        counts = apportion(erk_wishes(ticket.mask.shapes), caps, ticket.mask.kept)
        return _drawn(ticket, counts, self.seed, "erk_mask")


@plugin("move", "invert")
class Invert:
    """The weights that the ticket threw away, as many in every tensor as it kept.

    Where a tensor is more than half alive its dead weights do not suffice, and survivors drawn at random fill up.
    """

    seed: int = 0

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket with the same counts, as far from the ticket's mask as they allow."""
        weights = ticket.needs_all("invert")
        alive: dict[str, Tensor] = {}
        for name, mask in ticket.mask.items():
            order = numbers("invert", self.seed, name).random(mask.numel())
            order[mask.reshape(-1).numpy()] += 1.0  # Dead weights come first, survivors after them.
            alive[name] = _first(order, ticket.mask.kept_in(name), mask)
        return ticket.rebuilt(mask=Mask(alive), weights=weights)


def _permuted(values: Tensor, seed: int, name: str) -> Tensor:
    order = numbers("shuffle", seed, name).permutation(values.numel())
    return values.reshape(-1)[torch.from_numpy(order)].reshape(values.shape)


def _drawn(ticket: Ticket, counts: dict[str, int], seed: int, purpose: str) -> Ticket:
    weights = ticket.needs_all(purpose)
    alive = {n: _first(numbers(purpose, seed, n).random(m.numel()), counts[n], m) for n, m in ticket.mask.items()}
    return ticket.rebuilt(mask=Mask(alive), weights=weights)


def _first(order: np.ndarray, count: int, like: Tensor) -> Tensor:
    """The `count` smallest numbers, as a mask."""
    if count > order.size:
        raise Refused(f"{count} weights in a tensor of {order.size}.")
    alive = np.zeros(order.size, dtype=bool)
    alive[np.argsort(order, kind="stable")[:count]] = True
    return torch.from_numpy(alive).reshape(like.shape)
