"""The search for the depth map that carries a ticket best: successive halving on validation data.

Jamieson and Talwalkar 2016, algorithm 1: all candidates get a short training, the better half a longer one, and so on.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.layout import Arch
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.core.times import Time, checked, in_steps
from tombola.find import carry
from tombola.moves.copying import Append, Early, Interpolate, Late
from tombola.moves.depthmap import DepthMap
from tombola.moves.keeping import KeepEven, KeepFirst, KeepLast
from tombola.moves.stretch import Stretch
from tombola.study.step import now
from tombola.train.loop import train
from tombola.train.recipe import Recipe, longer
from tombola.train.run import check_fit
from tombola.train.schedules import DrawnIn
from tombola.train.trained import Trained

DEEPER: tuple[DepthMap, ...] = (
    Interpolate(),
    Append(),
    Early(),
    Late(),
    Interpolate(extra="even"),
    Interpolate(extra="last"),
    Append(extra="last"),
)
"""What is tried where a network gets deeper, the paper's own rule first: it wins a tie."""
SHALLOWER: tuple[DepthMap, ...] = (KeepFirst(), KeepLast(), KeepEven(), KeepEven(start="last"))
"""What is tried where it gets shallower."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training of a search: the map's text, where it ended, what it came to, and the training's key.

    Maps carry tickets to different densities, so that each row has its own.
    """

    map: str
    rung: int
    steps: int
    validation_accuracy: float
    density: float
    key: str


@dataclasses.dataclass(frozen=True)
class Searched:
    """What a search found: the best map and its ticket, and all trials, rung by rung, the best of each first.

    `trained` is the training of that ticket by the whole recipe, if it was asked for.
    """

    map: DepthMap
    ticket: Ticket
    trials: tuple[Trial, ...]
    trained: Trained | None = None


def search(
    ticket: Ticket,
    to: Arch,
    task: Task,
    recipe: Recipe,
    *,
    maps: Sequence[DepthMap] = (),
    rungs: Sequence[Time] = (),
    keep: float = 0.5,
    last: Literal["ticket", "trained"] = "ticket",
    seeds: Seeds = Seeds(),
    call: Any = now,
) -> Searched:
    """Find the depth map with which a ticket does best in a deeper or shallower network of its family.

    Every map makes a ticket of the target, each is trained shortly, and the best fraction `keep` goes on to the next,
    longer rung, until one is left or the rungs are used up. Validation accuracy alone ranks them, never test accuracy;
    of equals the one that is named first is better. Each rung trains from the tickets anew, by the recipe drawn in as
    a whole (`longer`; behind a later step than 0 what follows that step, `drawn_in`): a shortened schedule cannot be
    taken up again.

    Args:
        to: The target, e.g. resnet(depth=56).
        maps: Those to try; those that come to the same blocks are tried once. None given: `DEEPER` or `SHALLOWER`.
        rungs: For each rung the step or epoch at which its trainings end, from short to long. None given: the part of
            the training that lies behind the ticket's step, times `keep` once, twice, ... back from the whole.
        keep: Fraction that goes on, rounded down, at least one.
        last: Whether the best ticket is trained by the whole recipe in the end, or just given.
        call: How steps are run: `now`, or a `Store`, which remembers.

    Raises:
        Refused: If the recipe holds out no validation data, no map fits the target, or rungs do not rise.
        Failed: If a training fails.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> recipe = Recipe(steps=8, batch=64, evaluate=8)
        >>> dense = draw(Mlp(hidden=(8, 8, 8)), Digits(), recipe)
        >>> found = search(dense, Mlp(hidden=(8,) * 4), Digits(), recipe)
        >>> [(trial.rung, trial.steps) for trial in found.trials], found.ticket.arch
        ([(1, 4), (1, 4)], mlp(hidden=(8, 8, 8, 8)))
    """
    check_word("last", last, ("ticket", "trained"))
    _check_kinds(to, recipe, maps, rungs, keep)
    if not recipe.validation:
        raise Refused(
            f"search: {recipe} holds out no validation data, and maps are not to be chosen by test accuracy. Give a "
            "recipe with validation=0.1, say."
        )
    if not 0 < keep < 1:
        raise Refused(f"search: keep is {keep}. It is the fraction that goes on to the next rung, between 0 and 1.")
    check_fit(ticket, task)
    rivals = [(rule, call(carry, ticket=ticket, by=Stretch(to=to, by=rule))) for rule in _distinct(ticket, to, maps)]
    if not isinstance(rivals[0][1], Ticket):
        raise Refused(
            f"search: {rivals[0][1]!r} has not been made, and a search looks at what its trainings come to. Give "
            "call=now, or a Store."
        )
    ends = _ends(ticket, task, recipe, rungs, keep, len(rivals))
    trials: list[Trial] = []
    for rung, end in enumerate(ends, start=1):
        if len(rivals) == 1:
            break
        made = _trained(rivals, task, _shortened(recipe, task, end, ticket.step), seeds, call)
        scored = list(zip(made, rivals, strict=True))
        scored.sort(key=lambda pair: -pair[0].scores["validation_accuracy"])  # Equals stay in their order.
        trials += [
            Trial(str(rule), rung, end, one.scores["validation_accuracy"], own.density, one.key)
            for one, (rule, own) in scored
        ]
        rivals = [rival for _, rival in scored[: _goes_on(len(scored), keep)]]
    rule, best = rivals[0]
    whole = call(train, ticket=best, task=task, recipe=recipe, seeds=seeds) if last == "trained" else None
    return Searched(rule, best, tuple(trials), whole)


