"""What a barrier costs beside plain evaluations of the same network on the same examples."""

from typing import Any

import torch

from benchmarks.interleave import Ratio, ratio_of
from benchmarks.masking import in_turn
from tombola.archs.resnet import ResNet
from tombola.core.seeds import Seeds
from tombola.core.task import CPU
from tombola.find import draw
from tombola.probes.barrier import barrier
from tombola.probes.held import held
from tombola.tasks.cifar import Cifar10
from tombola.train.loop import train
from tombola.train.recipe import Recipe

POINTS = 30
EXAMPLES = 300
"""Few enough that what is not evaluation would show: with 10,000 it is a thirtieth of it."""


def measure() -> list[Ratio]:
    """ResNet-20 on CIFAR-10, statistics interpolated and gathered anew, against 30 evaluations."""
    task, recipe = Cifar10(), Recipe(steps=1, batch=128, evaluate=1)
    a, b = (train(draw(ResNet(depth=20), task, recipe, Seeds(s)), task, recipe, Seeds(s)) for s in (0, 1))
    given: Any = {"points": POINTS, "splits": ("test",), "examples": EXAMPLES}
    net = a.module().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    batches = list(held("benchmark", a, task, "test", EXAMPLES, CPU)())

    @torch.no_grad()
    def plain() -> None:
        for _ in range(POINTS):
            for inputs, targets in batches:
                outputs = net(inputs)
                float(task.loss(outputs, targets))
                int(task.wrong(outputs, targets).sum())

    ways = {
        "plain": plain,
        "interpolate": lambda: barrier(a, b, **given, stats="interpolate"),
        "recompute": lambda: barrier(a, b, **given, stats="recompute", gathered=EXAMPLES),
    }
    spent = in_turn(ways, rounds=9, warm=1)
    name = "30-point barrier on 300 images / 30 evaluations on them"
    bars = {"interpolate": 1.1, "recompute": float("nan")}
    return [
        ratio_of(f"{name}, stats={way}", [x / y for x, y in zip(spent[way], spent["plain"], strict=True)], bar=bar)
        for way, bar in bars.items()
    ]
