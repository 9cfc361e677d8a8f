"""What an engine is to the driver: it takes calls, and tells of them until each is done, failed or lost."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from tombola.core.call import function_of
from tombola.study.deferred import Deferred
from tombola.study.events import Event, event
from tombola.study.execute import Outcome
from tombola.study.store import Store


@dataclasses.dataclass(frozen=True)
class Told:
    """A word from a job under way: "progress" or "damaged", with facts."""

    key: str
    happening: str
    facts: Mapping[str, Any]

    def event(self) -> Event:
        """The word as an event of the run."""
        return event(self.happening, **{"key": self.key, "function": function_of(self.key), **self.facts})


@dataclasses.dataclass(frozen=True)
class Lost:
    """The process that ran a job is gone, and why."""

    key: str
    why: str
    worker: str = ""


@runtime_checkable
class Engine(Protocol):
    """Runs jobs somewhere."""

    name: str

    @property
    def slots(self) -> int:
        """How many calls, or groups of calls that run together, it takes at once."""
        ...

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        """Begin a call, or several that run together; gives the name of who runs them.

        Raises:
            Refused: If they cannot be run there.
        """
        ...

    def wait(self, timeout: float) -> Iterable[Told | Outcome | Lost]:
        """What has been heard, waiting for a first word at most so many seconds."""
        ...

    def close(self, *, stop: bool) -> None:
        """Let go of everything; `stop` ends what is under way."""
        ...
