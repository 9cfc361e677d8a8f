"""What the studies of elastic tickets share: a seed's tickets, how they are carried, and their rivals."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from tombola import Everywhere, Recipe, Seeds, carry, cut_early, defer, draw, find, longer, parse, train
from tombola.moves.controls import Reinit, Shuffle
from tombola.moves.equalize import Equalize
from tombola.train.schedules import StepDecay

Size = Literal["full", "small"]
KEEP = 0.8
"""Of the living weights a cut keeps: a fifth is gone at each level."""
BEFORE = {
    "one-shot magnitude": "magnitude",
    "SNIP": "snip(batches=0, mode='eval')",
    "GraSP": "grasp(form='absolute', batches=0, per_class=0, mode='eval')",
}
"""Pruned at the rewind point, by scores of one epoch in eval mode, as the code of Chen et al. 2021 has it."""
LONGER = 5.0
OTHER = 1000
"""Added to a seed for other noise."""
GROWN = ("RigL", "RigL, 5 times")
"""Rivals that find their mask in the one training that they have."""
RIVALS = ("reinit", "random", "random, as run", *BEFORE, *GROWN)
"""All that a ticket can be compared with."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """One seed's networks; a study says which, on what, and how they are trained."""

    size: Size
    seed: int

    def arch(self, net: Any) -> Any:
        """The network of a name."""
        raise NotImplementedError

    @property
    def task(self) -> Any:
        """The data."""
        raise NotImplementedError

    @property
    def recipe(self) -> Recipe:
        """How all are trained."""
        raise NotImplementedError

    @property
    def scope(self) -> Everywhere:
        """What is pruned; a cut takes one weight more than its share, as their code does."""
        return Everywhere(rounding="one_more")

    def tickets(self, net: Any, levels: int) -> list[Any]:
        """A network's own tickets, the dense one first."""
        given = {"levels": levels, "keep": KEEP, "scope": self.scope, "seeds": Seeds(self.seed), "call": defer}
        return list(find(self.arch(net), self.task, self.recipe, **given))

    def trained(self, ticket: Any, recipe: Recipe | None = None) -> Any:
        """A ticket trained to the end."""
        recipe = recipe or self.recipe
        return defer(train, ticket=ticket, task=self.task, recipe=recipe, seeds=Seeds(self.seed))

    def twin(self, ticket: Any) -> Any:
        """The same with other noise: another order of the data, another augmentation."""
        seeds = Seeds(self.seed, data=self.seed + OTHER, augment=self.seed + OTHER)
        return defer(train, ticket=ticket, task=self.task, recipe=self.recipe, seeds=seeds)

    def equalized(self, ticket: Any, density: float, **options: Any) -> Any:
        """A carried ticket at the density of the target's own, but for the few weights that rounding takes there."""
        return defer(carry, ticket=ticket, by=Equalize(density=density, exclude=self.scope.exclude, **options))

    def early(self, ticket: Any, criterion: str, density: float, scope: Any = None) -> Any:
        """A ticket that is cut at its rewind point."""
        given = {"criterion": parse("criterion", criterion), "scope": scope or self.scope, "density": density}
        return defer(cut_early, ticket=ticket, task=self.task, recipe=self.recipe, seeds=Seeds(self.seed), **given)

    def rival(self, name: str, net: Any, tickets: list[Any], level: int) -> Any:
        """What a network's own ticket of a level is compared with, trained."""
        density = KEEP**level
        if name.startswith("RigL"):
            plain = dataclasses.replace(self.recipe, rewind=0)
            recipe = dataclasses.replace(plain, rewire=parse("rewire", "rigl"))
            dense = defer(draw, arch=self.arch(net), task=self.task, recipe=plain, seeds=Seeds(self.seed))
            sparse = self.early(dense, f"random(seed={self.seed})", density, parse("scope", "erk"))
            return self.trained(sparse, longer(recipe, LONGER) if name.endswith("times") else recipe)
        if name in BEFORE:
            return self.trained(self.early(tickets[0], BEFORE[name], density))
        moves = {
            "reinit": Reinit(seed=self.seed, start="rewind"),
            "random": Shuffle(seed=self.seed),
            "random, as run": Shuffle(seed=self.seed, values="masked"),
        }
        return self.trained(defer(carry, ticket=tickets[level], by=moves[name]))


def growing(rivals: Sequence[str]) -> tuple[str, ...]:
    """Those of the rivals that grow their mask in training."""
    return tuple(name for name in rivals if name in GROWN)


def small(full: Recipe, *, rewind: int) -> Recipe:
    """An eighth of a recipe's epochs, on 20,000 of CIFAR-10's pictures; drops are at the same parts.

    The rewind point of a study lies between the published epoch (2.6; 0.5 for VGGs) and the published share of the
    training (1.6 %; 0.3 %): at 157 of 3,140 steps, for VGGs at 31.
    """
    drops = StepDecay(at=("10ep", "15ep"))
    optimizer = full.optimizer
    return Recipe(steps="20ep", optimizer=optimizer, schedule=drops, rewind=rewind, validation=0.6, evaluate="20ep")
