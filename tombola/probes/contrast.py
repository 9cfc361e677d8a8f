"""Two chains of networks held against each other, round by round: who leads by how much, and how fast they fall."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.probes.paired import answered, asked, check_pairs, mixed
from tombola.probes.predictions import Numbers
from tombola.study.step import Context, step
from tombola.train.trained import Trained

Questions = Literal["of each task", "shared", "overlapping", "of two tasks"]
Span = tuple[int, int]
Spans = tuple[Span, ...]
SPANS: Spans = ((1, 5), (1, 7), (1, 13), (1, 20), (6, 20), (8, 17), (12, 20))
BENDS: tuple[tuple[Span, Span], ...] = (((1, 5), (6, 20)),)
"""Those of the claims on distribution shift (Desai et al. 2019): rounds of 35 % each, 1 to 20."""


def _in_pairs(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    here, there, at = len(given["here"]), len(given["there"]), len(given["at"])
    if not here or not here == there == at:
        raise Refused(f"contrast: {here} networks, {there} to compare them with, and {at} rounds. Give one of each.")
    for first, last in given["spans"]:
        if first > last:
            raise Refused(f"contrast: a span from round {first} to {last}. Write the first round first.")
    return given


def reaches(at: Sequence[int], span: Span) -> bool:
    """Whether rounds stand for a span: they reach to both its ends, and those inside lie over half of it at least.

    Example:
        >>> reaches([1, 4, 20], (1, 5)), reaches([1, 20], (1, 5)), reaches([2, 5], (1, 5)), reaches([3], (3, 3))
        (True, False, False, True)
    """
    first, last = span
    inside = [number for number in at if first <= number <= last]
    over_half = bool(inside) and 2 * (max(inside) - min(inside)) >= last - first
    return min(at) <= first and last <= max(at) and over_half


@step("contrast", version=2, prepare=_in_pairs)
def contrast(
    here: tuple[Trained, ...],
    there: tuple[Trained, ...],
    at: tuple[int, ...],
    spans: Spans = SPANS,
    bends: tuple[tuple[Span, Span], ...] = BENDS,
    questions: Questions = "of each task",
    *,
    context: Context = Context(),
) -> Measurement:
    """How far each network of `here` is ahead of the one of `there` at its side, on the test examples of their task.

    Of each span of rounds, such as 1 to 5: `lead_1_to_5_points` is the mean difference of accuracy in percentage points
    and `fall_1_to_5_points` what a round costs `here` in points, the slope of a straight line through its accuracies
    (least squares), turned so that losing is positive. `fall_apart_...` is that of `here` less that of `there`,
    `fall_above_half_...` that of `here` less half of that of `there`, and `mean_1_to_5_accuracy` the mean of `here`.
    `bend_1_to_5_and_6_to_20_points` is what a round costs `here` in the second span more than in the first. A span is
    left out unless the rounds reach to both its ends and lie over half of it, and a slope where there is one round.

    Each comes with its standard error over test examples, as in `lead_1_to_5_points_error`: differences are taken
    example by example, so that what is hard for both does not count as noise. It says how far another test set of that
    size would move the number, and is no smaller for averaging over networks that were asked the same questions.
    Networks of several tasks may be given together; their examples are then told apart. `weights_apart` is the largest
    difference between the living weights of a pair, as a share of those of `here`.

    Args:
        here: Networks, of one chain or of several.
        there: What each of them is compared with, trained on the same task; the same network may stand there often.
        at: The round of each pair.
        spans: First and last round, both included.
        bends: Pairs of spans.
        questions: "shared" where all tasks show the same test examples, in the same order and in other guises, such as
            pictures clean and corrupted; "overlapping" where they have some in common, which are not told: standard
            errors of tasks are then added up, more than they can be together; "of two tasks" where those of a pair
            were trained on two, a ticket at home and abroad.

    Raises:
        Refused: If these are not as many, a pair was trained on two tasks unsaid, or the questions are not shared.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import find
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> task, recipe = Digits(), Recipe(steps=20, batch=60)
        >>> dense, *chain = (train(t, task, recipe) for t in find(Mlp(hidden=(8,)), task, recipe, levels=2))
        >>> found = contrast(tuple(chain), (dense, dense), (1, 2), spans=((1, 2),))
        >>> list(found.numbers())[:2], found.numbers()["examples"]
        (['lead_1_to_2_points', 'lead_1_to_2_points_error'], 360)
    """
    if questions != "of two tasks":
        check_pairs("contrast", here, there)
    right = answered((*here, *there), context)
    both, count = (*here, *there), len(here)
    tasks = ["" if questions == "shared" else str(one.task) for one in both]
    values = [right[asked(one)] for one in both]
    sizes = {task: {len(value) for name, value in zip(tasks, values, strict=True) if name == task} for task in tasks}
    if odd := [size for size in sizes.values() if len(size) > 1]:
        raise Refused(f"contrast: tasks of {sorted(odd[0])} test examples do not share their questions.")

    def told(name: str, unit: float, weights: Mapping[int, float], less: float = 0.0) -> None:
        """A weighted sum over `here`, less some of the same over `there`, with its error."""
        weights = {**weights, **({count + place: -less * weight for place, weight in weights.items()} if less else {})}
        value, error = mixed(values, weights, tasks, overlapping=questions == "overlapping")
        numbers[name], numbers[f"{name}_error"] = unit * value, abs(unit) * error

    numbers: dict[str, float] = {}
    for span in spans:
        inside = _inside(at, span)
        if not inside:
            continue
        mean = dict.fromkeys(inside, 1 / len(inside))
        told(f"lead_{_named(span)}_points", 100.0, mean, less=1.0)
        numbers[f"mean_{_named(span)}_accuracy"] = mixed(values, mean, tasks)[0]
        slope = _slope(inside)
        for name, less in (("fall", 0.0), ("fall_apart", 1.0), ("fall_above_half", 0.5)) if slope else ():
            told(f"{name}_{_named(span)}_points", -100.0, slope, less)
    for first, second in bends:
        early, late = _slope(_inside(at, first)), _slope(_inside(at, second))
        if early and late:
            bend = {place: late.get(place, 0.0) - early.get(place, 0.0) for place in {**early, **late}}
            told(f"bend_{_named(first)}_and_{_named(second)}_points", -100.0, bend)
    numbers["weights_apart"] = max(_weights_apart(*pair) for pair in zip(here, there, strict=True))
    numbers["examples"] = sum(size.pop() for size in sizes.values())
    return Measurement(numbers, tables={"rounds": _rounds(here, there, at, right)})


def _named(span: Span) -> str:
    return f"{span[0]}_to_{span[1]}"


def _inside(at: Sequence[int], span: Span) -> dict[int, int]:
    """The places of the rounds in a span; none unless the rounds stand for it."""
    return {place: number for place, number in enumerate(at) if span[0] <= number <= span[1] and reaches(at, span)}


def _weights_apart(one: Trained, other: Trained) -> float:
    return abs(one.mask.kept - other.mask.kept) / one.mask.kept if one.mask.kept else math.inf


def _slope(rounds: Mapping[int, int]) -> dict[int, float]:
    """The weights by which values make the slope of their least-squares line; none for fewer than two rounds."""
    if len(set(rounds.values())) < 2:
        return {}
    middle = sum(rounds.values()) / len(rounds)
    spread = sum((number - middle) ** 2 for number in rounds.values())
    return {place: (number - middle) / spread for place, number in rounds.items()}


def _rounds(
    here: Sequence[Trained], there: Sequence[Trained], at: Sequence[int], right: Mapping[Any, Numbers]
) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {
            "round": number,
            "task": str(one.task),
            "density": one.mask.density,
            "other_density": other.mask.density,
            "accuracy": float(right[asked(one)].mean()),
            "other_accuracy": float(right[asked(other)].mean()),
        }
        for number, one, other in zip(at, here, there, strict=True)
    )
