"""How strongly the loss pulls at the living weights: the norm of the masked gradient (Evci et al. 2022)."""

import dataclasses
import math
from typing import Any, get_args

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Mode
from tombola.core.measurement import Measurement
from tombola.core.noise import by_name
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.probes.predictions import typed
from tombola.study.step import Context, step
from tombola.train import bfloat
from tombola.train.device import threads
from tombola.train.examples import Examples
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained


def _in_steps(task: Task, recipe: Recipe, **others: Any) -> dict[str, Any]:
    return {"task": task, "recipe": recipe.in_steps(task), **others}


@step("gradient_flow", prepare=_in_steps)
def gradient_flow(
    ticket: Ticket | Trained,
    task: Task,
    recipe: Recipe,
    examples: int = 1000,
    mode: Mode = "train",
    seeds: Seeds = Seeds(),
    *,
    context: Context = Context(),
) -> Measurement:
    """The Euclidean norm of the gradient of the loss on one fixed batch, by all parameters, dead weights left out.

    Evci, Ioannou, Keskin and Dauphin 2022: 1,000 training examples, the loss without weight decay (here without label
    smoothing too), biases and batch norm among the parameters. A `Ticket` is looked at where its training starts, a
    `Trained` where it ended. `gradient_norm_dead` is that by the dead weights, which a method that grows weights would
    follow.

    Args:
        recipe: What is held out, and the precision; nothing is trained.
        examples: The size of the batch; it is augmented as in training, and the same for all networks and recipes that
            share task, seeds and what is held out.
        mode: Whether batch norm takes the statistics of this batch, or those that it has gathered.

    Raises:
        Refused: If there are not so many examples, or the network is not for this task.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> given = {"task": Digits(), "recipe": Quickstart()}
        >>> gradient_flow(draw(Mlp(), **given), **given, examples=100).numbers()["gradient_norm_dead"]
        0.0
    """
    _check(ticket, task, recipe, examples, mode)
    device = torch.device(context.machine.device)
    whole = Examples(task, dataclasses.replace(recipe, batch=examples), seeds, device)
    net = by_name(ticket.module()).to(device).train(mode == "train")
    inputs, targets = next(whole.batches(1, 0))
    parameters: dict[str, Tensor] = dict(net.named_parameters())
    with threads(context.machine):
        with bfloat.cast(recipe.precision, device):
            loss = task.loss(net(typed(inputs, net)), targets)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    table: list[dict[str, Any]] = []
    for (name, parameter), value in zip(parameters.items(), found, strict=True):
        gradient = torch.zeros_like(parameter) if value is None else value.detach().double()
        alive = ticket.mask[name].to(device) if name in ticket.mask else torch.ones_like(parameter, dtype=torch.bool)
        living, dead = (float(gradient[where].double().square().sum()) for where in (alive, ~alive))
        counts = {"size": parameter.numel(), "alive": int(alive.sum())}
        table.append({"parameter": name, **counts, "norm": math.sqrt(living), "norm_dead": math.sqrt(dead)})
    norm, dead = (math.sqrt(math.fsum(line[of] ** 2 for line in table)) for of in ("norm", "norm_dead"))
    numbers = {"gradient_norm": norm, "gradient_norm_dead": dead, "loss": float(loss.detach()), "examples": examples}
    return Measurement(numbers, tables={"parameters": tuple(table)})


def _check(ticket: Ticket | Trained, task: Task, recipe: Recipe, examples: int, mode: str) -> None:
    network, most = ticket.ticket if isinstance(ticket, Trained) else ticket, task.train_size(recipe.holdout)
    if network.io != task.io:
        raise Refused(
            f"{network!r} is a network for {network.io}; {task} needs {task.io}. Name the task that it is for."
        )
    if mode not in get_args(Mode):
        raise Refused(f"gradient_flow: mode is '{mode}'. It is one of {', '.join(get_args(Mode))}.")
    if not 1 <= examples <= most:
        raise Refused(
            f"gradient_flow: a batch of {examples:,} from {task}, which has {most:,} training examples. Give 1 to "
            f"{most:,} as examples."
        )
