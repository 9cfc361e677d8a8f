"""What happened to a ticket, in order: the calls in text form, their keys, and what came out of each."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from tombola.core.call import Call, function_of
from tombola.core.errors import Damaged, Refused
from tombola.core.text import references

TRAININGS = ("train", "repel")
"""The verbs that end in a trained network."""
JOINING = ("merge", "align", "repel")
"""The verbs that take what comes from several chains."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One call: its text, its key, and the digest of the content that it gave."""

    call: str
    key: str
    digest: str

    @property
    def function(self) -> str:
        """The name of the function that was called."""
        return function_of(self.key)


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The calls behind a ticket or a trained network, oldest first; of what was merged, those of all its parts.

    Example:
        >>> lineage = Lineage().then(Call("draw", 1, {}), digest="00").then(Call("cut", 1, {"keep": 0.8}), digest="01")
        >>> lineage.count("cut"), lineage.last.call
        (1, 'cut(keep=0.8)')
    """

    events: tuple[Event, ...] = ()

    def __iter__(self) -> Iterator[Event]:
        """Oldest first."""
        return iter(self.events)

    def __len__(self) -> int:
        """The number of calls."""
        return len(self.events)

    def then(self, call: Call, *, digest: str) -> "Lineage":
        """One call more."""
        return Lineage((*self.events, Event(call.text, call.key, digest)))

    def count(self, function: str) -> int:
        """How often a function was called."""
        return sum(event.function == function for event in self.events)

    def longest(self, functions: Collection[str]) -> int:
        """The most calls of some functions of which each builds on the one before.

        In a chain these are all of them. Where several chains were merged, it is what the longest of them has.
        """
        if not any(self.count(one) for one in JOINING):
            return sum(event.function in functions for event in self.events)
        most, last = dict[str, int](), 0
        for event in self.events:
            own = 0 if event.function == "draw" else last  # What was changed by hand has a key that no call gave.
            last = max((most.get(key, own) for key in _behind(event)), default=own)
            last += event.function in functions
            most[event.key] = last
        return last

    def chain(self) -> Iterator[Event]:
        """The calls behind the last one, latest first, without those of what it was only repelled from."""
        if not self.count("repel"):
            yield from reversed(self.events)
            return
        made, place = {event.key: place for place, event in enumerate(self.events)}, len(self.events) - 1
        while place >= 0:
            event = self.events[place]
            yield event
            found = [made[key] for key in _behind(event) if key in made]
            place = -1 if event.function == "draw" else max(found, default=place - 1)

    @property
    def last(self) -> Event:
        """The latest call; an empty event if there is none."""
        return self.events[-1] if self.events else Event("", "", "")

    def key_for(self, digest: str, *, otherwise: str) -> str:
        """The key of the latest call if it gave this content; else a key made of the content itself.

        So a value that was changed by hand never passes for the one that the call gave.
        """
        return self.last.key if self.events and self.last.digest == digest else f"{otherwise}:{digest[:16]}"

    def to_json(self) -> list[list[str]]:
        """Plain data: `[call, key, digest]` for each event."""
        return [[event.call, event.key, event.digest] for event in self.events]

    @classmethod
    def from_json(cls, data: Any) -> "Lineage":
        """The inverse of `to_json`.

        Raises:
            Damaged: If the data are not of that form.
        """
        if not isinstance(data, list):
            raise Damaged("the lineage is not a list of events.")
        events: list[Event] = []
        for item in cast(list[Any], data):
            parts = cast(list[Any], item) if isinstance(item, list) else []
            if len(parts) != 3 or not all(isinstance(part, str) for part in parts):
                raise Damaged("the lineage holds an event that is not [call, key, digest].")
            events.append(Event(*parts))
        return cls(tuple(events))


def _behind(event: Event) -> list[str]:
    """The keys of what a call builds on: a training that is repelled, on its ticket and not on the others."""
    return references(event.call)[: 1 if event.function == "repel" else None]


def is_training(key: str) -> bool:
    """Whether a key is that of a training.

    Example:
        >>> is_training("train:0123456789abcdef"), is_training("cut:0123456789abcdef")
        (True, False)
    """
    return function_of(key) in TRAININGS


def joined(what: str, lineages: Iterable[Lineage]) -> Lineage:
    """Every call once, oldest first.

    Raises:
        Refused: If two histories contradict each other: a lineage has one result under a key.
    """
    events = tuple(dict.fromkeys(event for lineage in lineages for event in lineage))
    digests: dict[str, str] = {}
    for event in events:
        if digests.setdefault(event.key, event.digest) != event.digest:
            raise Refused(
                f"{what}: {event.key} gave one result behind one of the inputs and another one behind another, as "
                "happens between machines. Make both from one of them."
            )
    return Lineage(events)
