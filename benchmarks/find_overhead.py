"""What `find` with a store adds to the sum of its trainings: drawing, cutting, keeping, proving."""

import itertools
import tempfile

from benchmarks.interleave import Ratio, interleave
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.find import find
from tombola.study.store import Store
from tombola.tasks.mnist import Mnist
from tombola.train.loop import train
from tombola.train.recipes import LeNet

LEVELS = 2


def measure() -> list[Ratio]:
    """LeNet on MNIST, five epochs a training, a fresh store every time, against the same trainings alone."""
    task, recipe = Mnist(), LeNet(steps="5ep")
    tickets = list(itertools.islice(find(Mlp(), task, recipe, levels=LEVELS), LEVELS))

    def alone() -> None:
        for ticket in tickets:
            train(ticket, task, recipe)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for _ in find(Mlp(), task, recipe, levels=LEVELS, seeds=Seeds(), call=Store(folder)):
                pass

    return [interleave("find with a store / its trainings alone", whole, alone, rounds=5, bar=1.05, warm=0)]
