"""Networks compared in pairs: what is refused before they are asked anything, and their answers example by example."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tombola.core.errors import Refused
from tombola.core.task import Task
from tombola.probes.predictions import Numbers, check_same, predictions
from tombola.study.step import Context
from tombola.train.trained import Trained


def check_pairs(what: str, here: Sequence[Trained], there: Sequence[Trained]) -> None:
    """Refuse pairs that were not trained on the same task; there are as many on both sides.

    Raises:
        Refused: If the tasks of a pair differ.
    """
    for one, other in zip(here, there, strict=True):
        if one.task != other.task:
            raise Refused(f"{what}: {one.task} and {other.task} are two tasks. Compare accuracies on one.")


def check_two(what: str, a: Trained, b: Trained, task: Task | None, splits: Sequence[str]) -> Task:
    """The task on which two networks of one architecture are compared: a's own unless told.

    Raises:
        Refused: If architectures or interfaces differ, they were trained on two tasks and none is named, or they hold
            out other examples.
    """
    for name in ("arch", "io"):
        one, other = getattr(a.ticket, name), getattr(b.ticket, name)
        if one != other:
            raise Refused(
                f"{what}: one network has {name} {one}, the other {other}. Compare networks of one architecture, for "
                "equal inputs and classes; stretch(to=...) brings a ticket to another depth."
            )
    if task is None and a.task != b.task:
        raise Refused(
            f"{what}: one network was trained on {a.task}, the other on {b.task}. Say on which data they are asked: "
            "task=..."
        )
    task = a.task if task is None else task
    check_same(what, a, task)
    check_held_out(what, a, b, splits)
    return task


def check_held_out(what: str, a: Trained, b: Trained, splits: Sequence[str]) -> None:
    """Refuse parts of the training data that two recipes divide in different ways.

    Raises:
        Refused: If one of the splits is such a part.
    """
    inside = [split for split in splits if split != "test"]
    if inside and a.recipe.holdout != b.recipe.holdout:
        raise Refused(
            f"{what}: {a.recipe.holdout} and {b.recipe.holdout} make other examples the {inside[0]} part. Compare on "
            "the test part, or networks whose recipes hold out the same."
        )


def asked(one: Trained) -> tuple[str, str]:
    """What decides the answers of a network."""
    return one.digest, str(one.task)


def answered(networks: Sequence[Trained], context: Context) -> dict[tuple[str, str], Numbers]:
    """Which test examples each network answers rightly, as 0 and 1; each is asked once."""
    known = {asked(one): one for one in networks}
    made = {name: predictions(one, one.task, "test", context) for name, one in known.items()}
    return {name: 1 - one.wrong.astype(np.float64) for name, one in made.items()}


def mixed(
    values: Sequence[Numbers], weights: Mapping[int, float], tasks: Sequence[str], *, overlapping: bool = False
) -> tuple[float, float]:
    """A weighted sum of accuracies, and its standard error over the examples of each task.

    Args:
        values: The answers of each network, as `answered` gives them.
        weights: The weight of each place in `values`.
        tasks: Whose questions those in each place are: answers to the same ones are taken together, example by example.
        overlapping: Whether tasks have questions in common. Their errors are then added up, the most that they can be.

    Example:
        >>> mixed([np.array([1.0, 0.0]), np.array([0.0, 1.0])], {0: 0.5, 1: 0.5}, ["a", "a"])
        (0.5, 0.0)
    """
    total, errors = 0.0, list[float]()
    for task in dict.fromkeys(tasks[place] for place in weights):
        each = np.stack([weight * values[place] for place, weight in weights.items() if tasks[place] == task]).sum(0)
        total += float(each.mean())
        errors.append(math.sqrt(each.var(ddof=1) / len(each)) if len(each) > 1 else math.inf)
    return total, sum(errors) if overlapping else math.hypot(*errors)
