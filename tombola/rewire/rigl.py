"""Rigging the lottery: small weights go, those with the largest gradients come (Evci et al. 2020)."""

from typing import ClassVar, Literal

from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks
from tombola.core.times import Time
from tombola.rewire import _parts as parts
from tombola.rewire._parts import Moving, Regrow, Regrown


@plugin("rewire", "rigl")
class Rigl(Moving):
    """RigL: drop the smallest weights, grow where the dense gradient is largest (Evci et al. 2020, algorithm 1).

    After every `every` batches, of each tensor with n living weights k = f(t) n go, those of least |w|, and the k come
    that have the largest |gradient| in this batch, dead weights' gradients included. f falls from `drop` to 0 at the
    part `end` of the training as half a cosine: f(t) = drop / 2 (1 + cos(pi t / end)). Counts stay those of the ticket:
    uniform or ERK is decided when it is cut. A tensor without dead weights stays as it is.

    Args:
        instead: Whether the batch of such a step updates the mask only ("yes", algorithm 1), or the weights before it.
        regrow: Whether a weight dropped now may be grown at once, as in the paper (candidates are all that are not
            left after the drop); many ports allow dead ones only ("forbidden").
        regrown: Its value then: "zero" with fresh optimiser state, as the paper has it, or "kept", both as they were,
            as in the authors' code.
    """

    grows: ClassVar[Literal["blindly", "by gradient"]] = "by gradient"
    every: Time = 100
    drop: float = 0.3
    end: float = 0.75
    instead: Literal["yes", "no"] = "yes"  # type: ignore[misc]
    regrow: Regrow = "allowed"
    regrown: Regrown = "zero"

    def rewired(self, live: Live) -> Masks:
        fraction = self.drop * parts.cosine(live.step + 1, parts.end_of(self.end, live.steps))
        masks = dict(live.masks)
        for name, mask in live.masks.items():
            count = parts.room(live, name, parts.share(fraction, live.kept(name)), self.regrow)
            if count:
                dropped = parts.bottom(live.variables[name].abs(), count, among=mask)
                slopes = live.gradients[name].abs()
                grow = lambda count, among, slopes=slopes: parts.top(slopes, count, among=among)  # noqa: E731
                masks[name] = parts.exchanged(live, name, dropped, grow, regrow=self.regrow, regrown=self.regrown)
        return masks
