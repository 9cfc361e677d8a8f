"""What happens while it happens: a bar with the time left on a terminal, plain lines elsewhere; on standard error."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tombola.core.call import Call

PAUSE = 10.0  # Seconds between two plain lines.


class Live:
    """A listener that shows how many trainings are done, the latest loss, and the time left.

    Args:
        total: The number of trainings that are expected.
        title: What is being done.
    """

    def __init__(self, *, total: int, title: str) -> None:
        self.total, self.title, self.done, self.loaded, self.note = total, title, 0, 0, ""
        self.started = self.told = time.monotonic()
        self.seen: set[str] = set()
        self.console = Console(file=sys.stderr, markup=False, emoji=False)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trainings ·"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(title, total=float(total), note="")

    def __enter__(self) -> Self:
        """Start the display."""
        self.bar.start()
        self._line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()
        if kind is None:
            self._line()

    def __call__(self, happening: str, call: Call, **facts: Any) -> None:
        """Hear of one happening."""
        if happening == "damaged":
            self.console.print(f"{call.key} was damaged; it is set aside in {facts['aside']} and made again.")
        if call.function != "train":
            return
        share = 0.0
        if happening == "progress":
            share = facts["step"] / facts["steps"]
            self.note = f"step {facts['step']:,} of {facts['steps']:,} · loss {facts['loss']:.4f}"
        elif happening in ("done", "loaded") and call.key not in self.seen:
            self.seen.add(call.key)
            self.done += 1
            self.loaded += happening == "loaded"
            self.note = f"{self.loaded:,} of them loaded" if self.loaded else self.note
        self.bar.update(self.task, completed=min(self.total, self.done + share), note=self.note)
        if time.monotonic() - self.told > PAUSE:
            self._line()

    def _line(self) -> None:
        if self.console.is_terminal:
            return
        self.told = time.monotonic()
        spent = self.told - self.started
        left = (
            f", about {spent / self.done * (self.total - self.done):.0f} s left" if 0 < self.done < self.total else ""
        )
        done = f"{self.done} of {self.total} trainings" + (f" ({self.loaded} loaded)" if self.loaded else "")
        print(f"{self.title}: {done}, {spent:.0f} s{left}", file=sys.stderr, flush=True)
