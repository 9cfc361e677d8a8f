"""Networks compared in pairs: what is refused before they are asked anything."""

from collections.abc import Sequence

from tombola.core.errors import Refused
from tombola.core.task import Task
from tombola.probes.predictions import check_same
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