def _check_kinds(to: Any, recipe: Any, maps: Any, rungs: Any, keep: Any) -> None:
    """Refuse what is of another kind, such as a text, by its name."""
    if isinstance(to, type) or not isinstance(to, Arch):
        raise Refused(f"search: to is {to!r}, no network. Give a plug-in, such as ResNet(depth=32); a text by parse().")
    if not isinstance(recipe, Recipe):
        raise Refused(f"search: recipe is {recipe!r}, no recipe. Give a plug-in, such as Recipe(); a text by parse().")
    if not isinstance(keep, int | float):
        raise Refused(f"search: keep is {keep!r}, no number. It is the fraction that goes on to the next rung.")
    for name, value in (("maps", maps), ("rungs", rungs)):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise Refused(f"search: {name} is {value!r}, and several are looked for. Give a tuple: {name}=(...,).")


def _distinct(ticket: Ticket, to: Arch, maps: Sequence[DepthMap]) -> list[DepthMap]:
    """The maps that come to different blocks, each by its first name."""
    found: dict[object, DepthMap] = {}
    for rule in maps or _usual(ticket.arch, to):
        if isinstance(rule, type) or not isinstance(rule, DepthMap):
            raise Refused(f"search: {rule!r} is no depth map. Give plug-ins, such as Interpolate(); a text by parse().")
        found.setdefault(Stretch(to=to, by=rule).maps(ticket.arch, ticket.io), rule)
    return list(found.values())


def _usual(source: Arch, to: Arch) -> tuple[DepthMap, ...]:
    """The maps that are tried if none are named."""
    pairs = zip(source.layout().stages, to.layout().stages, strict=False)  # Stretch says it if there are fewer.
    grows = {math.copysign(1, more) for own, wanted in pairs if (more := len(wanted.blocks) - len(own.blocks))}
    if len(grows) > 1:
        raise Refused(
            f"search: some stages of {to} are deeper than those of {source}, and some shallower: no usual map does "
            "both. Name maps: explicit(...)."
        )
    return SHALLOWER if -1 in grows else DEEPER


def _ends(ticket: Ticket, task: Task, recipe: Recipe, rungs: Sequence[Time], keep: float, rivals: int) -> list[int]:
    """The step at which the trainings of each rung end."""
    whole, start = int(recipe.in_steps(task).steps), ticket.step
    if not rungs:
        number = 0
        while rivals > 1:
            number, rivals = number + 1, _goes_on(rivals, keep)
        return [start + max(1, round((whole - start) * keep**back)) for back in range(number, 0, -1)]
    epoch = -(-task.train_size(recipe.holdout) // recipe.batch)
    ends = [in_steps(checked(time, where="search: a rung"), epoch=epoch) for time in rungs]
    if ends != sorted(set(ends)) or not start < ends[0] or ends[-1] > whole:
        raise Refused(
            f"search: rungs {tuple(rungs)} end at steps {', '.join(map(str, ends))}. They rise, begin behind step "
            f"{start}, where the ticket starts, and do not go beyond the recipe's end, step {whole}."
        )
    return ends


def _goes_on(number: int, keep: float) -> int:
    return max(1, math.floor(number * Fraction(str(keep))))  # As written: 0.7 of 10 is 7.


def _shortened(recipe: Recipe, task: Task, end: int, start: int) -> Recipe:
    """The recipe drawn in so that it ends at a step: warm-up and schedule with it, from the step where it starts on."""
    exact = recipe.in_steps(task)
    whole, warmup = int(exact.steps), int(exact.warmup)
    if end >= whole:
        return recipe
    if not start:
        return dataclasses.replace(longer(recipe, end / whole), steps=end)
    later = max(0, warmup - start) * (end - start) // (whole - start)
    schedule = DrawnIn(of=exact.schedule, start=start, end=whole)
    return dataclasses.replace(recipe, steps=end, warmup=min(warmup, start) + later, schedule=schedule)


def _trained(
    rivals: Sequence[tuple[DepthMap, Ticket]], task: Task, recipe: Recipe, seeds: Seeds, call: Any
) -> list[Trained]:
    """All of a rung; on a GPU they train as one program."""
    try:
        return call(train, ticket=[ticket for _, ticket in rivals], task=task, recipe=recipe, seeds=seeds)
    except Failed as error:
        maps = ", ".join(str(rule) for rule, _ in rivals)
        raise Failed(
            f"search: {error}\nThe calls are, in order: {maps}. Leave one out by naming the others."
        ) from error
