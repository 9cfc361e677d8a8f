"""Texts as rows of token numbers: encoded once, kept on disk, the same for every task that asks for the same.

Shape legend: B texts of a batch, T tokens of the longest of them.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tombola.core.layout import PAD
from tombola.tasks import corpora, kept, sources, vocabulary
from tombola.tasks.arrays import Labels
from tombola.tasks.buckets import Rows
from tombola.tasks.corpora import Corpus, Library, Texts
from tombola.tasks.vocabulary import Options

VERSION = 1
"""Of cleaning, dividing and encoding: what was kept under another one is made again."""


class Encoded(NamedTuple):
    """A part as numbers: all tokens in a row, where each text ends, its label and the number of its domain."""

    tokens: NDArray[np.int32]
    ends: NDArray[np.int64]
    labels: Labels
    domains: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.ends, prepend=0)

    def padded(self, rows: Rows, *, to: int = 0) -> NDArray[np.int64]:
        """Some of the texts, (B, T), padded behind to the longest of them, or to a length; T is 1 at least."""
        ends, lengths = self.ends[rows], self.lengths[rows]
        places = np.arange(to or max(1, int(lengths.max())))
        found = places < lengths[:, None]
        at = np.where(found, (ends - lengths)[:, None] + places, 0)
        return np.where(found, self.tokens[at], PAD).astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Training and test texts as numbers, and the vocabulary that made them so."""

    train: Encoded
    test: Encoded
    classes: int
    model: bytes
    digest: str


class Asked(NamedTuple):
    """What decides the numbers: the texts of `domains`, in the vocabulary that the training texts of `shared` make."""

    library: Library
    domains: tuple[str, ...]
    shared: tuple[str, ...]
    options: Options
    longest: int

    @property
    def name(self) -> str:
        """The name of the file that keeps the numbers."""
        return self._named("texts", self)

    @property
    def corpus(self) -> Corpus:
        """The texts themselves, those of the vocabulary among them."""
        return corpora.read(self.library, tuple(dict.fromkeys((*self.shared, *self.domains))))

    def model(self) -> bytes:
        """The vocabulary of the shared domains, in their order."""
        name = self._named("vocabulary", (self.library, self.shared, self.options))
        if (found := kept.read(name)) is not None:
            return found["model"].tobytes()
        corpus, texts = self.corpus, list[str]()
        for domain in self.shared:
            texts += corpora.of_domains(corpus.train, (domain,)).texts
        model = vocabulary.learned(texts, self.options, tested=corpus.test.texts)
        kept.write(name, {"model": np.frombuffer(model, dtype=np.uint8)})
        return model

    def _named(self, what: str, asked: object) -> str:
        """A name made of all that decides what is in a file, and of where the texts come from."""
        source = self.library.source
        where = sources.cache_name(source, sources.locate(source))
        return f"{what}-{hashlib.sha256(repr((VERSION, where, asked)).encode()).hexdigest()[:24]}"


@functools.lru_cache(maxsize=32)
def prepared(asked: Asked) -> Prepared:
    """The texts as numbers: from the file that was kept, else read, cleaned, encoded and kept."""
    found = kept.read(asked.name)
    if found is None:
        found = _encoded(asked)
        train, test = (str(len(found[f"{split}_labels"])) for split in ("train", "test"))
        kept.write(asked.name, found, data=_content(found), train=train, test=test)
    train, test = (
        Encoded(*(found[f"{split}_{of}"] for of in ("tokens", "ends", "labels", "domains")))
        for split in ("train", "test")
    )
    return Prepared(train, test, int(found["classes"][0]), found["model"].tobytes(), _content(found))


def _content(found: Mapping[str, np.ndarray]) -> str:
    """The digest of numbers and labels; how the vocabulary is written down does not enter."""
    return kept.digest({key: value for key, value in found.items() if key != "model"})


def _encoded(asked: Asked) -> dict[str, np.ndarray]:
    corpus, model = asked.corpus, asked.model()
    found = {"model": np.frombuffer(model, dtype=np.uint8), "classes": np.array([corpus.classes])}
    for split, part in (("train", corpus.train), ("test", corpus.test)):
        found |= {f"{split}_{name}": value for name, value in _part(asked, model, part).items()}
    return found


def _part(asked: Asked, model: bytes, part: Texts) -> dict[str, np.ndarray]:
    own = corpora.of_domains(part, asked.domains)
    tokens, ends = vocabulary.encoded(model, own.texts, longest=asked.longest)
    domains = np.array([asked.domains.index(domain) for domain in own.domains], dtype=np.int64)
    return {"tokens": tokens, "ends": ends, "labels": own.labels, "domains": domains}
