"""What buckets of equal length save a text CNN, and what its mask costs, with most of the weights in the embedding."""

import dataclasses
from typing import Any

from benchmarks.interleave import Ratio, ratio_of
from benchmarks.masked_step import ours, pair, tickets
from benchmarks.masking import in_turn
from tombola.archs.textcnn import TextCnn
from tombola.prune import PerLayer
from tombola.tasks.reviews import Reviews
from tombola.train.recipes import ReviewsCnn

RECIPE = ReviewsCnn(validation=0.125)
PAPER, SMALL = TextCnn(), TextCnn(width=64, channels=32, hidden=32)


def measure() -> list[Ratio]:
    """The network of Desai et al. 2019 and a small one, on reviews of books, batch 32; each tensor at density 0.1."""
    given: Any = {"bar": 1.03, "scope": PerLayer()}
    return [
        buckets("the paper's network", PAPER, steps=2, rounds=21),
        buckets("the small network", SMALL, steps=10, rounds=21),
        pair("masked step / bare dense step, the paper's network", PAPER, Reviews(), RECIPE, steps=1, **given),
        pair("masked step / bare dense step, the small network", SMALL, Reviews(), RECIPE, steps=10, **given),
    ]


def buckets(name: str, arch: TextCnn, *, steps: int, rounds: int) -> Ratio:
    """Steps whose batches are all padded to 500, against those of batches of about one length."""
    task = Reviews()
    recipe = RECIPE.in_steps(task)
    _, sparse = tickets(arch, task, recipe, scope=PerLayer())
    padded = dataclasses.replace(task, pad="longest", pool=1)
    ways = {"bucketed": ours(sparse, task, recipe, steps=steps), "padded": ours(sparse, padded, recipe, steps=steps)}
    spent = in_turn(ways, rounds=rounds)
    ratios = [a / b for a, b in zip(spent["padded"], spent["bucketed"], strict=True)]
    return ratio_of(f"step padded to 500 / step of buckets, {name}", ratios, bar=2.5, better="higher")
