"""Error and loss over a plane of weights: around a network, through three, or through the path of many."""

from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from tombola.checks import check_word
from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.probes.held import Counted, held, score, training_inputs
from tombola.probes.paired import check_two
from tombola.probes.plane import Axes, Plane
from tombola.probes.renewal import check_settled, settling
from tombola.study.deferred import kind_of
from tombola.study.step import Context, step
from tombola.train.device import device_clock, threads
from tombola.train.flops import flops
from tombola.train.trained import Trained

AXES = ("", "random", "through", "principal")
KNOWN = {
    "keep": "those of the last network everywhere",
    "recompute": "gathered anew at each point",
    "batch": "of each batch that is asked",
}
ALONE, CORNERS = 1, 3
Grid = NDArray[np.float64]


def _in_order(networks: Any, axes: str, **given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    if not isinstance(networks, list | tuple):
        raise Refused(f"landscape: 'networks' is {networks!r}. Give trained networks in a row: networks=(one,).")
    if odd := [one for one in networks if not issubclass(kind_of(one), Trained)]:
        raise Refused(f"landscape: {odd[0]!r} is no trained network. Train it first.")
    check_word("axes", axes, AXES)
    check_word("stats", given["stats"], ("", *KNOWN))
    check_word("split", given["split"], get_args(Split))
    for name, least in (("points", 2), ("examples", 0), ("gathered", 0), ("margin", 0)):
        if given[name] < least:
            raise Refused(f"landscape: {name} is {given[name]}. It is {least} or more.")
    if not given["reach"] > 0:
        raise Refused(f"landscape: reach is {given['reach']}. It is above 0.")
    number = len(networks)
    axes = axes or {ALONE: "random", CORNERS: "through"}.get(number, "principal")
    wanted = {"random": "one network", "through": "three networks", "principal": "three networks or more"}[axes]
    if not {"random": number == ALONE, "through": number == CORNERS, "principal": number >= CORNERS}[axes]:
        line = " Between two networks there is a line: barrier." if number == ALONE + 1 else ""
        raise Refused(f"landscape: axes={axes} is for {wanted}, and given: {number}.{line}")
    return {"networks": tuple(networks), "axes": axes, **given}


@step("landscape", prepare=_in_order)
def landscape(
    networks: tuple[Trained, ...],
    task: Task | None = None,
    axes: Literal["", "random", "through", "principal"] = "",
    points: int = 21,
    reach: float = 1.0,
    margin: float = 0.25,
    stats: Literal["", "keep", "recompute", "batch"] = "",
    split: Split = "test",
    examples: int = 1000,
    gathered: int = 2000,
    seed: int = 0,
    *,
    context: Context = Context(),
) -> Measurement:
    """Error and loss on a grid in a plane of weights, and where the networks lie in it.

    - "random", for one network: two random directions, each filter of them as long as that of the network (Li et al.
      2018, section 4). Dead weights stay dead; biases, scales and shifts do not move.
    - "through", for three: the plane in which they lie. The first axis leads from the first to the second network, and
      lengths are those of weights (Garipov et al. 2018, figure 1). Each has its own mask.
    - "principal", for three or more, such as the rounds of a search: the two directions in which they differ most (Li
      et al. 2018, section 7). `explained_1` and `explained_2` are their shares of all squared distances from the mean.

    The table `plane` has a line for each point of the grid: x, y, `test_error` as a fraction, `test_loss`. The table
    `path` has one for each network: its place in the plane, and `off`, how far it lies from it.

    Args:
        networks: Of one architecture.
        task: That of their training unless told.
        axes: By the number of networks unless told.
        points: In each direction: 21 are 441 evaluations. Both directions have one scale.
        reach: "random": how far the grid goes to each side, in the network's own lengths.
        margin: The others: how far the grid goes beyond the networks along the longer side, as a share of that.
        stats: What running statistics of batch norm are at a point: "keep", those of the last network; "recompute",
            gathered anew; "batch", those of each batch of 2,000 that is asked. There is no default for a network that
            has such.
        split: Which examples, not augmented.
        examples: At most so many, always the same ones; 0: all.
        gathered: For "recompute": at least so many training examples, augmented as in the last network's training.
        seed: Of the random directions.

    Raises:
        Refused: If the networks do not belong together, are too few or too many, or lie on a line.
        Failed: If one has values that are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> given = {"task": Digits(), "recipe": Recipe(steps=40, batch=60)}
        >>> one = train(draw(Mlp(hidden=(8,)), **given), **given)
        >>> found = landscape((one,), points=3, examples=200)
        >>> middle = next(row for row in found.tables["plane"] if row["x"] == row["y"] == 0)
        >>> 1 - middle["test_error"] == found.numbers()["best_test_accuracy"] > found.numbers()["worst_test_accuracy"]
        True
    """
    last = networks[-1]
    (task, *_) = [check_two("landscape", last, one, task, (split,)) for one in networks]
    assert axes  # Said by `prepare`.
    device = torch.device(context.machine.device)
    plane = Plane(networks, axes, seed, context.machine)
    check_settled("landscape", last.ticket.arch, plane.net, stats, KNOWN)
    across, up = _grid(plane, axes, points, reach, margin)
    started, asked = device_clock(device), 0
    errors, losses = np.empty((points, points)), np.empty((points, points))
    with threads(context.machine), torch.no_grad():
        inputs = Counted(training_inputs(last, task, gathered, device))
        settle = settling(plane.net, stats, inputs)
        batches = held("landscape", last, task, split, examples, device)
        for row, y in enumerate(up):
            for column, x in enumerate(across):
                plane.go(float(x), float(y))
                settle()
                losses[row, column], wrong = score(plane.net, task, batches())
                errors[row, column] = wrong.mean()
                asked += len(wrong)
    context.meter.device_seconds = device_clock(device) - started
    each = flops(last.ticket.arch, last.ticket.io, last.mask).forward_dense
    context.meter.flops = each * (asked + inputs.examples)
    told = {
        "points": points * points,
        "examples": asked // points**2,
        f"best_{split}_accuracy": 1 - float(errors.min()),
        f"worst_{split}_accuracy": 1 - float(errors.max()),
        f"lowest_{split}_loss": float(np.nanmin(losses)),
        f"highest_{split}_loss": float(losses.max()),
    }
    if axes != "random":
        told |= {"explained_1": plane.explained[0], "explained_2": plane.explained[1], "off": max(plane.off)}
    cells = (
        {
            "x": float(x),
            "y": float(y),
            f"{split}_error": float(errors[row, column]),
            f"{split}_loss": float(losses[row, column]),
        }
        for row, y in enumerate(up)
        for column, x in enumerate(across)
    )
    path = (
        {"network": number, "x": x, "y": y, "off": off}
        for number, ((x, y), off) in enumerate(zip(plane.places, plane.off, strict=True))
    )
    return Measurement(
        told,
        tables={"plane": tuple(cells), "path": tuple(path)},
        pictures=(_picture(plane, across, up, errors, split),),
    )


def _grid(plane: Plane, axes: Axes, points: int, reach: float, margin: float) -> tuple[Grid, Grid]:
    """The places of the grid along both axes, rising."""
    if axes == "random":
        return np.linspace(-reach, reach, points), np.linspace(-reach, reach, points)
    places = np.array(plane.places)
    low, high = places.min(0), places.max(0)
    reach = (0.5 + margin) * float((high - low).max())
    across, up = (np.linspace(middle - reach, middle + reach, points) for middle in (low + high) / 2)
    return across, up


def _picture(plane: Plane, across: Grid, up: Grid, errors: Grid, split: str) -> dict[str, Any]:
    """The errors as a grid, upwards as in a plot, and the networks on it, in cells from its upper left corner."""
    steps = np.array([across[1] - across[0], up[1] - up[0]])
    path = [[float((x - across[0]) / steps[0] + 0.5), float((up[-1] - y) / steps[1] + 0.5)] for x, y in plane.places]
    return {
        "name": f"plane, {split} error",
        "caption": f"{split} error in a plane of weights; dots are the networks, the largest is the last",
        "values": [list(map(float, line)) for line in errors[::-1]],
        "path": path,
    }
