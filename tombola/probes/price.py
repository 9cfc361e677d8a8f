"""What a sparse network cost altogether: its own training, and the search for its ticket."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Arch
from tombola.core.lineage import TRAININGS, Event, is_training
from tombola.core.mask import Mask
from tombola.core.measurement import Measurement
from tombola.core.task import Task
from tombola.core.text import parse_call
from tombola.core.ticket import CUTS
from tombola.study.step import step
from tombola.train.flops import flops
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

COUNTED = "every training behind the ticket is counted (behind=...)"


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing that had to be paid for; `epochs` are those of its own data. Seconds are 0 where nobody timed it."""

    part: str
    key: str
    images: int
    epochs: float
    flops_dense: float
    flops_sparse: float
    seconds: float = 0.0
    device_seconds: float = 0.0


SUMS = ("epochs", "flops_dense", "flops_sparse", "seconds", "device_seconds")

RENORMED = 100
"""Batches on which `renorm` estimates unless told: a default is not in a lineage's text."""


@step("price")
def price(trained: Trained, behind: tuple[Trained, ...] = ()) -> Measurement:
    """Epochs, operations and seconds of a training ("last"), of what had to happen before it ("search"), and in total.

    The search is each training of `behind` once, whatever was asked for twice; each draw to a rewind point, each cut,
    and each estimate of batch-norm statistics (forward passes), that their lineages name. Operations are of both
    conventions of `train/flops.py`. A cut costs what its criterion sees: its fields `batches` (of the recipe's size; 0:
    a whole epoch) and `per_class`, times its `samples` where it has them, in each of its rounds, at one training
    example's operations of the dense network in either convention (the further passes of second derivatives are not
    counted); one without these fields sees no data, and costs the passes that it makes without (SynFlow: one a round).
    Nobody times draws and cuts: they are charged the seconds that an example took in the trainings, and
    `seconds_estimated` is how many of the seconds are of that kind.

    `dense_trainings` is the total in epochs over those of one training of this recipe from step 0;
    `dense_trainings_flops_dense` and `..._flops_sparse` are the total operations, by either convention, over the dense
    operations of one such training of the last network. The check fails if a lineage names a training that is not
    there; the table "missing" has its key, and only the numbers of the last training are given.

    Args:
        behind: All trainings without which there were no ticket: of the levels before it, the dense one among them;
            also any that chose its settings.

    Raises:
        Refused: If something else than a trained network is among them.
    """
    for one in (trained, *behind):
        if not isinstance(one, Trained):
            raise Refused(
                f"price: {one!r} is not a trained network. Give trainings; draws and cuts are in their lineage."
            )
    others = {one.key: one for one in behind if one.key != trained.key}
    last, search = _training(trained), [_training(one) for one in others.values()]
    timed = [last, *search]
    images = sum(part.images for part in timed)
    rates = [sum(getattr(part, name) for part in timed) / images if images else 0.0 for name in SUMS[3:]]
    untimed = [
        dataclasses.replace(part, seconds=rates[0] * part.images, device_seconds=rates[1] * part.images)
        for part in _untimed([*others.values(), trained])
    ]
    search = [*untimed, *search]
    sums = {
        f"{word}_{name}": float(sum(getattr(part, name) for part in parts))
        for word, parts in {"last": [last], "search": search, "total": [last, *search]}.items()
        for name in SUMS
    }
    task, recipe, network = trained.task, trained.recipe, trained.ticket
    once = seen(task, recipe, int(recipe.steps))
    dense = flops(network.arch, network.io, network.mask).training_dense * once
    numbers = {
        **sums,
        "trainings": float(len(timed)),
        "seconds_estimated": float(sum(part.seconds for part in untimed)),
        "dense_trainings": sums["total_epochs"] / (once / task.train_size(recipe.holdout)),
        "dense_trainings_flops_dense": sums["total_flops_dense"] / dense,
        "dense_trainings_flops_sparse": sums["total_flops_sparse"] / dense,
    }
    named = {event.key for one in (trained, *behind) for event in one.lineage if event.function in TRAININGS}
    missing = tuple({"key": key} for key in sorted(named - {trained.key, *others}))
    if missing:  # A search without them would look cheap.
        numbers = {name: value for name, value in numbers.items() if name.startswith("last_")}
    table = tuple(dataclasses.asdict(part) for part in [*search, last])
    return Measurement(numbers, {COUNTED: not missing}, {"parts": table, **({"missing": missing} if missing else {})})


