"""Finding a ticket: iterative magnitude pruning with rewinding in one screen, and the verbs that it is made of.

The algorithm is that of Frankle and Carbin 2019 (reset to the start) and Frankle et al. 2020 (rewinding to step k).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from tombola.core.criterion import Criterion, Moment, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank, initial_weights, shapes
from tombola.core.mask import Mask
from tombola.core.rewire import Static
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Restart, Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.prune import Everywhere, Scope, in_rounds, prune, widened
from tombola.study.step import Context, now, step
from tombola.train import fleet
from tombola.train.cost import cost_of
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.network import Network
from tombola.train.recipe import Recipe
from tombola.train.run import Run, threads
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
        call: How steps are run: `now`, or a `Store`, which remembers.
    """
    check_cuts(arch, task.io, scope=scope, keep=keep, densities=densities)
    ticket = call(draw, arch=arch, task=task, recipe=recipe, seeds=seeds)
    yield ticket
    if (moment or habits_of(criterion).moment) == "before":
        for density in densities or ladder(dense_mask(arch, task.io), scope, keep=keep, levels=levels):
            given = {"criterion": criterion, "scope": scope, "density": density, "seeds": seeds}
            yield call(cut_early, ticket=ticket, task=task, recipe=recipe, **given)
        return
    for size in [{"density": density} for density in densities] or [{"keep": keep}] * levels:
        trained = call(train, ticket=ticket, task=task, recipe=recipe, seeds=seeds)
        ticket = call(cut, trained=trained, criterion=criterion, scope=scope, restart=restart, **size)
        yield ticket


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
    ticket = trained.ticket
    parameters = {name: tuple(value.shape) for name, value in trained.module().named_parameters()}
    living = widened(trained.mask, parameters, scope)
    examples = Examples(trained.task, trained.recipe, trained.seeds, torch.device(context.machine.device))
    net = _seen(ticket, living, trained.weights, examples)
    with threads(context.machine):
        mask = in_rounds(net, criterion, keep=keep, density=density, scope=scope)
    if restart == "weights":
        weights = ticket.weights if mask <= widened(ticket.mask, parameters, scope) else ticket.needs_all("cut")
        return ticket.rebuilt(mask=mask, weights=weights, lineage=trained.lineage)
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
    if ticket.io != task.io:
        raise Refused(f"{ticket!r} is a network for {ticket.io}; {task} needs {task.io}. Transplant the ticket first.")
    examples = Examples(task, recipe, seeds, torch.device(context.machine.device))
    parameters = {name: tuple(value.shape) for name, value in blank(ticket.arch, ticket.io).named_parameters()}
    net = _seen(ticket, widened(ticket.mask, parameters, scope), ticket.weights, examples)
    with threads(context.machine):
        return ticket.rebuilt(mask=in_rounds(net, criterion, keep=keep, density=density, scope=scope))


def _seen(ticket: Ticket, living: Mask, state: Mapping[str, Tensor], examples: Examples) -> Network:
    """What a criterion sees of a network that began as this ticket."""
    of = {"arch": ticket.arch, "io": ticket.io, "first": ticket.weights}
    return Network(state, living, examples=examples, device=examples.device, **of)


@step("carry")
def carry(ticket: Ticket, by: Any) -> Ticket:
    """Apply a move to a ticket; `ticket | move` is the same."""
    return by(ticket)


def check_cuts(
    arch: Arch, io: Interface, *, scope: Scope, keep: float = 0.8, densities: tuple[float, ...] = ()
) -> None:
    """Refuse now what a cut would refuse after hours of training.

    Raises:
        Refused: If the densities rise, or the scope cannot cut the dense network so.
    """
    if list(densities) != sorted(densities, reverse=True):
        raise Refused(f"densities {densities} rise. Pruning cannot revive weights: give them from high to low.")
    parameters = {name: tuple(value.shape) for name, value in blank(arch, io).named_parameters()}
    dense = widened(dense_mask(arch, io), parameters, scope)
    scope.shares(dense, keep=None if densities else keep, density=densities[0] if densities else None)


def ladder(mask: Mask, scope: Scope, *, keep: float, levels: int) -> Iterator[float]:
    """The densities that so many cuts after one another would leave.

    Example:
        >>> [round(d, 4) for d in ladder(Mask.dense({"w": (10, 100)}), Everywhere(), keep=0.8, levels=3)]
        [0.8, 0.64, 0.512]
    """
    equal = {name: torch.zeros(shape) for name, shape in mask.shapes.items()}
    for _ in range(levels):
        mask = prune(mask, equal, keep=keep, scope=scope)
        yield mask.density


def dense_mask(arch: Arch, io: Interface) -> Mask:
    """Everything alive, in the tensors that the layout calls prunable."""
    sizes = shapes(blank(arch, io))
    return Mask.dense({name: sizes[name] for name in arch.layout().prunable})
