"""What a mirror shows: a book for each study, and in it a page for each training; made from events, tool by tool.

A page begins with the first progress of a step, its row or its failure; a step that tells none of these has no page.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from tombola.core.call import function_of
from tombola.study.events import Event

Number = int | float
NOTED = 5.0  # Seconds between two notes of how far a page is.
TICK = 0.0005  # Seconds; the times of events are whole milliseconds.


@dataclasses.dataclass(frozen=True)
class Card:
    """What a page is about. `id` is made of the study and the key: the same in every run, and in every replay."""

    study: str
    key: str
    function: str
    call: str
    labels: Mapping[str, Any]
    time: float

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return digest(f"{self.study}\0{self.key}")

    @property
    def name(self) -> str:
        """The labels, or the key where there are none."""
        return ", ".join(f"{name}={value}" for name, value in self.labels.items()) or self.key

    @property
    def settings(self) -> dict[str, Any]:
        """The labels, and where the page comes from."""
        return {**self.labels, "study": self.study, "key": self.key, "call": self.call}


@runtime_checkable
class Page(Protocol):
    """A training in some tool; `last` is the last step that the tool knows of it, -1 where there is none."""

    last: int

    def log(self, numbers: Mapping[str, Number], *, step: int, time: float) -> None:
        """Numbers of a step."""
        ...

    def finish(self, numbers: Mapping[str, Number], *, error: str, time: float) -> None:
        """The final numbers; `error` is what it failed of, "" where it did not."""
        ...

    def leave(self) -> None:
        """Let go of it: it is not finished."""
        ...


@runtime_checkable
class Book(Protocol):
    """A study in some tool."""

    def begin(self, run: Event) -> None:
        """A run of the study begins."""
        ...

    def page(self, card: Card) -> Page:
        """The page of a card: a new one, or the one that is there already."""
        ...

    def close(self, outcome: str, *, time: float) -> None:
        """The end: "complete", "failed", "stopped", or "" where the log does not say."""
        ...


class Ledger:
    """What was mirrored, a line of JSON at a time, so that a second replay adds nothing that is there."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path, self._entries = path, dict[str, dict[str, Any]]()
        self._until = dict[str, float]()
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                    self._entries[entry["key"]] = entry
                    self._until[entry["key"]] = entry["until"]
                except (ValueError, KeyError, TypeError):  # A killed process left half a line.
                    continue

    def done(self, key: str) -> bool:
        """Whether the final numbers were mirrored."""
        return self._entries.get(key, {}).get("done", False)

    def until(self, key: str) -> float:
        """The time before which the events of a step were mirrored by others, who came before."""
        return self._until.get(key, 0.0)

    def last(self, key: str) -> int:
        """The last step that was mirrored, or -1."""
        return self._entries.get(key, {}).get("last", -1)

    def note(self, key: str, *, until: float, last: int, done: bool = False) -> None:
        """Write down how far a page is."""
        self._entries[key] = {"key": key, "until": until, "last": last, "done": done}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a") as file:
            file.write("\n" * (self._half() and file.tell() > 0) + json.dumps(self._entries[key]) + "\n")

    def _half(self) -> bool:
        """Whether the last line was left half-written."""
        data = self.path.read_bytes()[-1:] if self.path.exists() else b""
        return data not in (b"", b"\n")


