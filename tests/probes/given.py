"""Tasks whose inputs are the outputs of a network that passes them on, and a network for tokens: all by hand."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tombola.archs.mlp import Mlp
from tombola.core.layout import Arch, Interface, Layout, dense_mask
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import CPU, Holdout, Split, Task
from tombola.core.ticket import Ticket
from tombola.train.recipe import Recipe
from tombola.train.trained import SCORES, Cost, Trained

Rows = tuple[tuple[float, ...], ...]


class Toy:
    """What tasks need to be tasks, and do not need here."""

    default_recipe: ClassVar[str] = "recipe()"

    def __identity__(self) -> dict[str, Any]:
        return {"data": "toy"}

    def train_size(self, holdout: Holdout = Holdout()) -> int:
        return 8

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        raise AssertionError("nothing is trained here")

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(1) != targets


def parts(values: Tensor, labels: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(labels), size):
        yield values[start : start + size], labels[start : start + size]


@plugin("task", "toy_given")
class Given(Toy):
    """These rows are the test (and training) part, `held` the validation part; shown three at a time."""

    rows: Rows = ()
    labels: tuple[int, ...] = ()
    held: Rows = ()
    held_labels: tuple[int, ...] = ()
    width: int = 2
    classes: int = 2

    @property
    def io(self) -> Interface:
        return Interface(inputs=(self.width,), classes=self.classes)

    def evaluation(
        self, split: Split, *, size: int = 3, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        rows, labels = (self.held, self.held_labels) if split == "validation" else (self.rows, self.labels)
        return parts(torch.tensor(rows, dtype=torch.float64), torch.tensor(labels, dtype=torch.int64), size)


@plugin("task", "toy_given_groups")
class GivenGroups(Given):
    """The same with groups."""

    belongs: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def groups(self, split: Split, *, holdout: Holdout = Holdout()) -> tuple[np.ndarray, tuple[str, ...]]:
        return np.array(self.belongs), self.names


@plugin("task", "toy_words")
class Words(Toy):
    """Texts of token numbers, padded to the longest of the two that are shown together."""

    texts: tuple[tuple[int, ...], ...] = ((1,),)
    tokens: int = 6
    vocabulary: str = "toy"

    @property
    def io(self) -> Interface:
        return Interface(inputs=(4,), classes=2, tokens=self.tokens, vocabulary=self.vocabulary)

    def train_size(self, holdout: Holdout = Holdout()) -> int:
        return len(self.texts)

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        order = np.random.default_rng(seeds.stream("data") % 2**32).permutation(len(self.texts))
        rows = [torch.tensor(self.texts[place]) for place in order[step * size : (step + 1) * size]]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([int(row[0]) % 2 for row in rows])

    def evaluation(
        self, split: Split, *, size: int = 2, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.texts), size):
            rows = [torch.tensor(text, dtype=torch.int64) for text in self.texts[start : start + size]]
            yield nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.arange(len(rows)) % 2


@plugin("task", "toy_spelled_words")
class SpelledWords(Words):
    """The same, with names for the tokens."""

    def piece(self, number: int) -> str:
        return "_abcdefghijklmnopqrstuvwxyz"[number]


@plugin("arch", "toy_bag")
class Bag:
    """The sum of the embeddings of an input's tokens, then the head."""

    width: int = 3

    def build(self, io: Interface) -> nn.Module:
        return BagNet(io.tokens, self.width, io.classes)

    def layout(self) -> Layout:
        return Layout(stem=("stem",), stages=(), head=("head",), prunable=("stem.weight", "head.weight"), axes={})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return {name: torch.ones(value.shape) for name, value in net.state_dict().items()}


class BagNet(nn.Module):
    def __init__(self, tokens: int, width: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Embedding(tokens, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.stem(x) * (x > 0)[..., None]).sum(1))


def trained(
    arch: Arch, task: Task, weights: Mapping[str, Tensor], *, mask: Mapping[str, Tensor] | None = None, **recipe: Any
) -> Trained:
    """A training that ended at these weights."""
    known = Mask({**dense_mask(arch, task.io), **(mask or {})})
    ticket = Ticket(arch=arch, io=task.io, mask=known, weights=weights, task=str(task))
    return Trained(
        ticket=ticket,
        task=task,
        recipe=Recipe(**{"steps": 1, "batch": 1, "validation": 0.0, **recipe}),
        seeds=Seeds(),
        weights=weights,
        log=(),
        scores=dict.fromkeys(SCORES, 0.0),
        checks={"by hand": True},
        cost=Cost(0.0, 0, 0, 0.0, 0.0),
    )


def passing(task: Task, *, matrix: Tensor | None = None, **recipe: Any) -> Trained:
    """A linear network in double precision whose outputs are its inputs, or a matrix times them."""
    eye = torch.eye(task.io.features, dtype=torch.float64)[: task.io.classes]
    weight = eye if matrix is None else matrix.double()
    weights = {"head.weight": weight, "head.bias": torch.zeros(task.io.classes, dtype=torch.float64)}
    return trained(Mlp(hidden=()), task, weights, **recipe)
