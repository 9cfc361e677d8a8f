"""Trainings made by hand for rewiring methods, and the plainest loop that changes a mask, in NumPy's terms."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.mask import Mask
from tombola.core.rewire import Live, Masks, Rewire
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

TASK, ARCH = Points(), Mlp(hidden=(8,))
Arrays = dict[str, np.ndarray]


def tensors(values: Mapping[str, Sequence[Any]]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def a_live(
    weights: Mapping[str, Sequence[Any]], masks: Mapping[str, Sequence[int]] | None = None, *, steps: int, step: int = 0
) -> Live:
    values = tensors(weights)
    alive = {n: v == v for n, v in values.items()}
    if masks is not None:
        alive = {name: torch.tensor(flags).bool() for name, flags in masks.items()}
        values = {name: value * alive[name] for name, value in values.items()}
    first = {name: value.clone() for name, value in values.items()}
    return Live(step, steps, 0, values, alive, {}, first, {})


def begun(method: Rewire, live: Live) -> Masks:
    method.check(Mask(live.masks))
    live.masks = dict(method.begin(live))
    return live.masks


def changed(method: Rewire, live: Live, time: int, gradients: Mapping[str, Sequence[Any]] | None = None) -> Masks:
    """The masks after so many updates; dead weights are zero then, as the training sees to."""
    live.step = time - 1
    live.gradients = tensors(gradients) if gradients else {n: torch.zeros_like(v) for n, v in live.variables.items()}
    method.watch(live)
    assert method.due(live.step, live.steps)
    live.masks = dict(method.rewired(live))
    if method.dead == "zero":
        for name, mask in live.masks.items():
            live.variables[name].masked_fill_(~mask, 0.0)
    live.renewed = {}
    return live.masks


def flags(masks: Masks, name: str = "w") -> list[int]:
    return masks[name].reshape(-1).int().tolist()


def a_recipe(method: Rewire, steps: int = 40) -> Recipe:
    return Recipe(steps=steps, batch=6, optimizer=Sgd(lr=0.2, momentum=0.9), validation=0.0, rewire=method)


def a_start(*, density: float = 1.0) -> Ticket:
    return a_ticket(ARCH, TASK, density=density)


Change = Callable[[int, Arrays, Arrays, Arrays], tuple[Arrays, Arrays] | None]
"""From the time, weights, this step's gradients and masks: new masks, and which weights begin anew; None for as is."""


def plainly(
    ticket: Ticket,
    recipe: Recipe,
    change: Change,
    *,
    kept: bool = False,
    reset: Callable[[int], bool] = lambda time: False,
) -> Any:
    """SGD with momentum, with masks that a function changes after updates: the weights and the masks at the end.

    Dead weights are zero, or with `kept` rest where they were; where `reset` says so, all velocities are zero.
    """
    net = ticket.module()
    values = {name: p.detach().clone() for name, p in net.named_parameters()}
    velocities = {name: torch.zeros_like(value) for name, value in values.items()}
    masks = {name: ticket.mask[name].numpy().copy() for name in ticket.mask}
    living = {name: torch.ones_like(value, dtype=torch.bool) for name, value in values.items()} | dict(ticket.mask)
    for step in range(int(recipe.steps)):
        for name, parameter in net.named_parameters():
            parameter.data = values[name] * living[name]
        inputs, targets = TASK.batch(step, seeds=Seeds(), size=recipe.batch, holdout=recipe.holdout)
        net.zero_grad()
        TASK.loss(net(inputs), targets).backward()
        dense: dict[str, Tensor] = {n: torch.clone(p.grad) for n, p in net.named_parameters() if p.grad is not None}
        for name, gradient in dense.items():
            velocities[name] = 0.9 * velocities[name] + gradient * living[name]
            values[name] -= 0.2 * velocities[name]
        now, slopes = ({n: of[n].numpy().copy() for n in masks} for of in (values, dense))
        found = change(step + 1, now, slopes, masks)
        if found is None:
            continue
        masks, anew = found
        for name, mask in masks.items():
            living[name] = torch.from_numpy(mask)
            gone = ~living[name] | torch.from_numpy(anew.get(name, np.zeros_like(mask)))
            velocities[name].masked_fill_(gone, 0.0)
            if not kept:
                values[name].masked_fill_(gone, 0.0)
            if reset(step + 1):
                velocities[name].zero_()
    return {name: values[name] * living[name] for name in masks}, masks


def agrees(trained: Trained, plain: Any) -> None:
    weights, masks = plain
    for name, mask in masks.items():
        assert trained.mask[name].numpy().tolist() == mask.tolist(), name
        assert torch.allclose(trained.weights[name], weights[name], rtol=1e-4, atol=1e-6), name
        assert not trained.weights[name][~trained.mask[name]].any(), name


def largest(values: Arrays, count: int, among: Arrays) -> Arrays:
    """The so many largest of several arrays together, by a stable sort."""
    flat = np.concatenate([np.where(among[n], values[n], -np.inf).reshape(-1) for n in values])
    best = np.zeros(len(flat), dtype=bool)
    best[np.argsort(-flat, kind="stable")[:count]] = True
    cuts = np.cumsum([values[name].size for name in values])[:-1]
    return {n: part.reshape(values[n].shape) for n, part in zip(values, np.split(best, cuts), strict=True)}


def sizes(masks: Arrays) -> list[int]:
    return [int(mask.sum()) for mask in masks.values()]


@functools.cache
def weights_in_all() -> int:
    return a_start().mask.size
