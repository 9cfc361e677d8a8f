"""A masked training step of ours beside the dense step of a bare PyTorch loop: same network, data, optimiser."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.interleave import Ratio, interleave, ratio_of
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.machine import Machine
from tombola.core.noise import dropouts, stir
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.find import draw
from tombola.prune import Everywhere, Scope, prune
from tombola.study.step import Context
from tombola.tasks.cifar import Cifar100Subset
from tombola.tasks.mnist import Mnist
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet, ResNet20
from tombola.train.run import Run

SEEDS = Seeds(0)
DENSITY = 0.1
BUILT = 41


def measure() -> list[Ratio]:
    """ResNet-20 at batch 128 on CIFAR pictures, LeNet-300-100 at batch 60 on MNIST; density 0.1."""
    lenet, resnet = (Mlp(), Mnist(), LeNet()), (ResNet(depth=20), Cifar100Subset(), ResNet20())
    return [
        pair("masked step / bare dense step, MLP batch 60", *lenet, steps=40, bar=1.02),
        pair("masked step / bare dense step, ResNet-20 batch 128", *resnet, steps=1, bar=1.01),
    ]


def pair(
    name: str, arch: Any, task: Any, recipe: Recipe, *, steps: int, bar: float, scope: Scope = Everywhere()
) -> Ratio:
    """Our loop on a ticket of density 0.1 against a bare loop on the dense network, so many steps at a time.

    Both are built anew for every round: where their tensors happen to lie in memory changes the ratio by several
    percent either way, and stays for as long as they live.
    """
    recipe = recipe.in_steps(task)
    found: list[float] = []
    for _ in range(BUILT):
        dense, sparse = tickets(arch, task, recipe, scope=scope)
        ways = ours(sparse, task, recipe, steps=steps), bare(dense, task, recipe, steps)
        found.append(interleave(name, *ways, rounds=3, bar=bar).ratio)
    return ratio_of(name, found, bar=bar)


def tickets(arch: Any, task: Any, recipe: Recipe, *, scope: Scope = Everywhere()) -> tuple[Ticket, Ticket]:
    """A drawn ticket, dense, and with a tenth of its weights."""
    dense = draw(arch, task, recipe, SEEDS)
    scores = {name: dense.weights[name].abs() for name in dense.mask}
    return dense, dense.rebuilt(mask=prune(dense.mask, scores, density=DENSITY, scope=scope))


def ours(
    ticket: Ticket, task: Any, recipe: Recipe, *, steps: int, seeds: Seeds = SEEDS, machine: Machine = Machine()
) -> Callable[[], None]:
    """Our loop, as `train` runs it between two points of its curve: so many steps, then the one look at the losses."""
    run = Run(ticket, task, recipe, seeds, Context(machine))
    run.net.train()
    return lambda: run.advance(run.progress.step + steps)


def bare(dense: Any, task: Any, recipe: Recipe, steps: int) -> Callable[[], None]:
    """The plainest loop: batch, forward, backward, fused optimiser; no mask, no schedule, no curve."""
    net = dense.module().train()
    if len(dense.io.inputs) == 3:
        net = net.to(memory_format=torch.channels_last)
    optimizer, layers = recipe.optimizer.make(net.parameters()), dropouts(net)
    done = 0

    def loop() -> None:
        nonlocal done
        for step in range(done, done + steps):
            inputs, targets = task.batch(step, seeds=SEEDS, size=recipe.batch, holdout=recipe.holdout)
            stir(layers, SEEDS, step)
            loss = functional.cross_entropy(net(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        done += steps

    return loop
