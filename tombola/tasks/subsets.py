"""Which training examples are held out for validation, and which few are used of the others."""

import functools
import logging

import numpy as np

from tombola.core.errors import Refused
from tombola.core.seeds import numbers
from tombola.core.task import Holdout

log = logging.getLogger(__name__)


def held_out(total: int, holdout: Holdout) -> int:
    """The number of training examples that are held out.

    Raises:
        Refused: If nothing is left to train on.
    """
    if not (0 <= holdout.fraction < 1 and round(holdout.fraction * total) < total):
        raise Refused(
            f"holdout fraction {holdout.fraction} leaves nothing of {total:,} examples to train on. It is 0 or more "
            "and below 1."
        )
    return round(holdout.fraction * total)


@functools.lru_cache(maxsize=16)
def divided(total: int, holdout: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the training and of the held-out examples, each in ascending order.

    Held out are the first round(fraction x total) of a permutation that the holdout's seed names.
    """
    order = numbers("validation", holdout.seed).permutation(total)
    number = held_out(total, holdout)
    return np.sort(order[number:]), np.sort(order[:number])


def divided_by_class(labels: np.ndarray, holdout: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """The same with the fraction of each class, so that what is balanced stays so in both parts.

    Raises:
        Refused: If nothing is left to train on.

    Example:
        >>> [part.tolist() for part in divided_by_class(np.array([0, 0, 1, 1]), Holdout(0.5))]
        [[0, 3], [1, 2]]
    """
    held_out(len(labels), holdout)
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = numbers("validation", holdout.seed, int(label)).permutation(len(own))
        held.append(own[order[: round(holdout.fraction * len(own))]])
    out = np.sort(np.concatenate(held))
    left = np.setdiff1d(np.arange(len(labels)), out)
    if not len(left):
        raise Refused(f"holdout fraction {holdout.fraction} leaves nothing of {len(labels):,} examples to train on.")
    return left, out


def check_few(task: object, few: int, left: int) -> None:
    """Refuse a number of labelled examples that a task has not.

    Raises:
        Refused: If `few` is above the `left` examples that are not held out.
    """
    if few > left:
        raise Refused(
            f"{task}: few={few:,} asks for more labelled examples than the {left:,} there are to train on. Ask for at "
            "most as many, or few=0 for all."
        )


def warn_of_absent(name: str, labels: np.ndarray, classes: int) -> None:
    """Warn of classes that no training example has: a network cannot learn them, and an accuracy hides that."""
    absent = sorted(set(range(classes)).difference(np.unique(labels).tolist()))
    if absent:
        which = f"class {absent[0]}" if len(absent) == 1 else f"classes {', '.join(map(str, absent))}"
        log.warning("%s: no training example is of %s, of the classes 0 to %d.", name, which, classes - 1)


def fewer(chosen: np.ndarray, labels: np.ndarray, number: int, *names: str | int) -> np.ndarray:
    """The positions of so many of the chosen examples, balanced over their classes, in ascending order.

    The examples are shuffled by the names and taken in rounds: the first of every class, the second of every class, and
    so on, in the order of the shuffle within a round. So no class is ahead of another by more than one while both last,
    and a smaller number gives a part of what a larger one gives.

    Args:
        chosen: Positions, without repetitions.
        labels: The labels of all examples: that of position p is `labels[p]`.
        number: How many; all of them are allowed.
        names: What the draw is named by (see `tombola.core.seeds.numbers`).

    Raises:
        Refused: If there are not so many.

    Example:
        >>> fewer(np.arange(6), np.array([0, 0, 0, 0, 1, 1]), 4, "an example").tolist()
        [0, 2, 4, 5]
    """
    if not 0 < number <= len(chosen):
        raise Refused(
            f"{number:,} labelled examples are asked for, there are {len(chosen):,} to train on. Ask for 1 or more and "
            "at most as many as there are."
        )
    shuffled = np.sort(chosen)[numbers(*names).permutation(len(chosen))]
    found = labels[shuffled]
    by_class = np.argsort(found, kind="stable")
    starts = np.searchsorted(found[by_class], found)
    turns = np.empty(len(chosen), dtype=np.int64)  # Which of its class an example is, in the order of the shuffle.
    turns[by_class] = np.arange(len(chosen))
    return np.sort(shuffled[np.argsort(turns - starts, kind="stable")[:number]])
