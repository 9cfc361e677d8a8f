"""Examples that many networks are asked: chosen by the name of their split, read once, not augmented."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Split, Task
from tombola.probes.predictions import in_numbers, typed
from tombola.train.examples import Examples
from tombola.train.trained import Trained

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
AT_ONCE = 2000
"""Examples that a network is asked together."""


def held(what: str, a: Trained, task: Task, split: Split, most: int, device: torch.device) -> Batches:
    """At most so many examples of a split, always the same ones, in memory; with 0 all, read again each time.

    What is held out of the training data, the recipe of a network says.

    Raises:
        Refused: If the split is empty.
    """

    def read() -> Iterator[tuple[Tensor, Tensor]]:
        return task.evaluation(split, size=AT_ONCE, holdout=a.recipe.holdout, device=device)

    size = sum(len(targets) for _, targets in read())
    if not size:
        raise Refused(f"{what}: {task} has no example in its {split} part. Ask for others: splits=('test',).")
    if not most:
        return read
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[numbers("held", split).permutation(size)[:most]] = True
    kept: list[tuple[Tensor, Tensor]] = []
    place = 0
    for inputs, targets in read():
        here = torch.from_numpy(chosen[place : place + len(targets)]).to(targets.device)
        kept.append((inputs[here], targets[here]))
        place += len(targets)
    parts = list(_together(kept))
    return lambda: parts


def training_inputs(a: Trained, task: Task, number: int, device: torch.device) -> Callable[[], Iterable[Tensor]]:
    """Inputs to gather statistics on, as in the training of a network: augmented, in the parts of its recipe's batches.

    At least so many, always the same ones, read once; with 0 a whole epoch, read again each time.
    """
    examples, exact = Examples(task, a.recipe, Seeds(), device), next(iter(a.module().parameters())).dtype
    batches = -(-number // a.recipe.batch)

    def read() -> Iterator[Tensor]:
        for inputs, _ in examples.batches(batches, 0):
            yield from in_numbers(inputs, exact).tensor_split(a.recipe.parts(len(inputs)))

    if not number:
        return read
    kept: list[Tensor] = []

    def once() -> list[Tensor]:
        kept.extend(() if kept else read())
        return kept

    return once


class Counted:
    """Inputs, and how many examples of them were asked for so far: what their passes cost is told by this."""

    def __init__(self, inputs: Callable[[], Iterable[Tensor]]) -> None:
        self.inputs, self.examples = inputs, 0

    def __call__(self) -> Iterator[Tensor]:
        """The inputs, once more."""
        for some in self.inputs():
            self.examples += len(some)
            yield some


def score(net: nn.Module, task: Task, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, NDArray[np.bool_]]:
    """The mean loss of a network as it is, and which examples it answers wrongly."""
    losses: list[tuple[Tensor, int]] = []
    wrong: list[Tensor] = []
    for inputs, targets in batches:
        outputs = net(typed(inputs, net))
        losses.append((task.loss(outputs, targets), len(targets)))
        wrong.append(task.wrong(outputs, targets))
    total = sum(number for _, number in losses)
    loss = sum(float(value) * number for value, number in losses) / total
    return loss, torch.cat(wrong).cpu().numpy()


def _together(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Neighbouring batches of inputs of one shape as one, as far as so many are asked together."""
    waiting: list[tuple[Tensor, Tensor]] = []
    for inputs, targets in batches:
        alike = not waiting or waiting[0][0].shape[1:] == inputs.shape[1:]
        if waiting and (not alike or sum(len(one) for _, one in waiting) + len(targets) > AT_ONCE):
            yield _joined(waiting)
            waiting = []
        waiting.append((inputs, targets))
    if waiting:
        yield _joined(waiting)


def _joined(batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*batches, strict=True)
    return torch.cat(inputs), torch.cat(targets)
