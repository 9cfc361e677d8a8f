"""What a RigL update of the mask costs beside the training between two of them, and what watching for it costs."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from benchmarks.interleave import Ratio, ratio_of
from benchmarks.masked_step import SEEDS, ours, tickets
from benchmarks.masking import in_turn
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.machine import Machine
from tombola.core.ticket import Ticket
from tombola.rewire.rigl import Rigl
from tombola.study.step import Context
from tombola.tasks.cifar import Cifar100Subset
from tombola.tasks.mnist import Mnist
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet, ResNet20
from tombola.train.run import Run

EVERY = 100


def measure() -> list[Ratio]:
    """LeNet-300-100 at batch 60 on MNIST, ResNet-20 at batch 128 on CIFAR pictures; density 0.1."""
    lenet, resnet = (Mlp(), Mnist(), LeNet()), (ResNet(depth=20), Cifar100Subset(), ResNet20())
    return [
        *compare("LeNet-300-100 batch 60", *lenet, steps=20, rounds=41),
        *compare("ResNet-20 batch 128", *resnet, steps=1, rounds=21),
    ]


def compare(name: str, arch: Any, task: Any, recipe: Recipe, *, steps: int, rounds: int) -> list[Ratio]:
    """One update with all that belongs to it against so many steps of training as usual, and a step without one.

    The update is that of the early training, when the fraction dropped is largest, and the network's update is not
    taken off, though it takes its place.
    """
    _, sparse = tickets(arch, task, recipe.in_steps(task))
    often = dataclasses.replace(recipe, rewire=Rigl(every=1, end=1.0)).in_steps(task)
    seldom = dataclasses.replace(recipe, rewire=Rigl(every=int(often.steps) - 1, end=1.0)).in_steps(task)
    update, updates = updating(sparse, task, often)
    ways = {
        "update": update,
        "usual": ours(sparse, task, recipe.in_steps(task), steps=steps),
        "watched": ours(sparse, task, seldom, steps=steps),
    }
    spent = in_turn(ways, rounds=rounds)
    shares = [one / (usual * EVERY / steps) for one, usual in zip(updates[-rounds:], spent["usual"], strict=True)]
    watched = [a / b for a, b in zip(spent["watched"], spent["usual"], strict=True)]
    return [
        ratio_of(f"RigL update / {EVERY} steps, {name}", shares, bar=0.03),
        ratio_of(f"step between updates / usual step, {name}", watched),
    ]


def updating(ticket: Ticket, task: Any, recipe: Recipe) -> tuple[Callable[[], None], list[float]]:
    """A step that changes the mask, and the processor times that its last part took so far: all but the gradients."""
    run = Run(ticket, task, recipe, SEEDS, Context(Machine()))
    run.net.train()
    spent: list[float] = []

    def step() -> None:
        at = run.progress.step
        inputs, targets = task.batch(at, seeds=SEEDS, size=recipe.batch, holdout=recipe.holdout)
        run.optimizer.zero_grad()
        run.loss(inputs, targets).backward()
        start = time.process_time()
        run.update(at)
        spent.append(time.process_time() - start)
        run.progress.step += 1

    return step, spent
