"""In this process, one call after the other: the simplest engine, and the one to debug with."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tombola.core.call import Call
from tombola.study.deferred import Deferred
from tombola.study.engines.engine import Told
from tombola.study.execute import Outcome, perform
from tombola.study.step import Step
from tombola.study.store import Store


class Here:
    """Runs each call when its outcome is waited for.

    Args:
        hear: Is told at once what a call says while it runs; `wait` could only tell it afterwards.
    """

    name = "here"
    slots = 1

    def __init__(self, hear: Callable[[Told], None]) -> None:
        self.hear = hear
        self.submitted: deque[Iterator[Outcome]] = deque()

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        """Take note of calls."""
        wanted = [(call.key, functools.partial(_both, call)) for call in calls]
        self.submitted.append(perform(wanted, str(store.folder), store.machine, self._tell, reuse=store.reuse))
        return "here"

    def wait(self, timeout: float) -> list[Outcome]:
        """Run until the next call has ended."""
        outcome = next(self.submitted[0], None)
        if outcome is None:
            self.submitted.popleft()
        return [] if outcome is None else [outcome]

    def close(self, *, stop: bool) -> None:
        """Let go of what was taken on and has not ended."""
        self.submitted.clear()

    def _tell(self, key: str, happening: str, facts: dict[str, Any]) -> None:
        self.hear(Told(key, happening, facts))


def _both(call: Deferred) -> tuple[Step, Call]:
    return call.function, call.call
