"""Finding a ticket: iterative magnitude pruning with rewinding in one screen, and the verbs that it is made of.

The algorithm is that of Frankle and Carbin 2019 (reset to the start) and Frankle et al. 2020 (rewinding to step k).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from tombola.checks import check_plugins, check_search, check_word, is_early, ladder
from tombola.core.call import function_of
from tombola.core.criterion import Criterion, Moment
from tombola.core.errors import Refused
from tombola.core.layout import Arch, blank, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import RESTARTS, Move, Restart, Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.prune import Everywhere, Scope, in_rounds, widened
from tombola.study.deferred import Deferred
from tombola.study.step import Context, now, step
from tombola.train import fleet
from tombola.train.cost import cost_of
from tombola.train.device import threads
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipe import Recipe
from tombola.train.run import Run, check_fit
from tombola.train.trained import Trained


def find(
    arch: Arch,
    task: Task,
    recipe: Recipe,
    *,
    levels: int = 0,
    criterion: Criterion = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float = 0.8,
    densities: tuple[float, ...] = (),
    restart: Restart = "weights",
    moment: Moment | Literal[""] = "",
    then: Move | None = None,
    seeds: Seeds = Seeds(),
    call: Any = now,
) -> Iterator[Ticket]:
    """Iterative magnitude pruning with rewinding: yields the dense ticket, then one ticket for each level.

    Args:
        levels: The number of cuts, each of which keeps the fraction `keep` of the living weights.
        densities: Or a density for each level, instead of `levels` and `keep`.
        restart: From what each ticket restarts (see `Ticket`): rewound weights, or trained ones ("rate", "fine-tune").
        moment: Cut "after" training, level by level, or "before" it, where each ticket is cut from the dense one at
            once; "" is the criterion's own habit.
        then: A move that each ticket goes through when it is cut, before it is trained: a chain of random tickets,
            whose masks come from each other, has `Reinit(draw="fresh")` (TICKET-RANDOM of Desai et al. 2019).
        call: How steps are run: `now`, or a `Store`, which remembers.
    """
    how = {"criterion": criterion, "scope": scope, "keep": keep, "restart": restart, "moment": moment}
    dense = dense_mask(arch, task.io)
    check_search(dense, arch, task.io, recipe, **how, densities=densities, levels=levels)
    ticket = call(draw, arch=arch, task=task, recipe=recipe, seeds=seeds)
    yield ticket
    if is_early(criterion, moment):
        densities = densities or tuple(ladder(dense, scope, keep=keep, levels=levels))
    more = {"densities": densities, "levels": levels, "then": then, "seeds": seeds, "call": call}
    yield from further(ticket, task, recipe, **how, **more)


def further(
    ticket: Ticket | Deferred,
    task: Task,
    recipe: Recipe,
    *,
    levels: int = 0,
    criterion: Criterion = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float = 0.8,
    densities: tuple[float, ...] = (),
    restart: Restart = "weights",
    moment: Moment | Literal[""] = "",
    then: Move | None = None,
    seeds: Seeds = Seeds(),
    call: Any = now,
) -> Iterator[Ticket]:
    """The levels behind a ticket, drawn or found or carried from elsewhere: train, prune, rewind, and again.

    Arguments are those of `find`, which is `draw` and this. A ticket that a study deferred is cut before training to
    `densities` only: what it keeps is not known yet.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.moves.stretch import Stretch
        >>> from tombola.tasks.digits import Digits
        >>> task, recipe = Digits(), Recipe(steps=2, batch=60)
        >>> *_, found = find(Mlp(hidden=(8, 8)), task, recipe, levels=1)
        >>> [deeper] = further(found | Stretch(to=Mlp(hidden=(8, 8, 8))), task, recipe, levels=1)
        >>> deeper.level, round(deeper.density, 2)
        (2, 0.65)
    """
    if isinstance(ticket, Ticket):
        how = {"criterion": criterion, "scope": scope, "keep": keep, "densities": densities, "levels": levels}
        check_search(ticket.mask, ticket.arch, ticket.io, recipe, **how, restart=restart, moment=moment)
        if is_early(criterion, moment):
            densities = densities or tuple(ladder(ticket.mask, scope, keep=keep, levels=levels))

    def moved(found: Any) -> Any:
        return found if then is None else call(carry, ticket=found, by=then)

    if is_early(criterion, moment):
        for density in densities:
            given = {"criterion": criterion, "scope": scope, "density": density, "seeds": seeds}
            yield moved(call(cut_early, ticket=ticket, task=task, recipe=recipe, **given))
        return
    last: Any = ticket
    for size in [{"density": density} for density in densities] or [{"keep": keep}] * levels:
        trained = call(train, ticket=last, task=task, recipe=training(recipe, last), seeds=seeds)
        last = moved(call(cut, trained=trained, criterion=criterion, scope=scope, restart=restart, **size))
        yield last


def _in_steps(arch: Arch, task: Task, recipe: Recipe, seeds: Seeds) -> dict[str, Any]:
    return {"arch": arch, "task": task, "recipe": recipe.in_steps(task), "seeds": seeds}


@step("draw", prepare=_in_steps)
def draw(arch: Arch, task: Task, recipe: Recipe, seeds: Seeds = Seeds(), *, context: Context = Context()) -> Ticket:
    """The dense ticket: initial weights, trained to the recipe's rewind step."""
    start = Ticket(
        arch=arch,
        io=task.io,
        mask=dense_mask(arch, task.io),
        weights=initial_weights(arch, task.io, "init", seeds.stream("init")),
        task=str(task),
        recipe=str(recipe),
        data=str(task.__identity__().get("data", "")),
    )
    rewind = int(recipe.rewind)
    # The rewind point is a step, not a choice, of the dense network.
    plain = dataclasses.replace(recipe, select="last", patience=0, rewire=Static())
    if not rewind:
        return start
    run = Run(start, task, plain, seeds, context)
    weights = fleet.to_step(run, rewind)
    cost = cost_of(run)
    context.meter.flops, context.meter.device_seconds = cost.flops_dense, cost.device_seconds
    context.meter.images = cost.images
    return start.rebuilt(weights=weights, step=rewind)


