"""Continuous sparsification: masks that are soft and harden (Savarese, Silva and Maire 2020)."""

import dataclasses
import math
from typing import Literal, Self

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire
from tombola.core.times import Time, in_steps
from tombola.prune.everywhere import Everywhere
from tombola.prune.scope import Scope
from tombola.rewire._parts import check_every, check_interval, number
from tombola.rewire._shadows import best, check_density, check_layers, warn_of_collapse


@plugin("rewire", "continuous_sparsification")
class ContinuousSparsification(Rewire):
    """Continuous sparsification: the network computes with w sigmoid(b s), b rises from 1, and s > 0 is the mask.

    s begins at `initial` and learns with w, by SGD with `momentum` at `rate` times the recipe's rate, without decay. To
    the loss comes `lam` sum sigmoid(b s). b rises from 1 to `final` exponentially, by a stair every `every` (the
    authors' code: "1ep"). With scaling="initial" the soft mask is divided by its first value sigmoid(`initial`), as in
    that code, so that the network begins, and ends, with w itself where s does not move.

    Until the last step all weights compute, and that is the density which the curve tells; `chosen` beside it is the
    fraction with s > 0. The last step makes the mask hard. Its density is an outcome of `initial` and `lam`; or
    `density` is met exactly by the highest s (0: the sign decides).

    Example:
        >>> method = ContinuousSparsification(final=100.0)
        >>> [round(method.temperature(step, 101), 6) for step in (0, 50, 100)]
        [1.0, 10.0, 100.0]
    """

    dead = "shadow"
    begins = "dense"

    initial: float = 0.0
    lam: float = 1e-8
    final: float = 200.0
    every: Time = 1
    rate: float = 1.0
    momentum: float = 0.9
    scaling: Literal["no", "initial"] = "no"
    density: float = 0.0
    scope: Scope = Everywhere()

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_every(self, self.every)
        if self.density:
            check_density(self, self.density)
        elif self.scope != Everywhere():
            raise Refused(
                f"continuous_sparsification: the scope {self.scope} shares out a density, and none is given: what "
                "lives in the end is what s > 0 says. Give a density, or leave the scope out."
            )
        for name, low in (("lam", 0.0), ("final", 1.0), ("rate", 0.0)):
            if getattr(self, name) < low:
                raise Refused(f"continuous_sparsification: field '{name}' is {getattr(self, name)}. At least {low}.")
        if not 0 <= self.momentum < 1:
            raise Refused(
                f"continuous_sparsification: field 'momentum' is {self.momentum}. It is a number from 0 on, below 1."
            )

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The interval in steps; refused if the temperature would never rise."""
        every = in_steps(self.every, epoch=epoch)
        check_interval(self, every, end=steps, steps=steps)
        return dataclasses.replace(self, every=every)

    def check(self, mask: Mask) -> None:
        """A dense ticket, of which no tensor vanishes."""
        super().check(mask)
        if self.density:
            check_layers(self, self.scope, mask, self.density)

    def temperature(self, step: int, steps: int) -> float:
        """b at a step: its logarithm rises in equal stairs, from 0 at the first to that of `final` at the last."""
        last = (steps - 1) // int(self.every)
        return self.final ** (step // int(self.every) / last) if last else 1.0

    def begin(self, live: Live) -> Masks:
        """Every s is `initial`."""
        for name, variable in live.variables.items():
            live.state[f"s/{name}"] = torch.full_like(variable, self.initial)
            live.state[f"velocity/{name}"] = torch.zeros_like(variable)
        return live.masks

    def watch(self, live: Live) -> None:
        """The velocity of s, by the gradient of loss and penalty."""
        temperature = self.temperature(live.step, live.steps)
        for name, weight in live.variables.items():
            soft = torch.sigmoid(temperature * live.state[f"s/{name}"])
            slope = soft * (1 - soft) * (temperature * self._scale)
            gradient = (live.gradients[name] * weight + self.lam) * slope
            live.state[f"velocity/{name}"].mul_(self.momentum).add_(gradient)

    def pulled(self, name: str, live: Live) -> Tensor:
        """The gradient by w."""
        return live.gradients[name] * self._soft(name, live)

    def after(self, live: Live) -> None:
        """Move s: not before, as the gradient by w is taken at the old one."""
        for name in live.variables:
            live.state[f"s/{name}"].add_(live.state[f"velocity/{name}"], alpha=-live.rate * self.rate)

    def weights(self, name: str, live: Live) -> Tensor:
        """w under the soft mask, or in the end w itself."""
        return live.variables[name] * (self._scale if "hard" in live.state else self._soft(name, live))

    def due(self, step: int, steps: int) -> bool:
        """At the last step."""
        return step + 1 == steps

    def rewired(self, live: Live) -> Masks:
        """The hard mask."""
        scores = {name: live.state[f"s/{name}"] for name in live.variables}
        masks = best(scores, self.density, self.scope) if self.density else {n: s > 0 for n, s in scores.items()}
        live.state["hard"] = torch.ones(())
        warn_of_collapse(masks, before=live.masks)
        return masks

    def row(self, live: Live) -> dict[str, float]:
        """The fraction of weights with s > 0."""
        chosen = sum(number(live.state[f"s/{name}"] > 0) for name in live.variables)
        return {"chosen": chosen / sum(weight.numel() for weight in live.variables.values())}

    def _soft(self, name: str, live: Live) -> Tensor:
        return torch.sigmoid(self.temperature(live.step, live.steps) * live.state[f"s/{name}"]) * self._scale

    @property
    def _scale(self) -> float:
        return 1 + math.exp(-self.initial) if self.scaling == "initial" else 1.0
