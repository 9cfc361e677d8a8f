"""Pictures a second that one core reads, crops, mirrors and normalises: ours and the usual loader, CIFAR shapes."""

import time
from collections.abc import Callable

from benchmarks.interleave import Ratio, ratio_of
from benchmarks.usual import batches, cifar
from tombola.core.seeds import Seeds
from tombola.tasks.images import ImageTask

BATCH = 128
BAR = 100_000
FEW = 16
"""Batches of the usual loader in a round: it takes half a second for them."""


def measure(rounds: int = 21) -> list[Ratio]:
    """Lines of the table, from processor time in one process: ours, the usual loader, one beside the other."""
    rates: dict[str, list[float]] = {"ours": [], "usual": []}
    ways = {"ours": ours(cifar()), "usual": usual(cifar())}
    for number in range(-1, rounds):  # The first round is not counted: it reads the pictures.
        for name in list(ways)[:: 1 if number % 2 else -1]:
            start = time.process_time()
            pictures = ways[name]()
            if number >= 0:
                rates[name].append(pictures / (time.process_time() - start))
    gains = [a / b for a, b in zip(rates["ours"], rates["usual"], strict=True)]
    return [
        ratio_of("our batches, cropped and mirrored, pictures/s on one core", rates["ours"], bar=BAR, better="higher"),
        ratio_of("PIL and DataLoader with 0 workers, pictures/s on one core", rates["usual"]),
        ratio_of("our batches / PIL and DataLoader, pictures/s", gains, better="higher"),
    ]


def ours(task: ImageTask) -> Callable[[], int]:
    """A whole epoch each time, so that what is drawn at its start is paid for; gives the number of pictures."""
    seeds, steps, done = Seeds(0), -(-task.train_size() // BATCH), 0

    def epoch() -> int:
        nonlocal done
        pictures = 0
        for step in range(done, done + steps):
            pictures += len(task.batch(step, seeds=seeds, size=BATCH)[0])
        done += steps
        return pictures

    return epoch


def usual(task: ImageTask) -> Callable[[], int]:
    """A few batches of the usual loader each time; gives the number of pictures."""
    feed = batches(task, size=BATCH)
    return lambda: sum(len(next(feed)[0]) for _ in range(FEW))
