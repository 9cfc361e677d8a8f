"""How much the loss rises near where a training ended: at worst within a radius, and on the mean."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Task
from tombola.probes.directions import EXACT, Directions, Exact
from tombola.study.step import Context, step
from tombola.train.device import device_clock, threads
from tombola.train.flops import flops
from tombola.train.trained import Trained


def _in_order(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    check_word("exact", given["exact"], EXACT)
    for name, least in (("steps", 0), ("probes", 0), ("examples", 0), ("at_once", 1)):
        if given[name] < least:
            raise Refused(f"sharpness: {name} is {given[name]}. It is {least} or more.")
    if not given["radius"] > 0:
        raise Refused(f"sharpness: radius is {given['radius']}. It is above 0: 0.05 is common, with adaptive=True 0.5.")
    return given


@step("sharpness", prepare=_in_order)
def sharpness(
    trained: Trained,
    task: Task | None = None,
    radius: float = 0.05,
    adaptive: bool = False,
    steps: int = 20,
    probes: int = 10,
    examples: int = 1000,
    at_once: int = 250,
    exact: Exact = "float32",
    seed: int = 0,
    *,
    context: Context = Context(),
) -> Measurement:
    """The rise of the training loss within a ball about a solution, along what lives.

    On fixed examples, not augmented, in evaluation mode and without weight decay. `sharpness` is the highest loss that
    was found in the ball, less `loss` in its middle: a lower bound of the true maximum, which tightens with `steps`.
    `sharpness_first_step` is the rise where the gradient leads at once, at the edge of the ball: what sharpness-aware
    minimisation sees (Foret et al. 2021, equation 2). `gradient_rise` is what that would be if the loss were linear.
    `sharpness_random` is the mean rise at random places of the edge, with its standard error over them.

    With `adaptive` the ball is that of Kwon et al. 2021 (ASAM): each direction is measured by the size of its weight,
    so that scales that the function does not feel (a layer doubled, the next one halved) make no difference. A weight
    of zero then does not move.

    Args:
        task: That of its training unless told.
        radius: Of the ball, in weights: 0.05 as in the paper; with `adaptive` it is a share of them, such as 0.5.
        adaptive: Whether each weight is measured by its own size.
        steps: Each to where on the edge the gradient leads at the last place, taken over all examples: where the loss
            is convex it only rises so (Journée et al. 2010, section 3). They begin where the gradient of the middle
            leads, or at a random place if one is higher.
        probes: Random places; 0: none.
        examples: So many training examples, always the same ones; 0: all.
        at_once: Examples in memory at a time.
        exact: In which numbers.

    Raises:
        Refused: If a setting is out of range, or the network is of another task.
        Failed: If a loss is not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> given = {"task": Digits(), "recipe": Recipe(steps=20, batch=60)}
        >>> found = sharpness(train(draw(Mlp(hidden=(4,)), **given), **given), steps=5, examples=100).numbers()
        >>> found["sharpness"] >= found["sharpness_first_step"] > found["sharpness_random"]
        True
    """
    task = trained.task if task is None else task
    device = torch.device(context.machine.device)
    started = device_clock(device)
    with threads(context.machine):
        near = Neighbours.of(trained, task, examples=examples, at_once=at_once, exact=exact, device=device)
        numbers = _measured(Ball(near, radius, adaptive), steps, probes, seed)
    context.meter.device_seconds = device_clock(device) - started
    forward = flops(trained.ticket.arch, trained.ticket.io, trained.mask).forward_dense
    context.meter.flops = forward * near.examples * (3 * (1 + steps) + 2 + probes)  # A gradient is two more of it.
    if odd := [name for name, value in numbers.items() if not np.isfinite(value)]:
        raise Failed(
            f"sharpness: '{odd[0]}' of {trained!r} is not finite. Its training went astray, or the ball is too large."
        )
    return Measurement({**numbers, "radius": radius, "examples": near.examples})


class Neighbours(Directions):
    """The directions of a network, with random streams of their own."""

    name = "sharpness"


class Ball:
    """Places about a network, as moves of length 0 to `radius`; each weight's by its scale."""

    def __init__(self, directions: Directions, radius: float, adaptive: bool) -> None:
        self.directions, self.radius = directions, radius
        self.middle = directions.living(value.detach() for value in directions.parameters.values())
        self.scale = self.middle.abs() if adaptive else torch.ones_like(self.middle)

    def edge(self, way: Tensor) -> Tensor:
        """The place of the edge in that direction."""
        return way * (self.radius / float(way.norm()))

    def go(self, move: Tensor) -> None:
        """Bring the network to that place."""
        self.directions.go(self.middle + self.scale * move)

    def slope(self, move: Tensor) -> tuple[float, Tensor]:
        """The loss at a place, and its gradient by the move."""
        self.go(move)
        loss, gradient = self.directions.gradient()
        return loss, self.scale * gradient

    def loss(self, move: Tensor) -> float:
        """The loss at a place."""
        self.go(move)
        return self.directions.loss()


def _measured(ball: Ball, steps: int, probes: int, seed: int) -> dict[str, float]:
    start, way = ball.slope(torch.zeros_like(ball.middle))
    move = ball.edge(way if float(way.norm()) else ball.directions.drawn(seed, "start"))
    first = ball.loss(move) - start
    places = [ball.edge(ball.directions.drawn(seed, number)) for number in range(probes)]
    each = [ball.loss(place) - start for place in places]
    rises = [0.0, first, *each]
    if each and max(each) > first:  # The gradient may lead along a direction that is curved but little.
        move = places[int(np.argmax(each))]
    for _ in range(steps):
        loss, slope = ball.slope(move)
        rises.append(loss - start)
        move = ball.edge(slope) if float(slope.norm()) else move
    rises.append(ball.loss(move) - start)
    numbers = {
        "loss": start,
        "sharpness": float(np.max(rises)),
        "sharpness_first_step": first,
        "gradient_rise": ball.radius * float(way.norm()),
    }
    if each:
        numbers["sharpness_random"] = float(np.mean(each))
        numbers["sharpness_random_error"] = float(np.std(each, ddof=1) / np.sqrt(probes)) if probes > 1 else 0.0
    return numbers
