"""How far the gradient of a batch is from that of all training examples."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.noise import by_name, dropouts, go_on, stir
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.probes.predictions import typed
from tombola.study.step import Context, step
from tombola.train.device import threads
from tombola.train.examples import Examples
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

FEWEST = 2


def _in_steps(task: Task, recipe: Recipe, batches: int, **others: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    if batches < FEWEST:
        raise Refused(f"gradient_noise: {batches} batches. Give {FEWEST} or more, such as 50.")
    return {"task": task, "recipe": recipe.in_steps(task), "batches": batches, **others}


@step("gradient_noise", version=2, prepare=_in_steps)
def gradient_noise(
    ticket: Ticket | Trained,
    task: Task,
    recipe: Recipe,
    batches: int = 50,
    seeds: Seeds = Seeds(),
    *,
    context: Context = Context(),
) -> Measurement:
    """The angle between the gradient of a batch and the mean gradient of an epoch, and the noise scale.

    A `Ticket` is looked at where its training starts, a `Trained` where it ended. Gradients are by all that can learn
    and lives, of the recipe's loss without weight decay, as in training: augmented, with dropout, each batch normalised
    by itself, or each of its parts where the recipe accumulates. `angle` is the mean over batches in radians,
    `angle_deviation` its standard deviation, `cosine` the mean cosine. `noise_scale` is the trace of the covariance of
    single examples' gradients, by the square of the mean gradient: batches that are much smaller are mostly noise
    (McCandlish et al. 2018, equation 2.8). It is had from batches of the recipe's size: that size times the mean square
    of their distance from the mean gradient, by its square; and times (N - 1) / (N - size), as an epoch of N examples
    shows none of them twice. `norm` is that of the mean gradient.

    Args:
        recipe: The size of a batch and its parts, what is held out, and smoothing.
        batches: How many are compared; the mean is over all examples of an epoch.
        seeds: The order of the examples, their augmentation, and the noise of dropout.

    Raises:
        Refused: If there are too few batches in an epoch, the network is not for this task, or no gradient reaches it.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> given = {"task": Digits(), "recipe": Recipe(steps=10, batch=60)}
        >>> found = gradient_noise(draw(Mlp(hidden=(8,)), **given), **given, batches=5).numbers()
        >>> 0 < found["angle"] < 1.6, found["batch"]
        (True, 60)
    """
    network = ticket.ticket if isinstance(ticket, Trained) else ticket
    if network.io != task.io:
        raise Refused(f"gradient_noise: {network!r} is a network for {network.io}; {task} needs {task.io}.")
    epoch = -(-task.train_size(recipe.holdout) // recipe.batch)
    whole = task.train_size(recipe.holdout) // recipe.batch
    if batches > whole:
        raise Refused(
            f"gradient_noise: {batches} batches of {recipe.batch} from {task}, whose epoch has {whole}. Ask for fewer, "
            "or a recipe with smaller batches."
        )
    device = torch.device(context.machine.device)
    examples = Examples(task, recipe, seeds, device)
    with threads(context.machine):
        mean, seen = torch.zeros(0, dtype=torch.float64, device=device), 0
        for gradient, size in _gradients(ticket, examples, epoch, recipe):
            mean = gradient * size if not seen else mean + gradient * size
            seen += size
        mean /= seen
        norm = float(mean.norm())
        if not norm:
            raise Refused(f"gradient_noise: the mean gradient of {network!r} is zero: there is no angle to it.")
        cosines: list[float] = []
        squares: list[float] = []
        for gradient, _ in _gradients(ticket, examples, batches, recipe):
            cosines.append(float(gradient @ mean / (gradient.norm() * norm).clamp(min=1e-300)))
            squares.append(float((gradient - mean).square().sum()))
    angles = np.arccos(np.clip(cosines, -1, 1))
    numbers = {
        "angle": float(angles.mean()),
        "angle_deviation": float(angles.std(ddof=1)),
        "cosine": float(np.mean(cosines)),
        "noise_scale": recipe.batch * (seen - 1) / (seen - recipe.batch) * math.fsum(squares) / batches / norm**2,
        "norm": norm,
        "batch": recipe.batch,
        "batches": batches,
    }
    return Measurement(numbers)


def _gradients(
    ticket: Ticket | Trained, examples: Examples, number: int, recipe: Recipe
) -> Iterator[tuple[Tensor, int]]:
    """Of each batch the gradient of its mean loss over what lives, and its size."""
    net = by_name(ticket.module()).to(examples.device).train()
    layers, parameters, mask = dropouts(net), dict(net.named_parameters()), ticket.mask
    alive = {name: mask[name].to(examples.device) for name in mask if name in parameters}
    for place, (inputs, targets) in enumerate(examples.batches(number, 0)):
        stir(layers, examples.seeds, place)
        parts = recipe.parts(len(targets))
        whole: Tensor | None = None
        for some, theirs in zip(inputs.tensor_split(parts), targets.tensor_split(parts), strict=True):
            loss = examples.task.loss(net(typed(some, net)), theirs, smoothing=recipe.smoothing)
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
            pairs = zip(parameters, found, strict=True)
            living = torch.cat([(v[alive[n]] if n in alive else v.flatten()).double() for n, v in pairs])
            share = living * (len(theirs) / len(targets))
            whole = share if whole is None else whole + share
            go_on(layers, len(theirs))
        assert whole is not None  # No batch is empty.
        yield whole, len(targets)
