"""The verb `renorm`: gather a ticket's batch-norm statistics again, in the network that it is now.

A move copies running statistics as they are, and the network that it makes has other ones: after more blocks, or under
another mask. Averaged weights have the same trouble, and the same cure (Izmailov et al. 2018, section 3.2).
"""

import itertools
from typing import Any

import torch
from torch import nn

from tombola.core.errors import Failed, Refused
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.probes.predictions import typed
from tombola.study.step import Context, step
from tombola.train import bfloat
from tombola.train.device import device_clock, threads
from tombola.train.examples import Examples
from tombola.train.flops import flops
from tombola.train.norms import STATISTICS, gather, norms
from tombola.train.recipe import Recipe
from tombola.train.run import check_fit


def _in_steps(ticket: Any, task: Task, recipe: Recipe, **others: Any) -> dict[str, Any]:
    return {"ticket": ticket, "task": task, "recipe": recipe.in_steps(task), **others}


@step("renorm", prepare=_in_steps)
def renorm(
    ticket: Ticket,
    task: Task,
    recipe: Recipe,
    seeds: Seeds = Seeds(),
    batches: int = 100,
    *,
    context: Context = Context(),
) -> Ticket:
    """Estimate the running statistics of batch norm anew on training batches; weights and mask stay as they are.

    For each channel the mean over the batches of their means and of their unbiased variances, as PyTorch gathers them
    with `momentum=None`. As in training, each layer normalises by its batch (by each part of it, where the recipe
    accumulates), dead weights are zero, and data are augmented; nothing else is in training mode, so that nothing is
    drawn at random.

    Args:
        recipe: How data are batched, split and computed with; nothing is trained.
        seeds: The order of the examples, which is not that of a training, and their augmentation.
        batches: How many batches of the recipe's size (0: one whole epoch).

    Raises:
        Refused: If the network has no such statistics.
        Failed: If what comes out is not finite.

    Example:
        >>> from tombola.archs.resnet import ResNet
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> recipe = Recipe(steps=10, batch=64)
        >>> dense = draw(ResNet(depth=8, width=2), Digits(), recipe)
        >>> known = renorm(dense, Digits(), recipe, batches=2)
        >>> known.mask == dense.mask, int(known.weights["stem.bn.num_batches_tracked"])
        (True, 2)
    """
    check_fit(ticket, task)
    device = torch.device(context.machine.device)
    bfloat.check(recipe.precision, device)
    net = ticket.module().to(device)
    layers = norms(net)
    if not layers:
        raise Refused(
            f"{ticket.arch} has no batch norm that gathers statistics, so there is nothing to estimate. Train the "
            "ticket as it is."
        )
    started = device_clock(device)
    with threads(context.machine), torch.no_grad(), bfloat.cast(recipe.precision, device):
        examples = Examples(task, recipe, seeds, device).batches(batches, 0)
        parts = (typed(inputs, net).tensor_split(recipe.parts(len(inputs))) for inputs, _ in examples)
        images = gather(net, itertools.chain.from_iterable(parts))
    context.meter.device_seconds, context.meter.images = device_clock(device) - started, images
    context.meter.flops = flops(ticket.arch, ticket.io, ticket.mask).forward_dense * images
    found = {
        f"{name}.{what}": module.get_buffer(what).cpu()
        for name, module in layers.items()
        if module.get_buffer(STATISTICS[-1])  # One that no example reached keeps what it has.
        for what in STATISTICS
    }
    if odd := [name for name, value in found.items() if not torch.isfinite(value).all()]:
        raise Failed(
            f"'{odd[0]}' of {ticket!r} is not finite after {images:,} examples: the network overflows on them. Look "
            "at its weights: a stretched network may need scale='divided', or weights from an earlier step."
        )
    return ticket.rebuilt(weights={name: found.get(name, value) for name, value in ticket.weights.items()})


def statistics(net: nn.Module) -> tuple[str, ...]:
    """The names of the entries of a network's state dict that `renorm` changes."""
    return tuple(f"{name}.{what}" for name in norms(net) for what in STATISTICS)
