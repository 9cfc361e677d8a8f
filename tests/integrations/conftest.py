"""What the tests of the mirrors share."""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.integrations.toys import Recorder, the_events, written


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    """The log of a study that is over."""
    return written(tmp_path / "study" / "events.jsonl", the_events())


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """Puts a recorder in the place of modules and gives the list of calls: (name, arguments by place, by name)."""

    def put(*names: str, **answers: Callable[..., Any]) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []
        for name in names:
            found = {call.replace("__", "."): answer for call, answer in answers.items()}
            monkeypatch.setitem(sys.modules, name, Recorder(name, calls, found))
        return calls

    return put
