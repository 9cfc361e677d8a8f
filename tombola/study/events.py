"""What happens in a run of a study, told as it happens: to a log that only grows, and to whoever else watches."""

import errno
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from tombola.core.errors import Failed

Event = Mapping[str, Any]
"""Plain data with "time" (seconds since 1970), "event" and what belongs to it:

run: study, command, engine, workers, steps (of the graph), stored, todo (function -> number), seconds_left (or null)
start: key, function, call, labels (of the goal that is nearest, {} if there is none), worker
progress: key, function, step, steps and whatever else the step tells, such as loss
done: key, function, seconds, numbers
loaded: key, function (another process has made it in the meantime)
failed: key, function, call, error, traceback ("" where the message says all)
blocked: key, function, because (the key that failed)
lost: key, function, worker, why, attempt (the process that ran it died; it is tried again)
damaged: key, function, error, aside
row: key, labels, numbers, checks (a goal is reached; also told of those that were stored before)
end: outcome ("complete", "failed", "stopped"), done, failed, blocked, seconds
"""


@runtime_checkable
class Watcher(Protocol):
    """Is told of every event."""

    def __call__(self, event: Event) -> None:
        """One event."""
        ...


def event(happening: str, **facts: Any) -> Event:
    """An event of this moment."""
    return {"time": round(time.time(), 3), "event": happening, **facts}


class EventLog:
    """A watcher that adds a line of JSON to a file for every event; a line is written in one piece.

    A line of which a full disk takes a part only is lost, and no other: the next one begins anew.

    Raises:
        Failed: If the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self._torn = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":  # Whoever wrote last was killed in mid-line.
                self._torn = True
        except OSError as error:
            raise self._unwritable(error) from error

    def __call__(self, event: Event) -> None:
        """Add one line.

        Raises:
            Failed: If it cannot be written, or not to its end.
        """
        line = b"\n" * self._torn + json.dumps(event, default=str).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise self._unwritable(error) from error
        self._torn = written < len(line)
        if self._torn:
            raise self._unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _unwritable(self, error: OSError) -> Failed:
        return Failed(
            f"cannot write {self.path}: {error.strerror or error}. Free space there or name another (--store)."
        )

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The events of a log; a line that a killed process left half-written is passed over."""
    with open(path, "rb") as file:
        for line in file:
            try:
                found: Any = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and "event" in found:
                yield cast(dict[str, Any], found)


def failures(path: str | os.PathLike[str]) -> dict[str, str]:
    """Why calls failed that have not been done since, by key; none if there is no such log."""
    found: dict[str, str] = {}
    if os.path.exists(path):
        for one in read_events(path):
            if one["event"] == "failed":
                found[one["key"]] = one["error"]
            elif one["event"] in ("done", "loaded"):
                found.pop(one["key"], None)
    return found
