"""What a task is: data, augmentation, loss and metric, as a pure function of its arguments."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from tombola.core.layout import Interface
from tombola.core.seeds import Seeds

Split = Literal["train", "validation", "test"]
CPU = torch.device("cpu")


class Holdout(NamedTuple):
    """Which part of the training data is held out for validation: a fraction, drawn by a seed of its own."""

    fraction: float = 0.0
    seed: int = 0


@runtime_checkable
class Task(Protocol):
    """A data set with augmentation, loss and metric. Batch t of seed s is computed, never consumed from a stream."""

    default_recipe: ClassVar[str]

    def __identity__(self) -> dict[str, Any]:
        """The digest of the data, under "data": part of every key."""
        ...

    @property
    def io(self) -> Interface:
        """Shape of one input and number of classes."""
        ...

    def train_size(self, holdout: Holdout = Holdout()) -> int:
        """The number of training examples that are not held out; known without reading the data where possible."""
        ...

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        """The augmented, normalised training batch of a step, and its targets.

        Each epoch visits every example once, in an order of its own; the epoch's last batch may be smaller.
        """
        ...

    def evaluation(
        self, split: Split, *, size: int = 2000, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples of a split in batches, not augmented, in their order."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, a scalar."""
        ...

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which examples are answered wrongly, boolean, one for each."""
        ...


def label_space(task: Task) -> str:
    """What a task's classes stand for, such as "digits"; "" where it does not say (by an attribute of that name).

    Rows of a head are of no use on a task whose classes stand for something else, be they as many.
    """
    return str(getattr(task, "label_space", ""))


@runtime_checkable
class Grouped(Task, Protocol):
    """A task whose examples belong to groups: domains, hospitals, users."""

    def groups(self, split: Split, *, holdout: Holdout = Holdout()) -> tuple[np.ndarray, tuple[str, ...]]:
        """The group number of each example of a split, in the order of `evaluation`, and the groups' names."""
        ...


@runtime_checkable
class Drawing(Task, Protocol):
    """A task whose batches come in two halves, so that a captured program can hold the second: drawing, and showing.

    `batch(step)` equals `shown(drawn(range(step, step + 1))[0][0])` with the targets, to the bit.
    """

    def drawn(
        self, steps: range, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        """What the batches of some steps of equal size show, (steps, batch), and their targets; on the device."""
        ...

    def shown(self, drawn: Tensor, *, device: torch.device = CPU) -> Tensor:
        """The inputs of one drawn batch, by tensor operations on the device alone."""
        ...
