"""What keeping a mask costs: ours and the three usual ways beside the dense step of a bare PyTorch loop."""

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.interleave import Ratio, ratio_of
from benchmarks.masked_step import SEEDS, bare, ours, tickets
from benchmarks.usual import MASKINGS, loop, optimizer
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.ticket import Ticket
from tombola.tasks.cifar import Cifar100Subset
from tombola.tasks.mnist import Mnist
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet, ResNet20


def measure() -> list[Ratio]:
    """LeNet-300-100 at batch 60 on MNIST, ResNet-20 at batch 128 on CIFAR pictures; no bars, see `masked_step`."""
    return [
        *compare("LeNet-300-100 batch 60", Mlp(), Mnist(), LeNet(), steps=40, rounds=41),
        *compare("ResNet-20 batch 128", ResNet(depth=20), Cifar100Subset(), ResNet20(), steps=1, rounds=21),
    ]


def compare(name: str, arch: Any, task: Any, recipe: Recipe, *, steps: int, rounds: int) -> list[Ratio]:
    """Ours and the usual ways against the bare loop with the fused optimiser, so many steps a round.

    All have the same batches, memory layout and numbers of the optimiser; the usual ways have it as PyTorch makes it by
    default, and a dense loop with that one shows how much of their cost is the optimiser's and not the mask's.
    """
    recipe = recipe.in_steps(task)
    dense, sparse = tickets(arch, task, recipe)
    ways: dict[str, Callable[[], object]] = {
        "ours": ours(sparse, task, recipe, steps=steps),
        "dense, default optimiser": usual(network("", dense), task, recipe, steps=steps),
    }
    ways |= {way: usual(network(way, sparse), task, recipe, steps=steps) for way in MASKINGS}
    spent = in_turn({"bare": bare(dense, task, recipe, steps), **ways}, rounds=rounds)
    return [
        ratio_of(f"{way} / bare dense, {name}", [a / b for a, b in zip(spent[way], spent["bare"], strict=True)])
        for way in ways
    ]


def network(way: str, ticket: Ticket) -> nn.Module:
    """A ticket's network masked in one of the usual ways, or with "" not at all; pictures lie channels last."""
    net = ticket.module().train()
    if way:
        net = MASKINGS[way](net, ticket.mask)
    if len(ticket.io.inputs) == 3:
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def usual(net: nn.Module, task: Any, recipe: Recipe, *, steps: int) -> Callable[[], None]:
    """The plainest loop over our batches, with the optimiser as PyTorch makes it by default."""
    feed = (task.batch(step, seeds=SEEDS, size=recipe.batch, holdout=recipe.holdout) for step in itertools.count())
    return loop(net, optimizer(recipe.optimizer, net), feed, steps=steps)


def in_turn(ways: Mapping[str, Callable[[], object]], *, rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """The processor time of each way in each round, all of them once a round, in an order that moves on by one."""
    names = list(ways)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.process_time()
            ways[name]()
            if number >= 0:
                spent[name].append(time.process_time() - start)
    return spent