def seen(task: Task, recipe: Recipe, steps: int) -> int:
    """Training examples in the first steps of a recipe; the last batch of an epoch may be smaller."""
    size = task.train_size(recipe.holdout)
    epochs, rest = divmod(steps, -(-size // recipe.batch))
    return epochs * size + rest * recipe.batch


def _training(one: Trained) -> Part:
    cost, size = one.cost, one.task.train_size(one.recipe.holdout)
    took = {name: getattr(cost, name) for name in SUMS[1:]}
    return Part("train", one.key, cost.images, cost.images / size, **took)


def _untimed(trainings: Iterable[Trained]) -> list[Part]:
    """The draws and cuts in the lineages, each once; told by the nearest network behind which they stand."""
    parts: dict[str, Part] = {}
    for one in sorted(trainings, key=lambda one: len(one.lineage)):
        events = {event.key: event for event in one.lineage}
        for key, event in events.items():
            if key in parts:
                continue
            if event.function == "draw":
                parts[key] = _draw(event)
            elif event.function == "renorm":
                parts[key] = _renorm(event, one)
            elif event.function in CUTS:
                parts[key] = _cut(event, events, one)
    return [part for part in parts.values() if part.images]


def _draw(event: Event) -> Part:
    given = _arguments(event)
    task, recipe = given["task"], given["recipe"]
    return _part(event, given["arch"], task, recipe, seen(task, recipe, int(recipe.rewind)))


def _renorm(event: Event, one: Trained) -> Part:
    """Forward passes of the dense network over the batches that its statistics were estimated on."""
    given = _arguments(event)
    task, recipe, batches = given["task"], given["recipe"], given.get("batches", RENORMED)
    images = seen(task, recipe, batches) if batches else task.train_size(recipe.holdout)
    whole = _part(event, one.ticket.arch, task, recipe, images)
    forward = flops(one.ticket.arch, task.io, Mask({})).forward_dense * images
    return dataclasses.replace(whole, flops_dense=forward, flops_sparse=forward)


def _cut(event: Event, events: Mapping[str, Event], one: Trained) -> Part:
    """What a criterion sees, of the data of the training that it cuts, or that it is given."""
    given = _arguments(event)
    source = given
    if is_training(key := str(given.get("trained", ""))) and key in events:
        source = _arguments(events[key])
    task, recipe = source.get("task", one.task), source.get("recipe", one.recipe)
    return _part(event, one.ticket.arch, task, recipe, looked_at(given.get("criterion"), task, recipe))


def looked_at(criterion: object, task: Task, recipe: Recipe) -> int:
    """How many examples a criterion sees in all of its rounds, by its fields `batches`, `per_class` and `samples`.

    Example:
        >>> from tombola.criteria.magnitude import Magnitude
        >>> from tombola.tasks.digits import Digits
        >>> looked_at(Magnitude(), Digits(), Recipe())
        0
    """
    batches, per_class = (getattr(criterion, name, None) for name in ("batches", "per_class"))
    if per_class:
        each = per_class * task.io.classes * max(int(batches or 0), 1)
    elif batches is not None:
        each = seen(task, recipe, int(batches)) if batches else task.train_size(recipe.holdout)
    else:
        return habits_of(criterion).passes * habits_of(criterion).rounds
    return each * int(getattr(criterion, "samples", 1)) * habits_of(criterion).rounds


def _part(event: Event, arch: Arch, task: Task, recipe: Recipe, images: int) -> Part:
    operations = flops(arch, task.io, Mask({})).training_dense * images
    return Part(event.function, event.key, images, images / task.train_size(recipe.holdout), operations, operations)


def _arguments(event: Event) -> dict[str, Any]:
    """The arguments of a recorded call; keys stay keys, and what was left at its default is not there."""
    return parse_call(event.call, str)[1]
