"""Sparse evolutionary training: small weights go, random ones come (Mocanu et al. 2018)."""

from typing import Literal

import torch
from torch import Tensor

from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, number
from tombola.core.times import Time
from tombola.rewire import _parts as parts
from tombola.rewire._parts import Moving, Regrow, Regrown


@plugin("rewire", "set")
class Set(Moving):
    """Sparse evolutionary training: drop the smallest weights, grow as many at random (Mocanu et al. 2018).

    After every `every`, of each tensor the fraction `drop` of its living weights goes, those of least |w|, and as many
    come at random places. With by="sign" it is the fraction of the positive weights that are smallest, and of the
    negative ones that are largest, as the paper has it (algorithm 1); most codes since rank |w|, which differs where
    the signs do. The last update comes before the part `end` of the training is over: the paper leaves out the last
    epoch only. A tensor without dead weights stays as it is.

    Args:
        regrow: Whether a weight dropped now may be grown at once, as it may in the authors' code.
        regrown: Its value then: "zero", with fresh optimiser state, as any new weight; or "kept", as if never dropped.
    """

    every: Time = "1ep"
    drop: float = 0.3
    by: Literal["magnitude", "sign"] = "magnitude"
    regrow: Regrow = "allowed"
    regrown: Regrown = "zero"
    end: float = 1.0

    def rewired(self, live: Live) -> Masks:
        masks: dict[str, Tensor] = {}
        for name in live.masks:
            rng = live.numbers(name)
            grow = lambda count, among, rng=rng: parts.drawn(rng, count, among=among)  # noqa: E731
            masks[name] = parts.exchanged(
                live, name, self._dropped(live, name), grow, regrow=self.regrow, regrown=self.regrown
            )
        return masks

    def _dropped(self, live: Live, name: str) -> Tensor:
        values, mask = live.variables[name], live.masks[name]
        if self.by == "magnitude":
            count = parts.room(live, name, parts.share(self.drop, live.kept(name)), self.regrow)
            return parts.bottom(values.abs(), count, among=mask)
        dropped, left = torch.zeros_like(mask), parts.room(live, name, live.kept(name), self.regrow)
        for side, sizes in ((mask & (values > 0), values), (mask & (values < 0), -values)):
            count = min(left, parts.share(self.drop, number(side)))
            dropped, left = dropped | parts.bottom(sizes, count, among=side), left - count
        return dropped
