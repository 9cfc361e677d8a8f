"""Gradual pruning inside one training (Zhu and Gupta 2017, "To prune, or not to prune", section 3, equation 1)."""

from typing import Literal

import torch
from torch import Tensor

from tombola.core.criterion import Criterion
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks
from tombola.core.times import Time
from tombola.criteria.magnitude import Magnitude
from tombola.prune.everywhere import Everywhere
from tombola.prune.scope import Scope
from tombola.rewire._cubic import Falling, begin_cuts, check_span, cut, rehearsed, shares_of
from tombola.rewire._parts import check_every


@plugin("rewire", "gradual")
class Gradual(Falling):
    """Prune while training, from the ticket's density to `density`: much at first, then less and less (a cubic).

    There is a cut after every `every` steps from the part `start` of the training to its part `end`; the last one that
    has room leaves `density` exactly. Weights are ranked by a criterion that needs no more than weights, mask and the
    gradient of the step, within the groups of the scope. Pruned weights are zero and do not come back. With
    pruned="kept", as in the TensorFlow code of the authors, they keep their values without updates, each cut ranks all
    of the ticket's weights anew, and one comes back when others have become smaller.

    Example:
        >>> Gradual(density=0.2, every="1ep").in_steps(epoch=10, steps=100)
        gradual(density=0.2, every=10)
    """

    density: float = 0.1
    start: float = 0.25
    end: float = 0.75
    every: Time = 100
    criterion: Criterion = Magnitude()
    scope: Scope = Everywhere()
    pruned: Literal["zero", "kept"] = "zero"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_span(self, self.density, self.start, self.end)
        check_every(self, self.every)

    @property
    def dead(self) -> Literal["zero", "shadow"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Pruned weights that keep their values are shadows."""
        return "zero" if self.pruned == "zero" else "shadow"

    def begin(self, live: Live) -> Masks:
        """The ticket's mask, if scope and criterion can do what is asked of them."""
        begin_cuts(self, self.cuts(live.steps), live, self.scope, self.density)
        rehearsed(live, self.criterion)
        if self.pruned == "kept":
            live.state |= {f"ticket/{name}": alive.to(torch.uint8) for name, alive in live.masks.items()}
        return live.masks

    def due(self, step: int, steps: int) -> bool:
        """After the updates at which there is a cut."""
        return self.cuts(steps).due(step + 1)

    def rewired(self, live: Live) -> Masks:
        """What the criterion leaves at the schedule's density."""
        shares = shares_of(self.cuts(live.steps), live)
        ticket = {name: live.state[f"ticket/{name}"] != 0 for name in live.masks} if self.pruned == "kept" else None
        return cut(Mask(ticket or live.masks), live, self.criterion, shares, self.scope)

    def pulled(self, name: str, live: Live) -> Tensor:
        """Kept weights are not pulled."""
        return live.gradients[name] * live.masks[name]

    def free(self, name: str, live: Live) -> Tensor | None:
        """Nor do momentum or decay move them."""
        return live.masks[name]

    def trained(self, name: str, live: Live) -> int:
        """The living, whatever becomes of the others."""
        return live.kept(name)
