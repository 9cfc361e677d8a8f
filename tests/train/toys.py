"""A task and networks small enough to compute by hand, and the plainest loop that trains them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tombola.core.initial import draw_state
from tombola.core.layout import Arch, Interface, Layout, blank, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import CPU, Holdout, Split, Task
from tombola.core.ticket import Ticket
from tombola.train.recipe import Recipe


@functools.lru_cache
def points(inputs: tuple[int, ...], classes: int, number: int, split: str) -> tuple[Tensor, Tensor]:
    rng = numbers("toy", "points", split, number)
    centres = numbers("toy", "centres").normal(size=(classes, *inputs))
    labels = np.arange(number) % classes
    return torch.from_numpy(np.float32(centres[labels] + rng.normal(size=(number, *inputs)))), torch.from_numpy(labels)


@functools.lru_cache
def turn(seed: int, epoch: int, number: int) -> np.ndarray:
    return numbers("toy", "order", seed, epoch).permutation(number)


@plugin("task", "toy_points")
class Points:
    """Noisy points around one centre a class. The batch of the step `poison` is not a number."""

    inputs: tuple[int, ...] = (6,)
    classes: int = 3
    train: int = 23
    test: int = 11
    poison: int = -1

    default_recipe: ClassVar[str] = "recipe()"

    def __identity__(self) -> dict[str, Any]:
        return {"data": "toy"}

    @property
    def io(self) -> Interface:
        return Interface(inputs=self.inputs, classes=self.classes)

    def train_size(self, holdout: Holdout = Holdout()) -> int:
        return self.train - round(holdout.fraction * self.train)

    def chosen(self, holdout: Holdout) -> tuple[np.ndarray, np.ndarray]:
        order = turn(holdout.seed, -1, self.train)
        held = self.train - self.train_size(holdout)
        return order[held:], order[:held]

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        values, labels = points(self.inputs, self.classes, self.train, "train")
        chosen, _ = self.chosen(holdout)
        epoch, index = divmod(step, -(-len(chosen) // size))
        order = chosen[turn(seeds.stream("data"), epoch, len(chosen))]
        part = torch.from_numpy(order[index * size : (index + 1) * size])
        return values[part] * (float("nan") if step == self.poison else 1.0), labels[part]

    def evaluation(
        self, split: Split, *, size: int = 4, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        name = "test" if split == "test" else "train"
        values, labels = points(self.inputs, self.classes, self.test if split == "test" else self.train, name)
        if split != "test":
            part = torch.from_numpy(np.sort(self.chosen(holdout)[split == "validation"]))
            values, labels = values[part], labels[part]
        for start in range(0, len(labels), size):
            yield values[start : start + size], labels[start : start + size]

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(1) != targets


@plugin("arch", "toy_convs")
class Convs:
    """Every kind of convolution: plain, depthwise, dilated, grouped, 1x1; with batch norm."""

    width: int = 4

    def build(self, io: Interface) -> nn.Module:
        return ConvsNet(io.inputs[0], self.width, io.classes)

    def layout(self) -> Layout:
        names = tuple(f"{name}.weight" for name in ("stem", "depthwise", "dilated", "grouped", "point", "head"))
        return Layout(stem=("stem",), stages=(), head=("head",), prunable=names, axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names)


class ConvsNet(nn.Module):
    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.dilated = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(width, 2 * width, 3, padding=1, groups=2, bias=False)
        self.point = nn.Conv2d(2 * width, width, 1)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        x = functional.relu(self.dilated(functional.relu(self.depthwise(x))))
        x = functional.relu(self.point(functional.relu(self.grouped(x))))
        return self.head(x.mean((2, 3)))


IMAGES = Points(inputs=(3, 6, 6))


def random_mask(arch: Arch, task: Task, density: float, *, seed: int = 0) -> Mask:
    """Each weight alive by a throw of its own; at density 1 all of them."""
    sizes = {name: tuple(value.shape) for name, value in blank(arch, task.io).state_dict().items()}
    throws = {name: numbers("toy", "mask", seed, name).random(sizes[name]) < density for name in arch.layout().prunable}
    return Mask({name: torch.from_numpy(alive) for name, alive in throws.items()})


def a_ticket(arch: Arch, task: Task, *, density: float = 0.5, seed: int = 0, **changes: Any) -> Ticket:
    weights = initial_weights(arch, task.io, "toy", seed)
    return Ticket(
        arch=arch, io=task.io, mask=random_mask(arch, task, density, seed=seed), weights=weights, task=str(task)
    ).rebuilt(**changes)


def bare_loop(
    ticket: Ticket, task: Task, recipe: Recipe, steps: range, make: Callable[..., torch.optim.Optimizer], **numbers: Any
) -> tuple[nn.Module, torch.optim.Optimizer, list[float]]:
    """Training as in any script, with the mask applied by hand: the network, the optimiser, the losses.

    The rate is what `numbers` says, whatever the recipe's schedule.
    """
    net = ticket.arch.build(ticket.io)
    net.load_state_dict({name: value.clone() for name, value in ticket.weights.items()})
    if len(ticket.io.inputs) == 3:
        net = net.to(memory_format=torch.channels_last)
    alive = {name: mask.float() for name, mask in ticket.mask.items()}
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in alive:
                parameter.mul_(alive[name]).add_(0.0)
    optimizer = make(net.parameters(), **numbers)
    losses = []
    net.train()
    for step in steps:
        inputs, targets = task.batch(step, seeds=Seeds(), size=recipe.batch, holdout=recipe.holdout)
        loss = task.loss(net(inputs), targets, smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in net.named_parameters():
            if name in alive:
                assert parameter.grad is not None
                parameter.grad.mul_(alive[name])
        optimizer.step()
        losses.append(float(loss.detach()))
    return net, optimizer, losses


def same(one: Any, other: Any) -> bool:
    """Whether two state dicts, or other nests of tensors and numbers, are equal bit for bit, the sign of zero too."""
    if isinstance(one, Tensor):
        equal = torch.equal(one, other) and torch.equal(torch.signbit(one), torch.signbit(other))
        return one.dtype == other.dtype and equal
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if dataclasses.is_dataclass(one):
        return same(vars(one), vars(other))
    return one == other
