"""SNFS, sparse momentum (Dettmers and Zettlemoyer 2019, "Sparse networks from scratch", algorithm 1)."""

import math
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks
from tombola.core.share import apportion
from tombola.core.times import Time
from tombola.rewire._cubic import decayed, portion
from tombola.rewire._parts import Moving, Regrown, bottom, changed, end_of, top


@plugin("rewire", "snfs")
class Snfs(Moving):
    """Move weights to the layers, and places in them, where smoothed gradients are large (sparse momentum).

    All gradients, dead weights' too, are smoothed: m = `smoothing` m + (1 - `smoothing`) g. After every `every` each
    tensor drops the fraction `drop` of its weights, by magnitude, rounded up but never its last one. What all have
    dropped is shared in proportion to the mean |m| of each tensor's living weights, and grown in it where |m| is
    largest; what a full tensor cannot take goes to the others. So the total stays, and no tensor is ever empty. The
    fraction decays to `floor` at the part `end` of the training, where the mask comes to rest.

    Variants: shares="magnitude" goes by the mean |weight|, shares="own" gives each tensor back what it dropped. The
    authors' code takes the optimiser's momentum for m; with scale="adam", as there under Adam, m is divided by the
    root of the squared gradients smoothed by `squares`. A weight dropped and grown at once is zero with fresh state;
    there it keeps both (regrown="kept"). With reset="mean", as there, m of dead weights becomes the mean of the living
    after each update of the mask.

    Example:
        >>> Snfs().in_steps(epoch=10, steps=100)
        snfs(every=10)
    """

    drop: float = 0.5
    decay: Literal["cosine", "linear", "none"] = "cosine"
    floor: float = 0.005
    every: Time = "1ep"
    end: float = 1.0
    smoothing: float = 0.9
    shares: Literal["momentum", "magnitude", "own"] = "momentum"
    scale: Literal["plain", "adam"] = "plain"
    squares: float = 0.999
    regrown: Regrown = "zero"
    reset: Literal["no", "mean"] = "no"

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        super().__post_init__()
        for field in ("smoothing", "squares"):
            if not 0 <= getattr(self, field) < 1:
                raise Refused(f"snfs: field '{field}' is {getattr(self, field)}. What is remembered is below 1.")
        if not 0 <= self.floor <= 1:
            raise Refused(f"snfs: field 'floor' is {self.floor}. It is what `drop` decays to, from 0 to 1.")

    def begin(self, live: Live) -> Masks:
        """The ticket's mask; nothing is remembered yet."""
        kinds = ("smooth", "square") if self.scale == "adam" else ("smooth",)
        live.state |= {
            f"{kind}/{name}": torch.zeros_like(live.variables[name]) for kind in kinds for name in live.masks
        }
        return super().begin(live)

    def watch(self, live: Live) -> None:
        """Smooth the gradients, as long as masks will change."""
        for name in live.masks if self._goes_on(live) else ():
            gradient = live.gradients[name]
            live.state[f"smooth/{name}"].lerp_(gradient, 1 - self.smoothing)
            if self.scale == "adam":
                live.state[f"square/{name}"].lerp_(gradient.square(), 1 - self.squares)

    def rewired(self, live: Live) -> Masks:
        """Dropped everywhere, shared anew, and grown."""
        rate = decayed(self.drop, self.floor, live.step + 1, end_of(self.end, live.steps), self.decay)
        masks = live.masks
        momenta = {name: self._momentum(name, live) for name in masks}
        counts = {name: min(portion(rate, live.kept(name)), live.kept(name) - 1) for name in masks}
        dropped = {name: bottom(live.variables[name].abs(), counts[name], among=masks[name]) for name in masks}
        shares = self._shares(live, momenta, counts)
        found: dict[str, Tensor] = {}
        for name, old in masks.items():
            grown = top(momenta[name], shares[name], among=~old | dropped[name])
            found[name] = changed(old, dropped[name], grown)
            if self.regrown == "zero":
                live.renew(name, dropped[name] & grown)
            if self.reset == "mean":
                smooth = live.state[f"smooth/{name}"]
                smooth.masked_fill_(~found[name], float(smooth[found[name]].mean()))
        return found

    def trained(self, name: str, live: Live) -> int:
        """The gradient of every weight, at every step as long as masks will change."""
        return live.masks[name].numel() if self._goes_on(live) else live.kept(name)

    def _goes_on(self, live: Live) -> bool:
        return live.step + 1 < end_of(self.end, live.steps)

    def _momentum(self, name: str, live: Live) -> Tensor:
        smooth = live.state[f"smooth/{name}"].abs()
        return smooth / (live.state[f"square/{name}"].sqrt() + 1e-8) if self.scale == "adam" else smooth

    def _shares(self, live: Live, momenta: dict[str, Tensor], counts: dict[str, int]) -> dict[str, int]:
        """How many weights each tensor grows: as many as were dropped in all, and never more than there is room for."""
        if self.shares == "own":
            return counts
        means = momenta if self.shares == "momentum" else {name: live.variables[name].abs() for name in live.masks}
        found = {name: float(means[name][alive].double().mean()) for name, alive in live.masks.items()}
        wishes = {name: mean if math.isfinite(mean) else 0.0 for name, mean in found.items()}  # The loss will tell.
        caps = {n: alive.numel() - live.kept(n) + counts[n] for n, alive in live.masks.items()}
        return apportion(wishes, caps, sum(counts.values()))
