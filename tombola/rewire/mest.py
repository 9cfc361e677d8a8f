"""Memory-economic sparse training: weights small in value and gradient go, random ones come (Yuan et al. 2021)."""

from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks
from tombola.core.times import Time
from tombola.rewire import _parts as parts
from tombola.rewire._parts import Moving, Regrow, Regrown

BASE = "base"
"""The ticket's counts, tensor by tensor, among what is kept in checkpoints."""


@plugin("rewire", "mest")
class Mest(Moving):
    """MEST: drop by |w| + lam |gradient|, grow as many at random (Yuan et al. 2021).

    After every `every`, of each tensor with n living weights k = f(t) n go, those of the least |w| + lam |gradient| in
    this batch, and k come at random places. `decay` says how f falls from `drop` to 0 at the part `end` of the
    training: not at all ("none", vanilla MEST), as half a "cosine" or "linear" (elastic mutation, EM). With
    memory="soft" (EM&S) weights come first and go later: a tensor has n + k of them from one update to the next, where
    the worst go until n are left and new ones come; at `end` n are left for good. The paper counts its fraction of all
    weights, this of the living ones. A tensor without dead weights stays as it is.

    Args:
        regrow: Whether a weight dropped now may be grown at once.
        regrown: Its value then: "zero", with fresh optimiser state, as any new weight; or "kept", as if never dropped.
    """

    every: Time = "1ep"
    drop: float = 0.3
    lam: float = 1.0
    decay: Literal["none", "cosine", "linear"] = "none"
    memory: Literal["hard", "soft"] = "hard"
    regrow: Regrow = "allowed"
    regrown: Regrown = "zero"
    end: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lam < 0:
            raise Refused(f"mest: field 'lam' is {self.lam}. It weighs |gradient| against |w|: 0 or more.")

    def begin(self, live: Live) -> Masks:
        live.state[BASE] = torch.tensor([live.kept(name) for name in live.masks])
        return super().begin(live)

    def due(self, step: int, steps: int) -> bool:
        # Where memory is soft, the last update takes away what the one before it lent.
        return super().due(step, steps) or (self.memory == "soft" and step + 1 == parts.end_of(self.end, steps))

    def rewired(self, live: Live) -> Masks:
        fraction, masks = self._fraction(live), dict(live.masks)
        for name, base in zip(live.masks, live.state[BASE].tolist(), strict=True):
            if base == live.masks[name].numel():
                continue
            masks[name] = self._moved(live, name, base, parts.share(fraction, base))
        return masks

    def _moved(self, live: Live, name: str, base: int, count: int) -> Tensor:
        mask = live.masks[name]
        size, kept = mask.numel(), live.kept(name)
        if self.memory == "hard":
            goes = count = parts.room(live, name, count, self.regrow)
        else:
            goes = kept - base
            count = min(count, size - (base if self.regrow == "allowed" else kept))
        worth = live.variables[name].abs() + self.lam * live.gradients[name].abs()
        dropped = parts.bottom(worth, goes, among=mask)
        rng = live.numbers(name)
        return parts.exchanged(
            live,
            name,
            dropped,
            lambda _, among: parts.drawn(rng, count, among=among),
            regrow=self.regrow,
            regrown=self.regrown,
        )

    def _fraction(self, live: Live) -> float:
        step, end = live.step + 1, parts.end_of(self.end, live.steps)
        if self.decay == "cosine":
            return self.drop * parts.cosine(step, end)
        if step >= end:
            return 0.0
        return self.drop * (1 - step / end if self.decay == "linear" else 1.0)
