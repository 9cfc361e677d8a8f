"""Whole trainings side by side: ours, and a bare PyTorch loop with the usual loader, in pictures and steps a second.

ResNet-20 is measured as whole processes in turn, each started as it would be used; `python -m benchmarks.throughput
ours 0 12` is one of them: it trains a few steps, says that it is ready, and is timed from the word of the launcher on.
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from benchmarks import masked_step
from benchmarks.interleave import Ratio, interleave, ratio_of
from benchmarks.masked_step import SEEDS, tickets
from benchmarks.usual import MASKINGS, batches, cifar, loop, optimizer
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Failed
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.find import draw
from tombola.study.engines.allocator import keep_memory
from tombola.tasks.images import ImageTask
from tombola.tasks.mnist import Mnist
from tombola.train.recipes import LeNet, ResNet20

ROUNDS = 7
SECONDS = 12.0
"""The timed stretch of a process."""
WARM = 4
RESNET_BAR, LENET_BAR = 1.35, 7.0
WAYS: dict[str, tuple[int, list[list[str]]]] = {
    "ours": (1, [["ours", "0"], ["ours", "1"]]),
    "usual, 0 workers": (2, [["usual", "0"]]),
    "usual, 2 workers": (2, [["usual", "2"]]),
}
"""Threads of a process, and the words of each process that runs at once."""


def measure() -> list[Ratio]:
    """Steps a second of LeNet-300-100 on one core, pictures a second of ResNet-20 on two."""
    return [lenet(), resnet()]


def resnet(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> Ratio:
    """Two single-threaded trainings as workers run them, against one with two threads and the usual loader.

    The bare loop is dense, in PyTorch's own memory layout, with the fused optimiser; of 0 and 2 worker processes of its
    loader the better counts in every round.
    """
    rates: list[dict[str, float]] = []
    orders = list(itertools.permutations(WAYS))
    for number in range(rounds):
        order = orders[number % len(orders)]
        rates.append({name: rate(*_launched(name, seconds)) for name in order})
    medians = (f"{name} {statistics.median(found[name] for found in rates):.0f}" for name in WAYS)
    name = f"ResNet-20 batch 128, pictures/s on two cores: ours / bare loop, usual loader ({'; '.join(medians)})"
    return ratio_of(name, [gain(found) for found in rates], bar=RESNET_BAR, better="higher")


def gain(found: Mapping[str, float]) -> float:
    """Ours beside the better of the others.

    Example:
        >>> gain({"ours": 3.0, "usual, 0 workers": 1.0, "usual, 2 workers": 2.0})
        1.5
    """
    return found["ours"] / max(value for name, value in found.items() if name != "ours")


def lenet(task: ImageTask = Mnist(), *, rounds: int = 21, steps: int = 100, machine: Machine = Machine()) -> Ratio:
    """One thread: our loop against the usual loader without workers and the mask multiplied in every forward.

    Processor time in one process, in turn, the same number of steps each.
    """
    recipe = LeNet().in_steps(task)
    _, sparse = tickets(Mlp(), task, recipe)
    net = MASKINGS["multiplied in forward"](sparse.module().train(), sparse.mask)
    usual = loop(net, optimizer(recipe.optimizer, net), batches(task, size=recipe.batch), steps=steps)
    # Seconds of theirs by seconds of ours are steps a second of ours by steps a second of theirs.
    found = interleave(
        "", usual, masked_step.ours(sparse, task, recipe, steps=steps, machine=machine), rounds=rounds, bar=LENET_BAR
    )
    name = "LeNet-300-100 batch 60, steps/s on one core: ours / the usual loader, multiplied in forward"
    return dataclasses.replace(found, name=name, better="higher")


def rate(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> float:
    """Start processes, let them go together once each has written "ready", and add up the numbers they write.

    Raises:
        Failed: If one of them ends otherwise than with a number.
    """
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    command, env=environment, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for command in commands
        ]
        for process in running:
            _said(process, "ready")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(float(_said(process)) for process in running)


def _said(process: subprocess.Popen[str], expected: str = "") -> str:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if not said or (expected and said != expected):
        process.kill()
        raise Failed(f"a process to be timed ended early (it said {said!r}); what went wrong is above: {process.args}")
    return said


def _launched(name: str, seconds: float) -> tuple[list[list[str]], dict[str, str]]:
    """The commands of a way and their environment: so many threads, and no settings of the allocator from outside."""
    threads, words = WAYS[name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return [[sys.executable, "-m", "benchmarks.throughput", *part, str(seconds)] for part in words], environment


def stretch(step: Callable[[], object], *, pictures: int, seconds: float) -> float:
    """Pictures a second over at least so many seconds of wall time."""
    start, steps, spent = time.perf_counter(), 0, 0.0
    while spent < seconds:
        step()
        steps += 1
        spent = time.perf_counter() - start
    return steps * pictures / spent


def ours(number: int) -> Callable[[], object]:
    """A step of a ResNet-20 ticket of ours in a process set up as a worker; each has a data order of its own."""
    keep_memory()
    task = cifar()
    recipe = ResNet20().in_steps(task)
    _, sparse = tickets(ResNet(depth=20), task, recipe)
    return masked_step.ours(sparse, task, recipe, steps=1, seeds=Seeds(0, data=number))


def bare(workers: int) -> Callable[[], object]:
    """A step of a dense ResNet-20 in a bare loop on two threads, fed by the usual loader."""
    torch.set_num_threads(2)
    task = cifar()
    recipe = ResNet20().in_steps(task)
    net = draw(ResNet(depth=20), task, recipe, SEEDS).module().train()
    feed = batches(task, size=recipe.batch, workers=workers)
    return loop(net, recipe.optimizer.make(net.parameters()), feed, steps=1)


def main(words: Sequence[str]) -> None:
    """One process to be timed: what it trains, which one it is or how many workers it has, for how long."""
    way, number, seconds = words
    step = {"ours": ours, "usual": bare}[way](int(number))
    for _ in range(WARM):
        step()
    print("ready", flush=True)
    sys.stdin.readline()
    print(stretch(step, pictures=ResNet20().batch, seconds=float(seconds)), flush=True)


_ROOT = pathlib.Path(__file__).parent.parent

if __name__ == "__main__":
    main(sys.argv[1:])
