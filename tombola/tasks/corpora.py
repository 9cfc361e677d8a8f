"""Labelled texts of several domains: read from a folder or the hub, cleaned, and divided where they are not.

Cleaning drops empty texts and repeats. Two texts are the same if they differ in white space only. A training text that
stands in the test part of any domain is taken out of the training part: it would be tested on what it was trained on.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tombola.core.errors import Damaged, Refused, unknown
from tombola.tasks.arrays import Labels
from tombola.tasks.sources import Source
from tombola.tasks.subsets import warn_of_absent


class Texts(NamedTuple):
    """Texts with their labels, from 0 on, and the names of their domains."""

    texts: tuple[str, ...]
    labels: Labels
    domains: tuple[str, ...]


class Corpus(NamedTuple):
    """Training and test texts of all domains that were read."""

    train: Texts
    test: Texts
    classes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Library:
    """A set of texts and how it is read.

    `source` says where it is. Of its columns `label` holds whole numbers from 0 on or names of classes, or with `stars`
    a rating: 1 and 2 are class 0, 4 and 5 are class 1, and 3 is dropped (Desai et al. 2019, after Peng et al. 2018).
    `domain` is a column, or "" where each domain has a file of its own, named `file` with {domain} in it, of which the
    first `scan` rows are looked at (0: all). A set without a division has the test part of its source empty: then each
    class of each domain gives `division` examples to training and test.
    """

    source: Source
    text: str = "text"
    domain: str = "domain"
    stars: str = ""
    file: str = ""
    division: tuple[int, int] = (0, 0)
    scan: int = 0

    @property
    def alone(self) -> bool:
        """Whether only the domains that are asked for are read: of other sets all are, and cleaned together."""
        return bool(self.file) or not self.source.test


def plain(text: str) -> str:
    """A text with single blanks for white space: what says whether two are the same."""
    return " ".join(text.split())


def mark(text: str) -> bytes:
    """Sixteen bytes that stand for a text."""
    return hashlib.blake2b(plain(text).encode(), digest_size=16).digest()


def cleaned(corpus: Corpus) -> Corpus:
    """Without empty texts, without repeats in a part, and without training texts that stand in the test part.

    Example:
        >>> train = Texts(("a b", "", "c", "a  b", "d"), np.array([0, 0, 1, 0, 1]), ("x",) * 5)
        >>> test = Texts(("d", "e"), np.array([1, 0]), ("y",) * 2)
        >>> cleaned(Corpus(train, test, 2)).train.texts
        ('a b', 'c')
    """
    tested = {mark(text) for text in corpus.test.texts}
    return corpus._replace(train=_distinct(corpus.train, tested), test=_distinct(corpus.test, set()))


def _distinct(part: Texts, known: set[bytes]) -> Texts:
    """The first of equal texts, unless it is known already; none that is empty."""
    seen, kept = set(known), list[int]()
    for at, text in enumerate(part.texts):
        if plain(text) and (own := mark(text)) not in seen:
            seen.add(own)
            kept.append(at)
    return chosen(part, kept)


def chosen(part: Texts, rows: Iterable[int]) -> Texts:
    """Some of the texts, in the order given."""
    rows = list(rows)
    texts, domains = (tuple(of[row] for row in rows) for of in (part.texts, part.domains))
    return Texts(texts, part.labels[np.array(rows, dtype=np.int64)], domains)


def of_domains(part: Texts, domains: tuple[str, ...]) -> Texts:
    """The texts of some domains."""
    return chosen(part, (row for row, domain in enumerate(part.domains) if domain in domains))


@functools.lru_cache(maxsize=4)
def read(library: Library, domains: tuple[str, ...]) -> Corpus:
    """All that a library has of these domains, cleaned; where a domain is a column, of all of them.

    Raises:
        Refused: If it is nowhere, a domain or a column is not in it, or a domain has too few texts.
        Damaged: If its files cannot be read, or hold bytes that are no text.
    """
    from tombola.tasks.textfiles import rows  # Imports `datasets`, which takes a second.

    source = library.source
    if not source.test:
        corpus = _divided(library, rows(library, source.train, domains), domains)
    else:
        splits = source.train, source.test
        found = numbered(library, [rows(library, split, domains) for split in splits])
        train, test = (_labelled(library, split, part) for split, part in zip(splits, found, strict=True))
        corpus = Corpus(train, test, 1 + int(max(train.labels.max(), test.labels.max())))
    if corpus.classes < 2:
        raise Refused(f"{source.name}: all labels in column '{source.label}' are alike, and to tell classes takes two.")
    there = sorted({*corpus.train.domains, *corpus.test.domains})
    for domain in domains:
        if domain not in there:
            if joined := [name for name in there if "+" in name]:
                raise Refused(
                    f"{source.name}: domain '{joined[0]}' has a '+' in its name, which joins domains here. Rename it "
                    f"in column '{library.domain}'."
                )
            raise unknown(f"domain of {source.name}", domain, there)
    corpus = cleaned(corpus)
    for what, part in (("training", corpus.train), ("test", corpus.test)):
        for domain in domains:
            if domain not in part.domains:
                raise Refused(
                    f"{source.name}: domain '{domain}' has no {what} text left, after empty and repeated ones were "
                    "taken out. Use another domain, or join it to one: domain='a+b'."
                )
    for domain in domains:
        warn_of_absent(f"{source.name}, '{domain}'", of_domains(corpus.train, (domain,)).labels, corpus.classes)
    return corpus


Row = tuple[str, int | str, str]
"""Text, label or stars, and domain."""


def numbered(library: Library, parts: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """Rows whose labels are numbers: where they are names of classes, their places in the order of all names.

    Raises:
        Refused: If some are names and some are numbers, or nearly every row has a name of its own.

    Example:
        >>> some = Library(source=Source(name="some"))
        >>> numbered(some, [[("Fine.", "good", "all"), ("Dull.", "bad", "all")] * 4, [("Bad.", "bad", "all")]])[1]
        [('Bad.', 0, 'all')]
    """
    labels = [label for part in parts for _, label, _ in part]
    names = sorted({label for label in labels if isinstance(label, str)})
    if not names:
        return [list(part) for part in parts]
    column = f"{library.source.name}: column '{library.source.label}'"
    if not all(isinstance(label, str) for label in labels):
        raise Refused(f"{column} holds numbers and names, such as {names[0]!r:.60}. Classes have the one or the other.")
    if 2 * len(names) > len(labels):
        raise Refused(
            f"{column} holds {len(names):,} different texts in {len(labels):,} rows, such as {names[0]!r:.60}: these "
            "are no classes. Name the column of classes: label='...'."
        )
    places = {name: place for place, name in enumerate(names)}
    return [[(text, places[str(label)], domain) for text, label, domain in part] for part in parts]


def _labelled(library: Library, split: str, found: list[Row]) -> Texts:
    if not found:
        raise Refused(f"{library.source.name}: split '{split}' is empty.")
    texts, labels, domains = (tuple(of) for of in zip(*found, strict=True))
    if (low := min(labels)) < 0:
        raise Refused(f"{library.source.name}: split '{split}' has a label of {low}. Labels are 0 or more.")
    return Texts(texts, np.array(labels, dtype=np.int64), domains)  # type: ignore[arg-type]


def _divided(library: Library, found: list[Row], domains: tuple[str, ...]) -> Corpus:
    """A set without parts of its own: as many of each class and domain, chosen and ordered by a digest of the text."""
    train, test = library.division
    pools: dict[tuple[str, int], dict[bytes, str]] = {(d, label): {} for d in domains for label in (0, 1)}
    there = dict.fromkeys(domains, False)
    for text, stars, domain in found:
        if domain in there:
            there[domain] = True
        label = _class(library, int(stars))
        if label is not None and domain in there and plain(text):
            pools[domain, label].setdefault(mark(text), text)
    parts: dict[str, list[Row]] = {"train": [], "test": []}
    for (domain, label), pool in pools.items():
        if not there[domain]:
            continue
        if len(pool) < train + test:
            raise Refused(
                f"{library.source.name}: domain '{domain}' has {len(pool):,} different texts of class {label} "
                f"(0: 1 or 2 stars, 1: 4 or 5 stars); {train:,} for training and {test:,} for testing are asked for. "
                "Ask for fewer, or read more of it."
            )
        order = sorted(pool)
        parts["test"] += [(pool[own], label, domain) for own in order[:test]]
        parts["train"] += [(pool[own], label, domain) for own in order[test : test + train]]
    if not parts["train"]:
        return Corpus(*(Texts((), np.zeros(0, dtype=np.int64), ()) for _ in range(2)), classes=2)
    return Corpus(_labelled(library, "train", parts["train"]), _labelled(library, "test", parts["test"]), 2)


def _class(library: Library, stars: int) -> int | None:
    if not 1 <= stars <= 5:
        raise Damaged(f"{library.source.name}: column '{library.stars}' holds {stars}. Stars are 1 to 5.")
    return None if stars == 3 else int(stars > 3)
