"""Text classification: reviews as rows of subword numbers, in batches that are padded to their longest.

Shape legend: B examples of a batch, T tokens of its longest text, N examples of a part.
"""

import abc
import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.plugin import registration
from tombola.core.seeds import Seeds
from tombola.core.task import CPU, Holdout, Split
from tombola.tasks import corpora, kept, vocabulary
from tombola.tasks.buckets import Rows, TextWay
from tombola.tasks.classified import Classified
from tombola.tasks.corpora import Library, Texts
from tombola.tasks.decoded import Recorded
from tombola.tasks.encoded import Asked, Encoded, Prepared, prepared
from tombola.tasks.sources import Source, Sourced
from tombola.tasks.subsets import check_few, divided_by_class, fewer
from tombola.tasks.vocabulary import Case, Options

WHOLE = Holdout()
ROOM = 1 << 14
"""So many tokens, padding among them, are evaluated at once."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class TextTask(Classified, Sourced):
    """What all text tasks share; a plug-in adds its library.

    Fields: `domain`, the domain of its texts, or several joined by "+"; `shared`, the domains whose training texts make
    the vocabulary, in this order; `vocabulary`, the number of subwords, padding and the unknown among them; `coverage`,
    the share of all characters that they cover; `case`, whether letters are made small first; `longest`, the tokens of
    a text that are read; `pool`, among so many batches texts are sorted by length (1: not at all); `pad`, whether
    batches are padded to their longest text, or all alike to `longest`; `few`, so many training examples only, of all
    classes alike (0: all).
    """

    domain: str
    shared: tuple[str, ...] = ()
    vocabulary: int = 8000
    coverage: float = 0.9995
    case: Case = "kept"
    longest: int = 500
    pool: int = 50
    pad: Literal["batch", "longest"] = "batch"
    few: int = 0

    default_recipe: ClassVar[str] = "reviews_cnn()"

    def __post_init__(self) -> None:
        """Refuse fields that mean nothing."""
        name = registration(type(self)).name
        for field, least in (("vocabulary", 3), ("longest", 1), ("pool", 1), ("few", 0)):
            if getattr(self, field) < least:
                raise Refused(f"{name}: field '{field}' is {getattr(self, field)}. It is {least} or more.")
        if not 0.98 <= self.coverage <= 1:
            raise Refused(f"{name}: field 'coverage' is {self.coverage}. It is a share of all characters, 0.98 to 1.")
        if not all(self.domains) or not all(self.shared):
            raise Refused(f"{name}: a domain without a name in {self.domain!r}, {self.shared!r}. Write 'a' or 'a+b'.")

    @abc.abstractmethod
    def library(self) -> Library:
        """Where the texts come from, and how they are read."""

    @property
    def asked(self) -> Asked:
        """What decides the numbers that its texts become.

        Raises:
            Refused: If a domain that is read by itself is not among the shared ones: its test texts could be learned.
        """
        library, shared = self.library(), self.shared or self.domains
        if library.alone and (strange := [domain for domain in self.domains if domain not in shared]):
            raise Refused(
                f"{self}: domain '{strange[0]}' is not in shared={shared!r}, so nothing would keep its test texts "
                f"out of the vocabulary. Add it: shared={(*shared, strange[0])!r}, in every task that shares it."
            )
        return Asked(library, self.domains, shared, Options(self.vocabulary, self.coverage, self.case), self.longest)

    @property
    def prepared(self) -> Prepared:
        """Its texts as numbers."""
        return prepared(self.asked)

    def source(self) -> Source:
        """The library's."""
        return self.library().source

    def kept(self) -> tuple[pathlib.Path, Recorded | None]:
        """The file of its numbers, and what it says that it holds."""
        noted = kept.facts(self.asked.name)
        own = Recorded(noted["data"], int(noted["train"]), int(noted["test"])) if "data" in noted else None
        return kept.path(self.asked.name), own

    def fetched(self) -> Recorded:
        """Read its texts from wherever they are, and keep their numbers."""
        known = self.prepared
        return Recorded(known.digest, len(known.train.labels), len(known.test.labels))

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains whose texts it has."""
        return tuple(self.domain.split("+"))

    def __identity__(self) -> dict[str, Any]:
        """The digest of the numbers that the texts became, and of their labels."""
        return {"data": self.prepared.digest}

    @property
    def io(self) -> Interface:
        """At most `longest` tokens of this vocabulary, and the number of classes."""
        known = self.prepared
        size, own = len(vocabulary.pieces(known.model)), vocabulary.identity(known.model)
        return Interface(inputs=(self.longest,), classes=known.classes, tokens=size, vocabulary=own)

    def train_size(self, holdout: Holdout = WHOLE) -> int:
        """The number of training examples that are not held out."""
        return len(self._rows("train", holdout))

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = WHOLE, device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        """The token numbers of a step's texts, (B, T), and their labels; nothing is augmented."""
        if step < 0 or size < 1:
            raise Refused(f"batch of step {step} and size {size}: steps start at 0 and a batch has at least 1 example.")
        rows = way(self, holdout, seeds.stream("data")).rows(step, size)
        return self._shown(self.prepared.train, rows, device)

    def evaluation(
        self, split: Split, *, size: int = 2000, holdout: Holdout = WHOLE, device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples of a split, the shortest first, in batches of at most `size` of them.

        Raises:
            Refused: For "validation" if nothing is held out.
        """
        part, rows = self._part(split), self._ordered(split, holdout)
        return (self._shown(part, rows[of], device) for of in _slices(part.lengths[rows], size))

    def groups(self, split: Split, *, holdout: Holdout = WHOLE) -> tuple[np.ndarray, tuple[str, ...]]:
        """The domain of each example, in the order of `evaluation`."""
        return self._part(split).domains[self._ordered(split, holdout)], self.domains

    def piece(self, token: int) -> str:
        """The subword of a number."""
        return vocabulary.pieces(self.prepared.model)[token]

    def _shown(self, part: Encoded, rows: Rows, device: torch.device) -> tuple[Tensor, Tensor]:
        tokens = part.padded(rows, to=self.longest if self.pad == "longest" else 0)
        return torch.from_numpy(tokens).to(device), torch.from_numpy(part.labels[rows]).to(device)

    def _part(self, split: Split) -> Encoded:
        return self.prepared.test if split == "test" else self.prepared.train

    def _rows(self, split: Split, holdout: Holdout) -> Rows:
        """The rows of a split, in their order."""
        part = self._part(split)
        if split == "test":
            return np.arange(len(part.labels))
        train, held = divided(self, holdout)
        if split == "train":
            check_few(self, self.few, len(train))
            return fewer(train, part.labels, self.few, "few", holdout.seed) if self.few else train
        if not len(held):
            raise Refused(
                f"{self}: there is no validation part, {holdout.fraction} of {len(part.labels):,} examples are held "
                "out. Hold out a larger fraction, or evaluate on the test set."
            )
        return held

    def _ordered(self, split: Split, holdout: Holdout) -> Rows:
        """The same, the shortest texts first."""
        rows = self._rows(split, holdout)
        return rows[np.argsort(self._part(split).lengths[rows], kind="stable")]


def _slices(lengths: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Runs of ascending lengths whose padded numbers fit into the room; at least one text each."""
    if size < 1:
        raise Refused(f"batches of {size} examples: a batch has at least 1.")
    start = 0
    while start < len(lengths):
        stop = start + 1
        while stop < len(lengths) and stop - start < size and (stop + 1 - start) * lengths[stop] <= ROOM:
            stop += 1
        yield slice(start, stop)
        start = stop


@functools.lru_cache(maxsize=64)
def divided(task: TextTask, holdout: Holdout) -> tuple[Rows, Rows]:
    """The training rows and those held out, ascending."""
    return divided_by_class(task.prepared.train.labels, holdout)


@functools.lru_cache(maxsize=256)
def way(task: TextTask, holdout: Holdout, data: int) -> TextWay:
    """A seed's way through the task's training texts."""
    return TextWay(task._rows("train", holdout), task.prepared.train.lengths, task.pool, data)


def part_of(task: TextTask, split: Literal["train", "test"]) -> Texts:
    """The texts themselves, for a person to read."""
    corpus = task.asked.corpus
    return corpora.of_domains(corpus.train if split == "train" else corpus.test, task.domains)
