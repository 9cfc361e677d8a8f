"""Dynamic pruning with feedback (Lin, Stich, Barba, Dmitriev and Jaggi 2020)."""

import dataclasses
from typing import Literal, Self

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire
from tombola.core.times import Time, checked, in_steps
from tombola.prune.everywhere import Everywhere
from tombola.prune.scope import Scope
from tombola.rewire._parts import check_every, check_interval, check_part, end_of
from tombola.rewire._shadows import best, check_density, check_layers, warn_of_collapse


@plugin("rewire", "dpf")
class Dpf(Rewire):
    """DPF: gradients taken at the pruned network change all weights, and the largest are kept, anew every few steps.

    The network computes with w m, and w, dead weights too, moves by the gradient taken there: w - rate g(w m)
    (algorithm 1). Every `every` steps (16 in the paper) m is made anew from |w|. The density falls from 1 to
    `density` over the part `end` of the training by the cubic of Zhu and Gupta 2018, in stairs of `stairs` steps
    (ports: "1ep", and end=1.0). `then` says whether masks still change when it has fallen.

    Example:
        >>> [round(Dpf(density=0.1).wanted(step, 100), 4) for step in (0, 10, 25, 50, 99)]
        [1.0, 0.5608, 0.2125, 0.1, 0.1]
    """

    dead = "shadow"
    begins = "dense"

    density: float = 0.1
    every: Time = 16
    end: float = 0.5
    stairs: Time = 1
    scope: Scope = Everywhere()
    then: Literal["rewire", "keep"] = "rewire"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_density(self, self.density)
        check_every(self, self.every)
        check_part(self, "end", self.end)
        if checked(self.stairs, where="dpf: field 'stairs'") == 0:
            raise Refused("dpf: field 'stairs' is 0. It is the time between two falls of the density: 1 or more.")

    def in_steps(self, epoch: int, steps: int) -> Self:
        """Times in steps; refused if the masks would never change."""
        times = {name: in_steps(getattr(self, name), epoch=epoch) for name in ("every", "stairs")}
        check_interval(self, times["every"], end=steps, steps=steps)
        return dataclasses.replace(self, **times)

    def check(self, mask: Mask) -> None:
        """A dense ticket, of which no tensor vanishes."""
        super().check(mask)
        check_layers(self, self.scope, mask, self.density)
        try:
            check_layers(self, self.scope, mask, (1 + self.density) / 2)
        except Refused as error:
            raise Refused(
                f"{self} falls through all densities from 1 to {self.density}, and {self.scope} has not every one. Use "
                "a scope that has, such as everywhere()."
            ) from error

    def wanted(self, step: int, steps: int) -> float:
        """The density after so many steps of a training."""
        if step >= end_of(self.end, steps):
            return self.density
        left = 1 - step // int(self.stairs) * int(self.stairs) / end_of(self.end, steps)
        return self.density + (1 - self.density) * left**3

    def due(self, step: int, steps: int) -> bool:
        """Every so many steps, and when the density has fallen: it is exact from there on."""
        done, end = step + 1, end_of(self.end, steps)
        return done == end or (done % int(self.every) == 0 and done < steps and (done < end or self.then == "rewire"))

    def begin(self, live: Live) -> Masks:
        """All weights, or at a later step what the schedule leaves there."""
        return self._largest(live, live.step)

    def rewired(self, live: Live) -> Masks:
        """The largest weights, dead or alive."""
        return self._largest(live, live.step + 1)

    def _largest(self, live: Live, step: int) -> Masks:
        scores = {name: variable.abs() for name, variable in live.variables.items()}
        masks = best(scores, self.wanted(step, live.steps), self.scope)
        warn_of_collapse(masks, before=live.masks)
        return masks
