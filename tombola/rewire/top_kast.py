"""Top-KAST: always sparse training with a wider set of weights that learn (Jayakumar et al. 2020)."""

import dataclasses
from typing import Literal, Self

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire
from tombola.core.times import Time, in_steps
from tombola.prune.per_layer import PerLayer
from tombola.prune.scope import Scope
from tombola.rewire._parts import check_every, check_interval, check_part, end_of, number
from tombola.rewire._shadows import best, check_density, check_layers, warn_of_collapse


@plugin("rewire", "top_kast")
class TopKast(Rewire):
    """Top-KAST: the largest weights (A) compute, these and the next largest (B) learn, and all others wait as they are.

    A is the fraction `density` of the largest weights, B the fraction `density + offset`. To the gradient, taken at A,
    comes that of the exploration penalty: `lam` w on A, `lam / density` w on the rest of B, which must grow to come in;
    with norm="l1" the sign of w stands for w. Outside B nothing moves, and the optimiser's state there is dropped. Both
    sets are made anew every `every` steps, until the part `end` of the training is over: then B becomes A for good.
    """

    dead = "shadow"
    begins = "dense"

    density: float = 0.1
    offset: float = 0.1
    every: Time = 100
    end: float = 1.0
    lam: float = 1e-4
    norm: Literal["l2", "l1"] = "l2"
    scope: Scope = PerLayer()

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_density(self, self.density)
        check_every(self, self.every)
        check_part(self, "end", self.end)
        if self.offset < 0 or self.density + self.offset > 1 + 1e-9:
            raise Refused(
                f"top_kast: field 'offset' is {self.offset}. The density that learns, {self.density} more, is "
                f"from {self.density} to 1."
            )
        if self.lam < 0:
            raise Refused(f"top_kast: field 'lam' is {self.lam}. The penalty is 0 or more.")

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The interval in steps; refused if the sets would never change."""
        every = in_steps(self.every, epoch=epoch)
        check_interval(self, every, end=steps, steps=steps)
        return dataclasses.replace(self, every=every)

    def check(self, mask: Mask) -> None:
        """A dense ticket, of which no tensor vanishes."""
        super().check(mask)
        check_layers(self, self.scope, mask, self.density)
        check_layers(self, self.scope, mask, self._learns)

    def due(self, step: int, steps: int) -> bool:
        """Every so many steps while it explores, and once when that ends."""
        done, end = step + 1, end_of(self.end, steps)
        return done < steps and (done == end or (done < end and done % int(self.every) == 0))

    def begin(self, live: Live) -> Masks:
        """The sets by the first weights."""
        return self._sets(live, live.step)

    def rewired(self, live: Live) -> Masks:
        """The sets by the weights as they are."""
        return self._sets(live, live.step + 1)

    def _sets(self, live: Live, step: int) -> Masks:
        scores = {name: variable.abs() for name, variable in live.variables.items()}
        computing = best(scores, self.density, self.scope)
        explores = self.offset > 0 and step < end_of(self.end, live.steps)
        learning = best(scores, self._learns, self.scope) if explores else computing
        for name, mask in computing.items():
            live.state[f"learning/{name}"] = (learning[name] | mask).to(torch.uint8)
        warn_of_collapse(computing, before=live.masks)
        return computing

    def pulled(self, name: str, live: Live) -> Tensor:
        """The gradient and the penalty's, of what learns."""
        weight, learning = live.variables[name], live.state[f"learning/{name}"]
        penalty = self.lam * (weight if self.norm == "l2" else weight.sign())
        penalty = torch.where(live.masks[name], penalty, penalty / self.density)
        return (live.gradients[name] + penalty) * learning

    def free(self, name: str, live: Live) -> Tensor | None:
        """What learns."""
        return live.state[f"learning/{name}"].bool()

    @property
    def _learns(self) -> float:
        """The density of B: a sum of two decimals, without the dust that binary fractions leave."""
        return min(1.0, round(self.density + self.offset, 12))

    def trained(self, name: str, live: Live) -> int:
        """The size of B."""
        return number(live.state[f"learning/{name}"])
