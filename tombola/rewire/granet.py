"""GraNet: gradual pruning with regrowth (Liu et al. 2021, "Sparse training via boosting pruning plasticity")."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks
from tombola.core.times import Time
from tombola.criteria.magnitude import Magnitude
from tombola.prune.everywhere import Everywhere
from tombola.prune.scope import Scope, ranks_freely
from tombola.rewire._cubic import Falling, begin_cuts, check_span, cut, decayed, portion, shares_of
from tombola.rewire._parts import Regrow, Regrown, bottom, check_drop, check_every, exchanged, room, top


@plugin("rewire", "granet")
class GraNet(Falling):
    """Prune gradually from the ticket's density to `density`, and at each cut exchange weights for better ones.

    After every `every` steps from the part `start` of the training to its part `end`, magnitude within the groups of
    the scope leaves the density of the cubic schedule (see `gradual`). Then each tensor drops the fraction `drop` of
    what is left, by magnitude, rounded up, and grows as many where the gradient of the step is largest. The fraction
    decays to `floor` at the end of the training. After `end` weights are exchanged on, or with after="still" not.
    A weight dropped and grown at once is zero with fresh state; in the authors' code it keeps both (regrown="kept").

    Example:
        >>> GraNet(density=0.2, every="1ep").in_steps(epoch=10, steps=100)
        granet(density=0.2, every=10)
    """

    grows: ClassVar[Literal["blindly", "by gradient"]] = "by gradient"
    density: float = 0.1
    drop: float = 0.5
    decay: Literal["cosine", "linear", "none"] = "cosine"
    floor: float = 0.005
    start: float = 0.0
    end: float = 0.5
    every: Time = 100
    after_end: Literal["exchange", "still"] = "exchange"
    scope: Scope = Everywhere()
    regrow: Regrow = "allowed"
    regrown: Regrown = "zero"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_span(self, self.density, self.start, self.end)
        check_drop(self, self.drop)
        check_every(self, self.every)
        if not 0 <= self.floor <= 1:
            raise Refused(f"granet: field 'floor' is {self.floor}. It is what `drop` decays to, from 0 to 1.")

    def check(self, mask: Mask) -> None:
        """The ticket has as many weights as are to be left, and the scope can share them."""
        super().check(mask)
        if not ranks_freely(self.scope):
            raise Refused(
                f"{self}: it exchanges single weights, which undoes the structure that {self.scope} is there for. Use "
                "everywhere(), per_layer() or erk()."
            )

    def begin(self, live: Live) -> Masks:
        """The ticket's mask, if the scope can make all cuts."""
        begin_cuts(self, self.cuts(live.steps), live, self.scope, self.density)
        return live.masks

    def due(self, step: int, steps: int) -> bool:
        """After the updates at which there is a cut, and if so asked as often up to the end of the training."""
        cuts, time = self.cuts(steps), step + 1
        on = self.after_end == "exchange" and time > cuts.last and (time - cuts.begin) % cuts.every == 0
        return cuts.due(time) or (on and time < steps)

    def rewired(self, live: Live) -> Masks:
        """Cut down to the schedule's density, then exchanged tensor by tensor."""
        shares = shares_of(self.cuts(live.steps), live)
        pruned = cut(Mask(live.masks), live, Magnitude(), shares, self.scope)
        ranked = {name for names, _ in shares for name in names}
        left = dataclasses.replace(live, masks=pruned, counts={})
        rate = decayed(self.drop, self.floor, live.step + 1, live.steps, self.decay)
        found = {name: self._exchanged(name, left, rate) if name in ranked else pruned[name] for name in pruned}
        for name, mask in found.items():
            live.renew(name, live.masks[name] & ~pruned[name] & mask)  # Cut and grown at once: it had died between.
        return found

    def _exchanged(self, name: str, live: Live, rate: float) -> Tensor:
        count = room(live, name, portion(rate, live.kept(name)), self.regrow)
        dropped = bottom(live.variables[name].abs(), count, among=live.masks[name])
        gradient = live.gradients[name].abs()
        grow = lambda number, among: top(gradient, number, among=among)  # noqa: E731
        return exchanged(live, name, dropped, grow, regrow=self.regrow, regrown=self.regrown)
