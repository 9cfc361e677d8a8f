"""How far two trainings from the same weights end apart, by the noise of their data alone."""

import dataclasses
import math
import re
from typing import Any

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Split
from tombola.probes.barrier import barrier, in_order
from tombola.probes.line import Weights
from tombola.probes.renewal import Stats
from tombola.study.step import Context, step
from tombola.train.trained import Trained

NOISE = ("data", "augment")


@step("instability", prepare=in_order)
def instability(
    a: Trained,
    b: Trained,
    points: int = 30,
    stats: Stats = "",
    weights: Weights = "own",
    splits: tuple[Split, ...] = ("train", "test"),
    examples: int = 10_000,
    gathered: int = 2000,
    beyond: float = 0.0,
    *,
    context: Context = Context(),
) -> Measurement:
    """Linear interpolation instability: the error barrier between twins (Frankle et al. 2020, section 2).

    Twins are trained from the same ticket by the same recipe, with other orders of the data and other augmentation:
    `Seeds(0, data=1, augment=1)` and `Seeds(0, data=2, augment=2)`. A ticket that was drawn at step k has them share
    the first k steps. Frankle et al. call a network stable below 2 points.

    All numbers of `barrier`, and `apart`, the Euclidean distance between the two, `travelled`, the mean of their own
    distances from where they began, and `apart_by_travelled`, their ratio: over all learned values. The check `twins`
    says that they are two networks, and not one that was trained twice with the same noise.

    Args:
        a: One of them; how the others are meant is told by `barrier`.

    Raises:
        Refused: If these are no twins: another ticket, recipe or task, or the same noise.
        Failed: If a network has values that are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.core.seeds import Seeds
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> dense = draw(Mlp(hidden=(8,)), Digits(), recipe)
        >>> twins = (train(dense, Digits(), recipe, Seeds(0, data=s, augment=s)) for s in (1, 2))
        >>> found = instability(*twins, points=5)
        >>> found.numbers()["test_error_barrier_points"] < 60, found.proofs()
        (True, {'twins': True})
    """
    _check_twins(a, b)
    told = {"points": points, "stats": stats, "weights": weights, "splits": splits, "beyond": beyond}
    found = barrier.run(barrier.call(a=a, b=b, **told, examples=examples, gathered=gathered), context)
    start = a.ticket.mask.apply(a.ticket.weights)
    learned = {name for name, _ in a.module().named_parameters()}
    travelled = sum(_far(one.weights, start, learned) for one in (a, b)) / 2
    apart = _far(a.weights, b.weights, learned)
    more = {"apart": apart, "travelled": travelled, "apart_by_travelled": apart / travelled if travelled else 0.0}
    return dataclasses.replace(found, values={**found.values, **more}, checks={**found.checks, "twins": True})


def _far(one: Any, other: Any, names: set[str]) -> float:
    """The Euclidean distance between two state dicts, over some of their tensors."""
    return math.sqrt(math.fsum(_square(one[name], other[name]) for name in names))


def _square(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).square().sum())


def _trained_by(one: Trained) -> str:
    """The call that a network was trained by, without its seeds."""
    return re.sub(r", seeds=seeds\([^()]*\)", "", one.lineage.last.call)


def _check_twins(a: Trained, b: Trained) -> None:
    """Refuse two trainings that differ in more than their noise, or not even in that."""
    for what, one, other in (
        ("ticket", a.ticket.digest, b.ticket.digest),
        ("task", a.task, b.task),
        ("recipe", a.recipe, b.recipe),
    ):
        if one != other:
            raise Refused(
                f"instability: the two have another {what}: {one} and {other}. Twins are trained from one ticket, on "
                "one task, by one recipe; a barrier between other networks is told by barrier()."
            )
    if _trained_by(a) != _trained_by(b):
        raise Refused(
            f"instability: one was trained by {_trained_by(a)}, the other by {_trained_by(b)}. Twins differ in the "
            "order of their data and its augmentation alone; barrier() is of any two networks."
        )
    if all(a.seeds.stream(name) == b.seeds.stream(name) for name in NOISE):
        raise Refused(
            f"instability: both were trained with the same noise ({a.seeds} and {b.seeds} have the same data order and "
            "augmentation). Give each its own: Seeds(0, data=1, augment=1) and Seeds(0, data=2, augment=2)."
        )
    if all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights):
        raise Refused(
            "instability: the two have the same weights, though their noise has other seeds: nothing of the noise "
            "reaches this training, such as one without steps. What is stable here is not the network."
        )
