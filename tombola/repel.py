"""The verb `repel`: train away from solutions that are known, or towards them.

Maene et al. 2021 ask whether a ticket wins because it trains to where the network was that it was cut from. Their test
is causal: keep it from going there, and see whether it still wins.

    solutions = []
    ticket = runs(draw, arch=arch, task=task, recipe=recipe)
    for _ in range(levels):
        given = {"ticket": ticket, "task": task, "recipe": recipe}
        solutions.append(runs(repel, **given, others=tuple(solutions)) if solutions else runs(train, **given))
        ticket = runs(cut, trained=solutions[-1], keep=0.8)
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.lineage import joined
from tombola.core.mask import Mask
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.study.deferred import kind_of
from tombola.study.step import Context, step
from tombola.train import fleet
from tombola.train.loop import begin, ended
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

SMALL = 1e-12
"""Instead of the norm of weights that are all zero."""


def _in_steps(ticket: Any, task: Task, recipe: Recipe, others: Any, strength: float, seeds: Seeds) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    if not isinstance(others, list | tuple):
        raise Refused(f"repel: 'others' is {others!r}. Give trained networks in a row: others=(first,).")
    if not others:
        raise Refused("repel: there are no others to be repelled from. Name trained networks, or use train().")
    if odd := [one for one in others if not issubclass(kind_of(one), Trained)]:
        raise Refused(f"repel: {odd[0]!r} among the others is no trained network. Train it first.")
    if not math.isfinite(strength):
        raise Refused(f"repel: strength is {strength}. It is a finite number, such as 2.0.")
    if not strength:
        raise Refused("repel: a strength of 0 is train(). Above 0 the others repel, below 0 they attract.")
    if recipe.rewire != Static():
        raise Refused(f"repel: {recipe.rewire} changes the mask while training. Angles are under one mask.")
    given = {
        "ticket": ticket,
        "task": task,
        "recipe": recipe.in_steps(task),
    }  # The ticket first: a lineage needs it so.
    return {**given, "others": tuple(others), "strength": strength, "seeds": seeds}


@step("repel", prepare=_in_steps)
def repel(
    ticket: Ticket,
    task: Task,
    recipe: Recipe,
    others: tuple[Trained, ...],
    strength: float = 2.0,
    seeds: Seeds = Seeds(),
    *,
    context: Context = Context(),
) -> Trained:
    """Train a ticket as `train` does, with a term in the loss that keeps it from the directions of other networks.

    The term is strength / n times the sum over the n others of cos(t m, o m)^2, where t are the prunable weights of the
    ticket, o those of the other one and m is the ticket's mask: over all weights together, not by layer (Maene et al.
    2021, figure 3). There the others are the networks of all earlier rounds of a search: repelled from the last one
    alone, a network goes back to where it was before. Curves and scores are of the loss without the term.

    Args:
        others: Networks of the same architecture; each costs the memory of its living weights, all together one
            matrix-vector product a step.
        strength: 2 in the paper, for ResNet-20 on CIFAR-10; -1 attracts.

    Raises:
        Refused: If there are no others, they are of another architecture, or the recipe changes masks.
        Failed: If the loss is no longer finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> given = {"task": Digits(), "recipe": Recipe(steps=100, batch=60)}
        >>> dense = draw(Mlp(hidden=(8,)), **given)
        >>> first = train(dense, **given)
        >>> one, other = (repel(dense, **given, others=(first,), strength=s).weights for s in (2.0, -1.0))
        >>> near, far = (
        ...     torch.cosine_similarity(w["head.weight"].flatten(), first.weights["head.weight"].flatten(), 0)
        ...     for w in (other, one)
        ... )
        >>> bool(near > far)
        True
    """
    for one in others:
        for what in ("arch", "io"):
            own, theirs = getattr(ticket, what), getattr(one.ticket, what)
            if own != theirs:
                raise Refused(f"repel: {ticket!r} has {what} {own}, and {one!r} has {theirs}. There is no angle.")
    run, end = begin(ticket, task, recipe, seeds, context)
    run.aside = Likeness(run.net, ticket.mask, [one.weights for one in others], strength)
    found = ended(run, fleet.to_step(run, end))
    lineage = joined("repel", (ticket.lineage, *(one.lineage for one in others)))
    return dataclasses.replace(found, lineage=lineage)


class Likeness:
    """How much a network's living weights point in the directions of others: the term of the loss."""

    def __init__(self, net: nn.Module, mask: Mask, others: Sequence[Mapping[str, Tensor]], strength: float) -> None:
        parameters = dict(net.named_parameters())
        self.strength = strength
        self.parts: list[tuple[Tensor, Tensor]] = []
        rows: list[Tensor] = []
        for name in mask:
            places = mask[name].flatten().nonzero()[:, 0]
            self.parts.append((parameters[name], places.to(parameters[name].device)))
            rows.append(torch.stack([other[name].flatten()[places] for other in others]))
        known = torch.cat(rows, 1)
        norms = known.double().norm(dim=1, keepdim=True).clamp(min=SMALL).to(known.dtype)
        self.directions = (known / norms).to(self.parts[0][0])

    def __call__(self) -> Tensor:
        """The term, of the weights as they are now."""
        living = torch.cat([weight.flatten().index_select(0, places) for weight, places in self.parts])
        cosines = self.directions @ (living / living.norm().clamp(min=SMALL))
        return self.strength * cosines.square().mean()
