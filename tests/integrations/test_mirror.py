"""A mirror is a guest: whatever happens to it, the study goes on; and a log can be mirrored later."""

import logging
import pathlib
import sys
import threading
import time
from typing import Any, ClassVar

import pytest

from tests.integrations.toys import STUDY, Shelf, begun, progress, row, start, the_events, written
from tombola.core import catalogue
from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.text import parse
from tombola.integrations import mirror as module
from tombola.integrations.mirror import Mirror, Sink, mirror
from tombola.study.events import Watcher

BOOKS: list[Shelf] = []


@plugin("sink", "shelf_of_a_test")
class ShelfSink(Sink):
    """A sink that keeps its books where the test can see them."""

    trouble: str = ""

    library: ClassVar[str] = "json"

    def book(self, study: str, folder: pathlib.Path) -> Any:
        if self.trouble == "at the door":
            raise ConnectionError("no route to the host")
        BOOKS.append(Broken(self.trouble) if self.trouble else Shelf())
        return BOOKS[-1]


class Broken(Shelf):
    """A book that fails, exits or hangs at its first page."""

    def __init__(self, trouble: str) -> None:
        super().__init__()
        self.trouble, self.tried = trouble, 0

    def page(self, card: Any) -> Any:
        self.tried += 1
        if self.trouble == "hangs":
            threading.Event().wait(60)
        raise SystemExit(1) if self.trouble == "exits" else ConnectionError("server gone")


@pytest.fixture(autouse=True)
def _no_books() -> None:
    BOOKS.clear()


def shipped() -> list[str]:
    return [entry.name for entry in catalogue.entries("sink") if entry.module.startswith("tombola.")]


def test_the_four_are_in_the_catalogue():
    assert shipped() == ["mlflow", "tensorboard", "trackio", "wandb"]


@pytest.mark.parametrize("name", shipped())
def test_a_library_that_is_absent_is_named_with_the_way_out(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
):
    monkeypatch.setitem(sys.modules, name, None)  # Python raises a ModuleNotFoundError for it.
    with pytest.raises(Refused) as caught:
        parse("sink", name).open(STUDY, tmp_path)
    assert str(caught.value) == f"{name} needs {name}, which is not installed: pip install 'tombola[{name}]'"
    assert not list(tmp_path.iterdir())


def test_a_library_that_is_broken_is_not_called_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    (tmp_path / "broken_library.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ShelfSink, "library", "broken_library")
    with pytest.raises(Refused, match="broken_library cannot be imported: No module named 'no_such_module'"):
        ShelfSink().open(STUDY, tmp_path)


def test_a_study_is_mirrored_while_it_runs(tmp_path: pathlib.Path):
    with ShelfSink().open(STUDY, tmp_path) as mirrored:
        assert isinstance(mirrored, Mirror) and isinstance(mirrored, Watcher)
        for event in the_events():
            mirrored(event)
    (book,) = BOOKS
    assert [page.end is not None for page in book.pages] == [True] * 4 and book.outcome == "failed"


@pytest.mark.parametrize("trouble", ["fails", "exits", "at the door"])
def test_the_first_failure_ends_it_with_one_warning(
    trouble: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
):
    with ShelfSink(trouble=trouble).open(STUDY, tmp_path) as mirrored:
        for event in the_events() * 3:
            mirrored(event)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"shelf_of_a_test(trouble='{trouble}') failed and is switched off; the study goes on." in record.getMessage()
    assert all(book.tried == 1 for book in BOOKS)


def test_one_that_hangs_is_left_behind(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    with ShelfSink(trouble="hangs").open(STUDY, tmp_path) as mirrored:
        began = time.perf_counter()
        for event in [begun(), start(1, 1), *(progress(2, 1, step, 0.5) for step in range(1000)), row(3, 1, 0.9)]:
            mirrored(event)
        assert time.perf_counter() - began < 0.1
        assert mirrored._left_out > 900 and mirrored._waiting.qsize() < 20
        began = time.perf_counter()
    assert time.perf_counter() - began < 2
    assert "does not answer and is left behind" in caplog.text


def test_an_error_of_the_study_is_passed_on(tmp_path: pathlib.Path):
    with pytest.raises(ZeroDivisionError), ShelfSink().open(STUDY, tmp_path) as mirrored:
        mirrored(begun())
        raise ZeroDivisionError
    assert BOOKS[0].outcome == ""


def test_a_log_is_mirrored_later_and_only_once(log: pathlib.Path):
    assert mirror(log, ShelfSink()) == 3
    assert mirror(log, ShelfSink()) == 0
    assert [len(book.pages) for book in BOOKS] == [4, 0]
    (ledger,) = (log.parent / "mirrored").iterdir()
    ledger.unlink()
    assert mirror(log, ShelfSink()) == 3


def test_what_was_mirrored_live_is_not_mirrored_again(log: pathlib.Path):
    with ShelfSink().open(STUDY, log.parent) as mirrored:
        for event in the_events():
            mirrored(event)
    assert mirror(log, ShelfSink()) == 0


def test_other_settings_are_another_study(tmp_path: pathlib.Path):
    events = [*the_events(), begun(50, "depth.py(levels=9)"), row(51, 0, 0.97)]
    assert mirror(written(tmp_path / "s" / "events.jsonl", events), ShelfSink()) == 4
    assert [{page.card.study for page in book.pages} for book in BOOKS] == [{STUDY}, {"depth.py(levels=9)"}]


def test_a_replay_raises_what_goes_wrong(log: pathlib.Path):
    with pytest.raises(ConnectionError):
        mirror(log, ShelfSink(trouble="fails"))


def test_wrong_logs_are_refused(tmp_path: pathlib.Path):
    with pytest.raises(Refused, match=r"there is no log .*none\.jsonl to mirror"):
        mirror(tmp_path / "none.jsonl", ShelfSink())
    with pytest.raises(Refused, match="tells of no run of a study"):
        mirror(written(tmp_path / "s" / "events.jsonl", [row(1, 1, 0.5)]), ShelfSink())
