"""How many labels two ways of beginning need: accuracy against their number, and the area under that curve."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.probes.paired import answered, asked, check_pairs, mixed
from tombola.study.step import Context, step
from tombola.train.trained import Trained

ONE_TEST = ""
"""All networks are asked the same questions, whatever they were trained on."""


def _ascending(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    here, there, labels = len(given["here"]), len(given["there"]), given["labels"]
    if not here == there == len(labels):
        raise Refused(
            f"learning_curve: {here} networks, {there} beside them, {len(labels)} points. One of each, please."
        )
    if len(labels) < 2 or labels[0] < 1 or any(a >= b for a, b in zip(labels, labels[1:], strict=False)):
        raise Refused(
            f"learning_curve: labels={labels}. Give two numbers of labels or more, each above the one before."
        )
    return given


@step("learning_curve", prepare=_ascending)
def learning_curve(
    here: tuple[Trained, ...], there: tuple[Trained, ...], labels: tuple[int, ...], *, context: Context = Context()
) -> Measurement:
    """What few labels cost two kinds of networks, which were trained on ever more labels of one set.

    `area_accuracy` is the area under the curve of test accuracy against the logarithm of the number of labels, by
    trapezoids, over its width: a mean accuracy, in which each doubling of the labels counts alike (as in the active
    learning challenge of Guyon et al. 2011, without its scale). `area_other_accuracy` is that of `there`, and
    `area_lead_points` their difference in percentage points, with its standard error over test examples,
    `area_lead_points_error`: they are taken example by example, as in `contrast`.

    `labels_needed` is the number of labels with which `here` first does as well as `there` does with the most: between
    two points of the curve along a straight line in the logarithm. Where the fewest are enough it is their number,
    which is then an upper bound. `labels_share` is that number as a share of the most. Both are left out, and `reached`
    is 0, where `here` never does as well.

    Args:
        here: Networks that were trained on so many labels each.
        there: What stands beside each of them, trained on the same.
        labels: The number of labels of each pair, ascending.

    Raises:
        Refused: If these are not as many, numbers do not ascend, the tasks of a pair differ, or test sets do.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe, tasks = Recipe(steps=10, batch=50), [Digits(few=50), Digits(few=200)]
        >>> narrow, wide = (tuple(train(draw(Mlp(hidden=(n,)), t, recipe), t, recipe) for t in tasks) for n in (2, 40))
        >>> found = learning_curve(wide, narrow, (50, 200)).numbers()
        >>> found["area_lead_points"] > 0, found["reached"]
        (True, 1)
    """
    check_pairs("learning_curve", here, there)
    right = answered((*here, *there), context)
    ours, theirs = ([right[asked(one)] for one in side] for side in (here, there))
    if len({len(one) for one in (*ours, *theirs)}) > 1:
        raise Refused(
            "learning_curve: these networks were not tested on the same examples. Take one set, of few labels."
        )
    weights, tests = _trapezoids([math.log(number) for number in labels]), [ONE_TEST] * len(labels)
    lead, error = mixed([a - b for a, b in zip(ours, theirs, strict=True)], weights, tests)
    curve, other = ([float(one.mean()) for one in side] for side in (ours, theirs))
    numbers: dict[str, float] = {
        "area_accuracy": mixed(ours, weights, tests)[0],
        "area_other_accuracy": mixed(theirs, weights, tests)[0],
        "area_lead_points": 100 * lead,
        "area_lead_points_error": 100 * error,
        **_needed(labels, curve, other[-1]),
        "examples": len(ours[0]),
    }
    points = zip(labels, curve, other, strict=True)
    table = tuple({"labels": n, "accuracy": a, "other_accuracy": b} for n, a, b in points)
    return Measurement(numbers, tables={"points": table})


def _trapezoids(places: Sequence[float]) -> Mapping[int, float]:
    """The weights by which values at these places make their mean over the width."""
    last = len(places) - 1
    return {
        at: (places[min(at + 1, last)] - places[max(at - 1, 0)]) / 2 / (places[last] - places[0])
        for at in range(len(places))
    }


def _needed(labels: Sequence[int], curve: Sequence[float], goal: float) -> dict[str, float]:
    """Where a curve first comes up to an accuracy, and whether it does."""
    at = next((place for place, value in enumerate(curve) if value >= goal), None)
    if at is None:
        return {"reached": 0}
    needed = float(labels[at])
    if at:
        part = (goal - curve[at - 1]) / (curve[at] - curve[at - 1])
        needed = labels[at - 1] * (labels[at] / labels[at - 1]) ** part
    return {"reached": 1, "labels_needed": needed, "labels_share": needed / labels[-1]}
