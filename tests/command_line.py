"""A command as a user types it, run in this process, and what it left behind."""

import contextlib
import json
import pathlib
import sys
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import pytest

from tombola import cli
from tombola.core import catalogue


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


@contextlib.contextmanager
def studies(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path, **texts: str) -> Generator[None]:
    """Work in a folder with these study files (`one="..."` is one.py); each test has its own of the same names."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(catalogue, "FILES", {})
    for name, text in texts.items():
        pathlib.Path(f"{name}.py").write_text(text)
    yield
    for name in texts:
        sys.modules.pop(f"tombola_use_{name}", None)
