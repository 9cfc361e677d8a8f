"""A command as a user types it, run in this process, and what it left behind."""

import json
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tombola import cli


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON object and nothing else."""
        assert self.out.count("\n") == 1, self
        value = json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert isinstance(value, dict)
        return value


Run = Callable[..., Answer]


def runner(capsys: pytest.CaptureFixture[str], *first: str) -> Run:
    """What runs a command, with these words before those of each call."""

    def run(*words: str | pathlib.Path) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main([*first, *(str(word) for word in words)])
        out, err = capsys.readouterr()
        assert "Traceback (" not in out + err
        return Answer(int(stop.value.code or 0), out, err)

    return run
