"""The data that a criterion may have, without knowing the task: batches as in training, from a stream of their own."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from tombola.core.errors import Refused
from tombola.core.layout import PAD
from tombola.core.seeds import Seeds, fold
from tombola.core.task import Task
from tombola.train.recipe import Recipe

Batch = tuple[Tensor, Tensor]


def evenly(texts: Sequence[Tensor]) -> list[Tensor]:
    """Token numbers, padded behind to the longest of them.

    Example:
        >>> [text.tolist() for text in evenly([torch.tensor([5, 7]), torch.tensor([9])])]
        [[5, 7], [9, 0]]
    """
    longest = max(len(text) for text in texts)
    return [pad(text, (0, longest - len(text)), value=PAD) for text in texts]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Training examples of a task, augmented as in training, in the batches of a recipe.

    Their order is not that of the training: a criterion must not see just the batches that come first. Each `turn` of
    a criterion that scores in rounds has another order.
    """

    task: Task
    recipe: Recipe
    seeds: Seeds
    device: torch.device
    turn: int = 0

    def batches(self, number: int, per_class: int) -> Iterator[Batch]:
        """So many batches of the recipe's size (0: a whole epoch), or with so many examples of each class.

        Raises:
            Refused: If a class has too few examples in an epoch, or a whole epoch is to have equal classes.
        """
        if number < 0 or per_class < 0:
            raise Refused(f"{number} batches with {per_class} examples of each class: neither is below 0.")
        if per_class and not number:
            raise Refused(
                f"a whole epoch (0 batches) has the classes that it has, not {per_class} examples of each. Ask for a "
                "number of batches, or for per_class=0."
            )
        if per_class:
            yield from self._balanced(number, per_class)
            return
        for step in range(number or self._epoch):
            yield self._batch(step)

    @property
    def _epoch(self) -> int:
        return -(-self.task.train_size(self.recipe.holdout) // self.recipe.batch)

    def _batch(self, step: int) -> Batch:
        own = {n: fold("score", self.turn, self.seeds.stream(n)) % 2**62 for n in ("data", "augment")}
        seeds = dataclasses.replace(self.seeds, **own)
        return self.task.batch(
            step, seeds=seeds, size=self.recipe.batch, holdout=self.recipe.holdout, device=self.device
        )

    def _balanced(self, number: int, per_class: int) -> Iterator[Batch]:
        """Examples in the order of the stream; those of a class that is full wait for the next batch."""
        classes, step = self.task.io.classes, 0
        queues: list[list[Tensor]] = [[] for _ in range(classes)]
        for _ in range(number):
            while any(len(queue) < per_class for queue in queues):
                if step >= number * self._epoch:
                    raise Refused(
                        f"{per_class} examples of each of the {classes} classes are asked for; an epoch of {self.task} "
                        "has fewer of some. Ask for fewer, or for batches without regard to classes: per_class=0."
                    )
                inputs, targets = self._batch(step)
                if targets.dim() != 1 or targets.is_floating_point():
                    raise Refused(f"{self.task} has no classes to balance. Use per_class=0.")
                for one, target in zip(inputs, targets.tolist(), strict=True):
                    queues[target].append(one)
                step += 1
            drawn = [queue.pop(0) for queue in queues for _ in range(per_class)]
            targets = torch.arange(classes, device=self.device).repeat_interleave(per_class)
            yield torch.stack(evenly(drawn) if self.task.io.tokens else drawn), targets
