"""Mirrors of a study in other tools: what happens here is shown there too, and nothing here depends on it."""

import importlib
import itertools
import logging
import os
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType, TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable

from tombola.core.errors import Refused
from tombola.core.plugin import registration_of
from tombola.integrations.pages import Book, Ledger, Pages, digest
from tombola.study.events import Event, read_events

log = logging.getLogger(__name__)

MOST_WAITING = 20_000  # Events; of more, those that tell of progress are left out.
PATIENCE = 30.0  # Seconds without any headway for which a finished study waits for its mirror.
IMPATIENCE = 5.0  # The same for a study that was interrupted.
SAID = 5.0  # Seconds of waiting after which it is said what is waited for.
WAY_OUT = "Bring it up to date from the study's log later: tombola mirror STUDY --to SINK."


@runtime_checkable
class Mirror(Protocol):
    """A watcher that is open from `with` to its end."""

    def __call__(self, event: Event) -> None:
        """One event."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End."""
        ...


class Sink:
    """What all plug-ins of the kind "sink" share. One of your own says which library it needs, and gives a book.

    Attributes:
        library: The module that must be there; its extra has the same name.
    """

    library: ClassVar[str]

    def book(self, study: str, folder: pathlib.Path) -> Book:
        """The study in the tool. It may be slow and may fail: it is called beside the study, not in its way."""
        raise NotImplementedError

    def ledger(self, study: str, folder: pathlib.Path) -> Ledger:
        """What was mirrored already; kept with the study."""
        name = f"{registration_of(self).name}-{digest(f'{self} {self.place()} {study}')[:8]}.jsonl"
        return Ledger(folder / "mirrored" / name)

    def place(self) -> str:
        """Where the tool keeps things, where the fields alone do not say so."""
        return ""

    def pages(self, study: str, folder: pathlib.Path) -> Pages:
        """A mirror without a guard: what goes wrong is raised."""
        return Pages(study, self.book(study, folder), self.ledger(study, folder))

    def open(self, study: str, folder: str | os.PathLike[str]) -> Mirror:
        """A mirror of a study that runs. Whatever happens to it, the study is neither stopped nor slowed.

        Args:
            study: Its name in the tool.
            folder: Where the study keeps what belongs to it.

        Raises:
            Refused: If the library is not there.
        """
        self.load()
        return Guarded(lambda: self.pages(study, pathlib.Path(folder)), name=str(self))

    def load(self) -> ModuleType:
        """The library.

        Raises:
            Refused: If it is not there.
        """
        name = registration_of(self).name
        try:
            return importlib.import_module(self.library)
        except ModuleNotFoundError as error:
            if error.name != self.library:
                raise Refused(f"{name}: {self.library} cannot be imported: {error}. Install it anew.") from error
            raise Refused(
                f"{name} needs {self.library}, which is not installed: pip install 'tombola[{self.library}]'"
            ) from error


class Guarded:
    """A mirror in a thread of its own. The first thing that goes wrong there ends it, with one warning."""

    def __init__(self, make: Callable[[], Pages], *, name: str) -> None:
        self.name, self.failed = name, False
        self._make = make
        self._waiting: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._left_out = self._seen = 0
        self._thread = threading.Thread(target=self._work, name=f"mirror {name}", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Wait until everything is mirrored, as long as there is headway."""
        self._waiting.put(None)
        patience, began = (PATIENCE if kind is None else IMPATIENCE), time.monotonic()
        seen, moved, said = self._seen, began, False
        while self._thread.is_alive() and time.monotonic() - moved < patience:
            self._thread.join(min(0.2, patience))
            if self._seen != seen:
                seen, moved = self._seen, time.monotonic()
            if not said and time.monotonic() - began > SAID:
                said = True
                log.warning(
                    "%s is behind by %d events; Ctrl-C leaves them. %s", self.name, self._waiting.qsize(), WAY_OUT
                )
        if self._thread.is_alive():
            self.failed = True  # So that the thread stops at the next event.
            log.warning("%s does not answer and is left behind the study. %s", self.name, WAY_OUT)
        elif self._left_out and not self.failed:
            log.warning("%s could not keep up: %d points of curves are left out.", self.name, self._left_out)

    def __call__(self, event: Event) -> None:
        """Put it where the thread finds it."""
        if self.failed:
            return
        if event["event"] == "progress" and self._waiting.qsize() >= MOST_WAITING:
            self._left_out += 1
            return
        self._waiting.put(event)

    def _work(self) -> None:
        try:
            with self._make() as pages:
                while (event := self._waiting.get()) is not None and not self.failed:
                    pages(event)
                    self._seen += 1
        except (Exception, SystemExit) as error:  # Whatever a tool may raise: the study comes first.
            self.failed = True
            log.warning(
                "%s failed and is switched off; the study goes on. %s: %s. %s",
                self.name,
                type(error).__name__,
                error,
                WAY_OUT,
            )


def mirror(log_path: str | os.PathLike[str], sink: Sink) -> int:
    """Replay the log of a study into a tool, also one that still grows; what was mirrored before is not sent again.

    Returns:
        The number of trainings whose final numbers are new there.

    Raises:
        Refused: If there is no such log, no run in it, or the library is not there.
    """
    path, finished, known = pathlib.Path(log_path), 0, False
    if not path.is_file():
        raise Refused(f"there is no log {path} to mirror. A study writes one when it runs.")
    sink.load()
    for study, told in itertools.groupby(_by_study(read_events(path)), key=lambda pair: pair[0]):
        known = True
        with sink.pages(study, path.parent) as pages:
            for _, event in told:
                pages(event)
        finished += pages.finished
    if not known:
        raise Refused(f"{path} tells of no run of a study. Give the log that a study wrote when it ran.")
    return finished


def _by_study(events: Iterable[Event]) -> Iterator[tuple[str, Event]]:
    """Each event with the study that it belongs to: with other settings it is another one."""
    study = ""
    for event in events:
        study = str(event["study"]) if event["event"] == "run" else study
        if study:
            yield study, event
