"""Finding a ticket: iterative magnitude pruning with rewinding in one screen, and the verbs that it is made of.

The algorithm is that of Frankle and Carbin 2019 (reset to the start) and Frankle et al. 2020 (rewinding to step k).
"""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from tombola.core.call import Call
from tombola.core.canon import Keyed
from tombola.core.errors import Refused, UnknownName
from tombola.core.layout import Arch, Interface, blank, initial_weights, shapes
from tombola.core.lineage import Event
from tombola.core.mask import Mask
from tombola.core.plugin import is_plugin, registration_of
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.text import parse_call
from tombola.core.ticket import Restart, Ticket
from tombola.criteria.magnitude import Magnitude
from tombola.prune import Everywhere, Scope, prune, widened
from tombola.study.step import Context, Step, now, step
from tombola.train import fleet
from tombola.train.cost import cost_of
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.trained import Trained


def find(
    arch: Arch,
    task: Task,
    recipe: Recipe,
    *,
    levels: int = 0,
    criterion: Any = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float = 0.8,
    densities: tuple[float, ...] = (),
    restart: Restart = "weights",
    seeds: Seeds = Seeds(),
    call: Any = now,
) -> Iterator[Ticket]:
    """Iterative magnitude pruning with rewinding: yields the dense ticket, then one ticket for each level.

    Args:
        levels: The number of cuts, each of which keeps the fraction `keep` of the living weights.
        densities: Or a density for each level, instead of `levels` and `keep`.
        restart: From what each ticket restarts (see `Ticket`): rewound weights, or trained ones ("rate", "fine-tune").
        call: How steps are run: `now`, or a `Store`, which remembers.
    """
    check_cuts(arch, task.io, scope=scope, keep=keep, densities=densities)
    ticket = call(draw, arch=arch, task=task, recipe=recipe, seeds=seeds)
    yield ticket
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
    plain = dataclasses.replace(recipe, select="last", patience=0)  # The rewind point is a step, not a choice.
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
    criterion: Any = Magnitude(),
    scope: Scope = Everywhere(),
    keep: float | None = None,
    density: float | None = None,
    restart: Restart = "weights",
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
    living = widened(ticket.mask, parameters, scope)
    mask = prune(living, criterion(Network(trained.weights, living)), keep=keep, density=density, scope=scope)
    if restart == "weights":
        return ticket.rebuilt(mask=mask, lineage=trained.lineage)
    return ticket.rebuilt(
        mask=mask, weights=mask.apply(trained.weights), restart=restart, holding="alive", lineage=trained.lineage
    )


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


def dense_mask(arch: Arch, io: Interface) -> Mask:
    """Everything alive, in the tensors that the layout calls prunable."""
    sizes = shapes(blank(arch, io))
    return Mask.dense({name: sizes[name] for name in arch.layout().prunable})


@dataclasses.dataclass(frozen=True)
class Network:
    """What a criterion sees (`Prunable`)."""

    state: Mapping[str, Tensor]
    mask: Mask

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Trained values of the prunable tensors, zero where the mask is dead."""
        return self.mask.apply({name: self.state[name] for name in self.mask})


STEPS: Mapping[str, Step] = {one.name: one for one in (draw, train, cut, carry)}
ALIVE = "alive"
_TAKES = {name: one.signature.parameters for name, one in STEPS.items()} | {
    ALIVE: {"ticket": inspect.Parameter("ticket", inspect.Parameter.KEYWORD_ONLY)}
}
_KINDS = {n: n for n in ("arch", "task", "recipe", "seeds", "criterion", "scope")} | {"by": "move"}


def recalled(event: Event) -> Call:
    """The call of an event, made again from its text, with keys in the place of tickets and trained networks.

    Raises:
        Refused: If no such call can have been made; the text may come from a file that was tampered with.
    """
    try:
        name, arguments = parse_call(event.call, _StandIn)
    except UnknownName as error:
        raise UnknownName(f"{error} If that is in a file of your own, name it: --use FILE.py.") from error
    if name != event.function or name not in _TAKES:
        raise Refused(f"'{event.call}' does not give {event.key}.")
    known = {n: p.default is p.empty for n, p in _TAKES[name].items() if n != "context"}
    if odd := [*(n for n in arguments if n not in known), *(n for n in known if known[n] and n not in arguments)]:
        raise Refused(f"'{event.call}' is no call of {name}: look at '{odd[0]}'.")
    for n, value in arguments.items():
        if n in _KINDS:
            fits = is_plugin(value) and registration_of(value).kind == _KINDS[n]
        elif n in ("ticket", "trained"):
            fits = isinstance(value, _StandIn) and value.key.startswith("train:") == (n == "trained")
        else:
            fits = type(value) in ((str,) if n == "restart" else (int, float))
        if not fits:
            raise Refused(f"'{event.call}' is no call of {name}: '{n}' is of the wrong kind.")
    return Call(name, 1 if name == ALIVE else STEPS[name].version, arguments)


class _StandIn(Keyed):
    """A key in the place of the value that it stands for."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def key(self) -> str:
        return self._key
