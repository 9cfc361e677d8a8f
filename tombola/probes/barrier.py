"""How much worse networks are on the straight line between two trained ones than at its ends."""

import dataclasses
import math
from typing import Any, get_args

import torch

from tombola.checks import check_word
from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.probes.heights import heights
from tombola.probes.held import Counted, held, training_inputs
from tombola.probes.line import WEIGHTS, Line, Weights
from tombola.probes.paired import check_two
from tombola.probes.rearranged import ALIGNED, Aligned, rearranged
from tombola.probes.renewal import STATS, Stats, renewal
from tombola.study.step import Context, step
from tombola.train.device import device_clock, threads
from tombola.train.flops import flops
from tombola.train.trained import Trained

FEWEST = 3


def in_order(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("stats", given["stats"], STATS)
    check_word("weights", given["weights"], WEIGHTS)
    check_word("aligned", given.get("aligned", ""), ALIGNED)  # Twins stand in one order, and have no such word.
    return on_path("barrier", given, usual=30)


def on_path(probe: str, given: dict[str, Any], *, usual: int) -> dict[str, Any]:
    """The arguments that say which examples are asked at which points of a path, checked; one split is several.

    Raises:
        Refused: If they are no splits, points or numbers of examples.
    """
    if isinstance(given["splits"], str):
        given["splits"] = (given["splits"],)
    for split in given["splits"]:
        check_word("splits", split, get_args(Split))
    if not given["splits"] or len(set(given["splits"])) < len(given["splits"]):
        raise Refused(f"{probe}: splits={given['splits']!r}. Name one or more of {', '.join(get_args(Split))}, once.")
    if not isinstance(given["points"], int) or given["points"] < FEWEST:
        raise Refused(
            f"{probe}: {given['points']} points. Its ends and one between them are {FEWEST}; {usual} are usual."
        )
    for name in ("beyond", "examples", "gathered"):
        if given.get(name, 0) < 0:
            raise Refused(f"{probe}: {name} is {given[name]}. It is 0 or more.")
    return given


@step("barrier", prepare=in_order)
def barrier(
    a: Trained,
    b: Trained,
    task: Task | None = None,
    points: int = 30,
    stats: Stats = "",
    weights: Weights = "own",
    splits: tuple[Split, ...] = ("train", "test"),
    examples: int = 10_000,
    gathered: int = 2000,
    beyond: float = 0.0,
    aligned: Aligned = "",
    *,
    context: Context = Context(),
) -> Measurement:
    """The error barrier between two trained networks: how far the error rises on the straight line between them.

    With E(t) the error of (1 - t) a + t b, in percentage points, and its mean at the two ends:

    - `test_error_barrier_points` is the highest E less that mean (Frankle et al. 2020, section 2). It is half the
      difference of the ends where the line between them rises evenly, and never below that.
    - `test_error_above_line_points` is the largest height of E over the straight line between E(0) and E(1)
      (Entezari et al. 2022, definition 2.1): 0 where it rises evenly.
    - `test_error_midpoint_points` is E(1/2) less that mean, which is what their released code computes.

    `..._loss_...` are the same of the loss, and so for each of the splits. `test_error_barrier_at` is the t of the
    highest error, and `test_error_barrier_points_error` the standard error of the barrier over examples, taken example
    by example with that t held fixed. The table `curve` has every point. Where a loss on the way is not a number, no
    height of the loss is one either; where it is infinite, so are they.

    Args:
        task: That of a's training unless told; both were trained on it, or it is named.
        points: How many, evenly spaced, both ends among them; the middle is asked too where it is none of them.
        stats: What becomes of the running statistics of batch norm between the ends. "interpolate" blends them like
            weights: the network on the line then has statistics that are not its own. "recompute" gathers them anew at
            each point, the ends too (as after weight averaging, Izmailov et al. 2018). "batch": those of each batch of
            2,000 that is asked. "repair" gathers them anew, and sets mean and deviation of the units of all other
            layers between those at the ends (Jordan et al. 2022). A network with such statistics is refused unless this
            is said; one without has "" or "repair".
        weights: "own": each end as it was trained. "shared": both only with the weights that live in both masks, as
            Evci et al. 2022 have it.
        splits: Which examples, not augmented; "train" and "validation" are those of a's recipe.
        examples: At most so many of each split, always the same ones; 0: all.
        gathered: For "recompute" and "repair": at least so many training examples, augmented and in batches as in a's
            training, the same ones at all points; 0: a whole epoch.
        beyond: How far past the ends the curve goes on, in lengths of the line; barriers are of what lies between.
        aligned: The units of b first take the order in which they are most like those of a, by "weights" or by
            "activations" on at most `examples` training examples, as `alignment` finds it (Ainsworth et al. 2023); b
            computes what it did. "": both as they stand. `units_moved` is the fraction of units with another place.

    Raises:
        Refused: If the two differ in architecture, interface, task or held-out examples, there are too few points, or
            extrapolation makes a variance or deviation negative.
        Failed: If a network has values that are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.core.seeds import Seeds
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> one, other = (train(draw(Mlp(hidden=(8,)), Digits(), recipe, Seeds(s)), Digits(), recipe) for s in (0, 1))
        >>> barrier(one, one, points=3).numbers()["test_error_barrier_points"]
        0.0
        >>> barrier(one, other, points=3).numbers()["test_error_barrier_points"] > 5
        True
    """
    task = check_two("barrier", a, b, task, splits)
    device = torch.device(context.machine.device)
    started, told = device_clock(device), dict[str, float]()
    with threads(context.machine), torch.no_grad():
        if aligned:
            b, order = rearranged(b, a, aligned, examples, device)
            told["units_moved"] = order.moved
        line = Line(a, b, context.machine, weights=weights)
        inputs = Counted(training_inputs(a, task, gathered, device))
        renew = renewal(line, stats, inputs)
        data = {split: held("barrier", a, task, split, examples, device) for split in splits}

        def go(t: float) -> None:
            line.go(t)
            renew(t)

        found, asked = heights(line.net, go, spaced(points, beyond), task, data)
    context.meter.device_seconds = device_clock(device) - started
    context.meter.flops = flops(a.ticket.arch, a.ticket.io, a.mask).forward_dense * (asked + inputs.examples)
    return dataclasses.replace(found, values={**found.values, **told}) if told else found


def spaced(points: int, beyond: float) -> list[float]:
    """Evenly spaced points from 0 to 1, and as far beyond both as there is room for whole steps.

    Example:
        >>> spaced(3, 0.0), spaced(3, 0.6)
        ([0.0, 0.5, 1.0], [-0.5, 0.0, 0.5, 1.0, 1.5])
    """
    more = math.floor(beyond * (points - 1) + 1e-9)
    return [place / (points - 1) for place in range(-more, points + more)]
