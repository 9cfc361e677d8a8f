"""How far a run of a study is, by its events: what is done, what runs, what failed, how long the rest may take."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tombola.study.events import Event

START = 5.0  # Seconds for which the number of workers stands in for the pace that is measured.
MOST = 300  # Letters of a call: no terminal is wider.


@dataclasses.dataclass(slots=True)
class Running:
    """A step that runs: what it is, how far, and what it told last."""

    function: str
    what: str
    started: float
    share: float = 0.0
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Left:
    """The time that the rest may take; `least` where some of its steps are of a kind that nothing is known of."""

    seconds: float
    least: bool


class Tally:
    """The state of a run from its first event on, changed by events alone; whoever asks it says what time it is."""

    def __init__(self, run: Event) -> None:
        self.study, self.workers, self.stored, self.outcome = (
            str(run["study"]),
            max(1, run["workers"]),
            run["stored"],
            "",
        )
        self.todo: Counter[str] = Counter(run["todo"])
        self.seconds_left: float | None = run.get("seconds_left")
        self.started: float = run["time"]
        self.running: dict[str, Running] = {}
        self.finished: dict[str, str] = {}  # Keys and their functions; so are the next two.
        self.failed: dict[str, str] = {}
        self.blocked: dict[str, str] = {}
        self.loaded = 0
        self._ended: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()

    @property
    def all(self) -> int:
        """The steps of the study: stored before, and to do."""
        return self.stored + self.todo.total()

    @property
    def done(self) -> int:
        """The steps that are finished, before or now."""
        return self.stored + len(self.finished)

    @property
    def waiting(self) -> int:
        """The steps that have not begun, and may still."""
        ended = len(self.finished) + len(self.failed) + len(self.blocked)
        return max(0, self.todo.total() - ended - len(self.running))

    @property
    def share(self) -> float:
        """The share of all steps that is done; what runs counts by its progress."""
        under_way = sum(job.share for job in self.running.values())
        return min(1.0, (self.done + under_way) / self.all) if self.all else 0.0

    def see(self, event: Event) -> None:
        """Take in one event; those that change nothing here are passed over."""
        if happened := getattr(self, f"_see_{event['event']}", None):
            happened(event)

    def left(self, now: float) -> Left | None:
        """The time that is left, or None where nothing is known.

        A step takes the mean of those of its function that were made in this run, else what those that run are heading
        for, else its part of the time that was foreseen. The pace (seconds of work done in a second of time) is the
        number of workers at first and the one that was measured later: a chain of steps leaves workers idle.
        """
        means = self._means(now)
        rest = {function: n - self._ended[function] for function, n in self.todo.items()}
        rest = {function: n for function, n in rest.items() if n > 0}
        unknown = {function for function in rest if function not in means}
        work = sum(means[function] * n for function, n in rest.items() if function in means)
        if unknown and self.seconds_left is not None:
            foreseen = self.seconds_left - sum(means[f] * n for f, n in self.todo.items() if f in means)
            work += max(0.0, foreseen) * sum(rest[f] for f in unknown) / sum(self.todo[f] for f in unknown)
            unknown = set()
        if not work:
            return None if unknown or not rest else Left(0.0, least=False)
        spent = sum(min(now - job.started, means.get(job.function, 0.0)) for job in self.running.values())
        elapsed = max(0.0, now - self.started)
        workers = min(self.workers, sum(rest.values()))
        pace = (self._spent.total() + spent + workers * START) / (elapsed + START)
        return Left(max(0.0, work - spent) / pace, least=bool(unknown))

    def _means(self, now: float) -> dict[str, float]:
        means = {function: self._spent[function] / n for function, n in self._made.items()}
        heading: dict[str, list[float]] = {}
        for job in self.running.values():
            if job.function not in means and job.share >= 0.02:
                heading.setdefault(job.function, []).append((now - job.started) / job.share)
        return means | {function: sum(seconds) / len(seconds) for function, seconds in heading.items()}

    def _see_start(self, event: Event) -> None:
        self._again(event["key"])
        self.running[event["key"]] = Running(event["function"], what(event), event["time"])

    def _see_progress(self, event: Event) -> None:
        if (job := self.running.get(event["key"])) is None:
            return
        step, steps = event.get("step", 0), event.get("steps", 0)
        job.share = min(1.0, step / steps) if steps else 0.0
        job.note = f"{step:,} of {steps:,}"
        if isinstance(loss := event.get("loss"), int | float):
            job.note += f" · loss {loss:.4f}" if abs(loss) >= 0.001 or loss == 0 else f" · loss {loss:.1e}"

    def _see_done(self, event: Event) -> None:
        if self._finish(event):
            self._made[event["function"]] += 1
            self._spent[event["function"]] += event["seconds"]

    def _see_loaded(self, event: Event) -> None:
        self.loaded += self._finish(event)

    def _finish(self, event: Event) -> bool:
        """Whether that is news: a store tells every time that it loads."""
        self.running.pop(event["key"], None)
        if event["key"] in self.finished:
            return False
        self._again(event["key"])
        self.finished[event["key"]] = event["function"]
        self._ended[event["function"]] += 1
        return True

    def _see_failed(self, event: Event) -> None:
        self._again(event["key"])
        self.failed[event["key"]] = event["function"]
        self._ended[event["function"]] += 1

    def _see_blocked(self, event: Event) -> None:
        self._again(event["key"])
        self.blocked[event["key"]] = event["function"]
        self._ended[event["function"]] += 1

    def _see_lost(self, event: Event) -> None:
        self.running.pop(event["key"], None)

    def _see_damaged(self, event: Event) -> None:
        if event["key"] not in self.finished and self.stored:  # It was counted among those that were there.
            self.stored -= 1
            self.todo[event["function"]] += 1
        self._again(event["key"])

    def _see_end(self, event: Event) -> None:
        self.outcome = event["outcome"]
        self.running.clear()

    def _again(self, key: str) -> None:
        """Forget how a step ended, if it did: it is under way once more."""
        self.running.pop(key, None)
        for ended in (self.finished, self.failed, self.blocked):
            if key in ended:
                self._ended[ended.pop(key)] -= 1


def what(event: Event) -> str:
    """What a step is called in one line: its function and the labels of its goal, or the call where it has none.

    Example:
        >>> what({"function": "train", "labels": {"name": "ticket", "level": 3}, "call": "train(...)"})
        'train name=ticket level=3'
    """
    labels: Mapping[str, Any] = event.get("labels") or {}
    words = " ".join(f"{name}={value}" for name, value in labels.items())
    return plain(f"{event['function']} {words}" if words else (event.get("call") or event["key"])[:MOST])


def plain(text: str) -> str:
    """A text on one line, without what would steer a terminal.

    Example:
        >>> plain(chr(27) + "[31mred" + chr(10) + "next")
        ' [31mred next'
    """
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
