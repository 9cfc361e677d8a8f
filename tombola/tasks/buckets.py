"""One run's way through a set of texts: batches of texts of about the same length, so that little is padding.

An epoch's order is cut into pools of so many batches. In a pool texts are sorted by length and cut into batches, and
all batches of the epoch are then put into an order of their own. Each text still comes once an epoch, beside others of
its length from its pool. What does not fill a batch is drawn first and comes last.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tombola.core.seeds import numbers

Rows = NDArray[np.int64]


@dataclasses.dataclass(eq=False)
class TextWay:
    """The epochs of one seed, with the one it is in: `chosen` are rows of a set, `lengths` those of all its texts."""

    chosen: Rows
    lengths: NDArray[np.int64]
    pool: int
    data: int
    epoch: tuple[int, int] = (-1, 0)
    batches: tuple[Rows, ...] = ()

    def rows(self, step: int, size: int) -> Rows:
        """The rows of a step's batch.

        Example:
            >>> way = TextWay(np.arange(5), np.array([3, 1, 2, 9, 8]), pool=2, data=0)
            >>> sorted(row for step in range(3) for row in way.rows(step, 2).tolist())
            [0, 1, 2, 3, 4]
        """
        epoch, turn = divmod(step, -(-len(self.chosen) // size))
        if self.epoch != (epoch, size):
            self.epoch, self.batches = (epoch, size), self._drawn(epoch, size)
        return self.batches[turn]

    def _drawn(self, epoch: int, size: int) -> tuple[Rows, ...]:
        order = self.chosen[numbers("order", self.data, epoch).permutation(len(self.chosen))]
        rest = len(order) % size
        last, order = order[:rest], order[rest:]
        batches: list[Rows] = []
        for start in range(0, len(order), self.pool * size):
            pool = order[start : start + self.pool * size]
            batches += list(pool[np.argsort(self.lengths[pool], kind="stable")].reshape(-1, size))
        turns = numbers("batches", self.data, epoch).permutation(len(batches))
        return (*(batches[turn] for turn in turns), *([last] if rest else []))
