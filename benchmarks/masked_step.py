"""A masked training step of ours beside the dense step of a bare PyTorch loop: same network, data, optimiser."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.interleave import Ratio, interleave
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.seeds import Seeds
from tombola.find import draw
from tombola.prune import Everywhere, prune
from tombola.study.step import Context
from tombola.tasks.cifar import Cifar100Subset
from tombola.tasks.mnist import Mnist
from tombola.train.recipe import Recipe
from tombola.train.recipes import LeNet, ResNet20
from tombola.train.run import Run

SEEDS = Seeds(0)


def measure() -> list[Ratio]:
    """ResNet-20 at batch 128 on CIFAR pictures, LeNet-300-100 at batch 60 on MNIST; density 0.1."""
    return [
        pair("masked step / bare dense step, MLP batch 60", Mlp(), Mnist(), LeNet(), steps=40, rounds=41, bar=1.10),
        pair(
            "masked step / bare dense step, ResNet-20 batch 128",
            ResNet(depth=20),
            Cifar100Subset(),
            ResNet20(),
            steps=1,
            rounds=31,
            bar=1.03,
        ),
    ]


def pair(name: str, arch: Any, task: Any, recipe: Recipe, *, steps: int, rounds: int, bar: float) -> Ratio:
    """Our loop on a ticket of density 0.1 against a bare loop on the dense network, so many steps a round."""
    recipe = recipe.in_steps(task)
    dense = draw(arch, task, recipe, SEEDS)
    scores = {weight: dense.weights[weight].abs() for weight in dense.mask}
    sparse = dense.rebuilt(mask=prune(dense.mask, scores, density=0.1, scope=Everywhere()))
    run = Run(sparse, task, recipe, SEEDS, Context())
    run.net.train()

    def ours() -> None:
        run._stretch(run.progress.step + steps)

    return interleave(name, ours, bare(dense, task, recipe, steps), rounds=rounds, bar=bar)


def bare(dense: Any, task: Any, recipe: Recipe, steps: int) -> Callable[[], None]:
    """The plainest loop: batch, forward, backward, fused optimiser; no mask, no schedule, no curve."""
    net = dense.module().train()
    if len(dense.io.inputs) == 3:
        net = net.to(memory_format=torch.channels_last)
    optimizer = recipe.optimizer.make(net.parameters())
    done = 0

    def loop() -> None:
        nonlocal done
        for step in range(done, done + steps):
            inputs, targets = task.batch(step, seeds=SEEDS, size=recipe.batch, holdout=recipe.holdout)
            loss = functional.cross_entropy(net(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        done += steps

    return loop