@step("cut")
def cut(
    trained: Trained,
    criterion: Criterion = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float | None = None,
    density: float | None = None,
    restart: Restart = "weights",
    *,
    context: Context = Context(),
) -> Ticket:
    """Score the trained network, prune, and rewind: the next level's ticket.

    Args:
        keep: Fraction of the living weights to keep; or else `density`, fraction of all.
        restart: "weights": survivors return to their values at the rewind point. "rate": they keep their trained
            values, and only the schedule returns (Renda et al. 2020). "fine-tune": they keep them, at the last rate.

    Raises:
        Refused: If more weights are asked for than are alive, or none can be scored.
    """
    check_word("restart", restart, RESTARTS)
    check_plugins(criterion, scope)
    ticket = trained.ticket
    if restart == "weights" and ticket.restart != "weights":
        raise Refused(
            f"{ticket!r} restarted from trained weights (restart='{ticket.restart}'): the values of its rewind point "
            f"are gone. Cut it with restart='{ticket.restart}', or go back to a ticket of restart='weights'."
        )
    parameters = {name: tuple(value.shape) for name, value in trained.module().named_parameters()}
    living = widened(trained.mask, parameters, scope)
    examples = Examples(trained.task, trained.recipe, trained.seeds, torch.device(context.machine.device))
    grown = trained.rewired is not None and trained.recipe.rewire.dead == "zero"  # From zero, whatever the ticket has.
    first = ticket.masked() if grown else ticket.weights
    net = _seen(ticket, living, trained.weights, first, examples)
    with threads(context.machine):
        mask = in_rounds(net, criterion, keep=keep, density=density, scope=scope)
    if restart == "weights":
        if not mask <= widened(ticket.mask, parameters, scope):
            ticket.needs_all("cut")
        return _kept(ticket, mask).rebuilt(lineage=trained.lineage)
    return ticket.rebuilt(
        mask=mask, weights=mask.apply(trained.weights), restart=restart, holding="alive", lineage=trained.lineage
    )


@step("cut_early", prepare=lambda task, recipe, **others: {"task": task, "recipe": recipe.in_steps(task), **others})
def cut_early(
    ticket: Ticket,
    task: Task,
    recipe: Recipe,
    criterion: Criterion = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float | None = None,
    density: float | None = None,
    seeds: Seeds = Seeds(),
    *,
    context: Context = Context(),
) -> Ticket:
    """Score a network that is not trained, at its first weights or at the rewind point, and prune it.

    Args:
        recipe: How data are batched, split and computed with where the criterion sees some; nothing is trained.
        keep: Fraction of the living weights to keep; or else `density`, fraction of all.

    Raises:
        Refused: If more weights are asked for than are alive, or none can be scored.
    """
    check_plugins(criterion, scope)
    check_fit(ticket, task)
    examples = Examples(task, recipe, seeds, torch.device(context.machine.device))
    parameters = {name: tuple(value.shape) for name, value in blank(ticket.arch, ticket.io).named_parameters()}
    living = widened(ticket.mask, parameters, scope)
    net = _seen(ticket, living, ticket.weights, ticket.weights, examples)
    with threads(context.machine):
        return _kept(ticket, in_rounds(net, criterion, keep=keep, density=density, scope=scope))


def _seen(
    ticket: Ticket, living: Mask, state: Mapping[str, Tensor], first: Mapping[str, Tensor], examples: Examples
) -> Network:
    """What a criterion sees of a network that began with these weights."""
    of = {"arch": ticket.arch, "io": ticket.io, "first": first}
    return Network(state, living, examples=examples, device=examples.device, **of)


def _kept(ticket: Ticket, mask: Mask) -> Ticket:
    """The ticket with another mask; one that holds its survivors only, holds those of the new mask."""
    weights = mask.apply(ticket.weights) if ticket.holding == "alive" else ticket.weights
    return ticket.rebuilt(mask=mask, weights=weights)


@step("carry")
def carry(ticket: Ticket, by: Any) -> Ticket:
    """Apply a move to a ticket; `ticket | move` is the same."""
    return by(ticket)


def training(recipe: Recipe, ticket: Ticket | Deferred) -> Recipe:
    """How a ticket of a search is trained: a dense one without rewiring that moves the weights of sparse tickets."""
    dense = ticket.density == 1 if isinstance(ticket, Ticket) else function_of(ticket.key) == "draw"
    moves = recipe.rewire.begins == "sparse" and dense
    return dataclasses.replace(recipe, rewire=Static()) if moves else recipe
