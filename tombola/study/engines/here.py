"""In this process, one call after the other: the simplest engine, and the one to debug with."""

from collections import deque
from collections.abc import Callable
from typing import Any

from tombola.study.deferred import Deferred
from tombola.study.engines.engine import Told
from tombola.study.execute import Outcome, perform
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
        self.submitted: deque[tuple[Deferred, Store]] = deque()

    def submit(self, call: Deferred, store: Store) -> str:
        """Take note of a call."""
        self.submitted.append((call, store))
        return "here"

    def wait(self, timeout: float) -> list[Outcome]:
        """Run the next call."""
        call, store = self.submitted.popleft()

        def tell(happening: str, facts: dict[str, Any]) -> None:
            self.hear(Told(call.key, happening, facts))

        return [perform(call.key, lambda: (call.function, call.call), str(store.folder), store.machine, tell)]

    def close(self, *, stop: bool) -> None:
        """There is nothing to let go of."""