class Pages:
    """Turns the events of a study into the pages of a book; a watcher, and a context in which it is open."""

    def __init__(self, study: str, book: Book, ledger: Ledger) -> None:
        self.study, self.book, self.ledger, self.outcome = study, book, ledger, ""
        self.finished = 0
        self._cards: dict[str, Card] = {}
        self._open: dict[str, Page] = {}
        self._told: dict[str, float] = {}  # When the last event of a page was.
        self._noted: dict[str, float] = {}  # When that was noted last.
        self._ending: Event | None = None  # Done; its row may be the next event, and has more to say.
        self._time = 0.0

    def __enter__(self) -> Self:
        """Nothing happens before the first event."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Finish what is finished, leave what is not."""
        self._settle()
        for key, page in self._open.items():
            self.ledger.note(key, until=self._told[key], last=page.last)
            page.leave()
        self._open.clear()
        self.book.close(self.outcome, time=self._time or time.time())

    def __call__(self, event: Event) -> None:
        """Mirror one event."""
        happening, key = event["event"], event.get("key", "")
        self._time = max(self._time, event["time"])
        if self._ending is not None and not (happening == "row" and key == self._ending["key"]):
            self._settle()
        if happening == "run":
            self.outcome = ""
            self.book.begin(event)
        elif happening == "end":
            self.outcome = event["outcome"]
        elif happening == "start":
            self._cards[key] = self._card(event)
        elif self.ledger.done(key) or event["time"] < self.ledger.until(key):
            return
        elif happening == "progress":
            self._progress(event)
        elif happening == "done":
            self._ending = event
        elif happening == "row":
            self._ending = None
            self._finish(event, {**numbers(event["numbers"]), **checks(event["checks"])})
        elif happening == "failed":
            self._finish(event, {}, error=str(event["error"]))

    def _progress(self, event: Event) -> None:
        key, step = event["key"], event.get("step", 0)
        if key not in self._open and step <= self.ledger.last(key):
            return
        page = self._page(event)
        self._told[key] = event["time"]
        if step > page.last:
            page.log(numbers(event), step=step, time=event["time"])
            page.last = step
        if event["time"] - self._noted.setdefault(key, event["time"]) > NOTED:
            self._noted[key] = event["time"]
            self.ledger.note(key, until=event["time"], last=page.last)

    def _settle(self) -> None:
        """Finish the page of a step that is done and has no row; a step without a page stays without."""
        event, self._ending = self._ending, None
        if event is not None and (event["key"] in self._open or self.ledger.last(event["key"]) >= 0):
            self._finish(event, numbers(event["numbers"]))

    def _finish(self, event: Event, final: Mapping[str, Number], error: str = "") -> None:
        key, page = event["key"], self._page(event)
        page.finish(final, error=error, time=event["time"])
        self.ledger.note(key, until=event["time"] + TICK, last=page.last, done=not error)
        self.finished += not error
        for kept in (self._open, self._told, self._noted, self._cards):
            kept.pop(key, None)

    def _page(self, event: Event) -> Page:
        key = event["key"]
        if key not in self._open:
            page = self.book.page(self._cards.get(key) or self._card(event))
            page.last = max(page.last, self.ledger.last(key))
            self._open[key] = page
        return self._open[key]

    def _card(self, event: Event) -> Card:
        function = event.get("function") or function_of(event["key"])
        return Card(self.study, event["key"], function, event.get("call", ""), event.get("labels") or {}, event["time"])


def numbers(facts: Mapping[str, Any]) -> dict[str, Number]:
    """The numbers among some facts; those that count steps and seconds since 1970 are not meant.

    Example:
        >>> numbers({"event": "progress", "step": 5, "steps": 10, "time": 1.0, "loss": 0.5, "ok": True})
        {'loss': 0.5}
    """
    plain = {n: v for n, v in facts.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {name: value for name, value in plain.items() if name not in ("step", "steps", "time")}


def checks(held: Mapping[str, bool]) -> dict[str, Number]:
    """How many checks did not hold, where there were any."""
    return {"checks_failed": sum(not ok for ok in held.values())} if held else {}


def digest(text: str) -> str:
    """Sixteen hexadecimal digits of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def slug(text: str, *, most: int = 80) -> str:
    """A text as the name of a file or a folder.

    Example:
        >>> slug("depth.py(levels=3): a/b")
        'depth.py(levels=3)_a_b'
    """
    return re.sub(r"[^\w.=,()+-]+", "_", text, flags=re.ASCII).strip("._")[:most] or "unnamed"
