"""The events of a small study as a run tells them, a book that is a list, and a stand-in for a library."""

import json
import pathlib
import types
from collections.abc import Callable, Mapping
from typing import Any

from tombola.integrations.pages import Card

STUDY = "depth.py(levels=3)"
KEYS = {level: f"train:{level:016x}" for level in range(4)}


def at(time: float, happening: str, **facts: Any) -> dict[str, Any]:
    return {"time": 1_800_000_000.0 + time, "event": happening, **facts}


def begun(time: float = 0.0, study: str = STUDY) -> dict[str, Any]:
    return at(time, "run", study=study, command="tombola run depth.py", engine="local", workers=2, steps=9, stored=1)


def labels(level: int) -> dict[str, Any]:
    return {"name": "ticket" if level else "dense", "level": level, "seed": 0}


def start(time: float, level: int) -> dict[str, Any]:
    call = f"train(ticket=cut:{level})"
    return at(time, "start", key=KEYS[level], function="train", call=call, labels=labels(level), worker="")


def progress(time: float, level: int, step: int, loss: float) -> dict[str, Any]:
    return at(time, "progress", key=KEYS[level], function="train", step=step, steps=20, loss=loss)


def row(time: float, level: int, accuracy: float) -> dict[str, Any]:
    held = {"dead weights are zero": True, "nested": level != 1}
    return at(time, "row", key=KEYS[level], labels=labels(level), numbers={"test_accuracy": accuracy}, checks=held)


def done(time: float, level: int, accuracy: float) -> dict[str, Any]:
    numbers = {"test_accuracy": accuracy}
    return at(time, "done", key=KEYS[level], function="train", seconds=2.0, numbers=numbers)


def the_events() -> list[dict[str, Any]]:
    """Level 0 was stored; 1 becomes a row; 2 is trained but no goal; 3 fails. A cut tells nothing."""
    return [
        begun(),
        row(0.1, 0, 0.97),
        at(0.2, "start", key="cut:1", function="cut", call="cut(keep=0.8)", labels={}, worker=""),
        at(0.3, "done", key="cut:1", function="cut", seconds=0.1, numbers={"density": 0.8}),
        *(start(0.4, level) for level in (1, 2, 3)),
        *(progress(1.0 + step, level, step, 1 / (1 + step)) for step in (0, 10, 20) for level in (1, 2)),
        progress(1.5, 3, 0, 1.0),
        progress(11.5, 3, 10, float("nan")),
        at(12.0, "failed", key=KEYS[3], function="train", call="train()", error="the loss is not finite", traceback=""),
        at(12.0, "blocked", key="cut:9", function="cut", because=KEYS[3]),
        done(22.0, 1, 0.91),
        row(22.0, 1, 0.91),
        done(22.1, 2, 0.92),
        at(23.0, "end", outcome="failed", done=3, failed=1, blocked=1, seconds=23.0),
    ]


def written(path: pathlib.Path, events: list[dict[str, Any]]) -> pathlib.Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


class Recorder(types.ModuleType):
    """A stand-in for a library: writes down every call of whatever it is asked for.

    `answers` gives what a call returns, by its name; other calls return a recorder of their own.
    """

    def __init__(self, name: str, calls: list[tuple[Any, ...]], answers: dict[str, Callable[..., Any]]) -> None:
        super().__init__(name)
        self.__dict__.update(_calls=calls, _answers=answers, __path__=[])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Recorder(f"{self.__name__}.{name}", self._calls, self._answers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._calls.append((self.__name__, args, kwargs))
        answer = self._answers.get(self.__name__)
        return answer(*args, **kwargs) if answer else Recorder(self.__name__ + "()", self._calls, self._answers)


class Paper:
    """A page that remembers what was written on it."""

    def __init__(self, card: Card, last: int) -> None:
        self.card, self.last, self.curve, self.end = card, last, [], None
        self.left = False

    def log(self, numbers: Mapping[str, float], *, step: int, time: float) -> None:
        self.curve.append((step, dict(numbers)))

    def finish(self, numbers: Mapping[str, float], *, error: str, time: float) -> None:
        assert self.end is None
        self.end = (dict(numbers), error)

    def leave(self) -> None:
        self.left = True


class Shelf:
    """A book whose pages can be looked at; `known` is the last step that it has of every page."""

    def __init__(self, known: int = -1) -> None:
        self.pages: list[Paper] = []
        self.known, self.runs, self.outcome = known, 0, None

    def begin(self, run: Mapping[str, Any]) -> None:
        self.runs += 1

    def page(self, card: Card) -> Paper:
        self.pages.append(Paper(card, self.known))
        return self.pages[-1]

    def close(self, outcome: str, *, time: float) -> None:
        self.outcome = outcome

    def of(self, level: int) -> Paper:
        (found,) = [page for page in self.pages if page.card.key == KEYS[level]]
        return found
