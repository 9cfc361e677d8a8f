"""What a reader of the terminal, or of a file, gets to see of a run."""

import io
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tombola.core.call import Call
from tombola.report import live as module
from tombola.report.live import Live
from tombola.study.events import Event, Watcher, event
from tombola.study.step import Listener

STUDY = "Does a ticket found at depth 20 still win at 14?"


class Screen(io.StringIO):
    """Something like a terminal; what it was sent can be read."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """Standard error whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Screen]:
    def make(*, width: int = 100, height: int = 30, file: type[io.StringIO] = Screen) -> Any:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": width, "LINES": height}.items():
            monkeypatch.setenv(name, str(value))
        made = file()
        monkeypatch.setattr(sys, "stderr", made)
        return made

    return make


def run(*, workers: int = 2, stored: int = 0, **todo: int) -> Event:
    return event("run", study=STUDY, workers=workers, stored=stored, todo=todo, seconds_left=None)


def start(number: int, **labels: Any) -> Event:
    call = f"train(ticket=cut:{number:04})"
    return event("start", key=f"train:{number}", function="train", call=call, labels=labels, worker="")


def progress(number: int, step: int, loss: float = 0.5) -> Event:
    return event("progress", key=f"train:{number}", function="train", step=step, steps=1000, loss=loss)


def failed(number: int, error: str) -> Event:
    return event("failed", key=f"train:{number}", function="train", call="train()", error=error, traceback="")


def picture(live: Live) -> list[str]:
    """The lines of the display, as wide as they are drawn."""
    paper = Console(file=io.StringIO(), width=live.console.width, height=live.console.height, color_system=None)
    with paper.capture() as captured:
        paper.print(live._picture())
    return captured.get().rstrip("\n").split("\n")


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_it_is_a_watcher_and_its_listen_a_listener():
    live = Live("x")
    assert isinstance(live, Watcher) and isinstance(live.listen, Listener)


def test_the_display_names_what_is_done_what_runs_and_what_failed(terminal: Callable[..., Screen]):
    screen = terminal(width=100)
    with Live() as live:
        live(run(stored=60, train=30, cut=10))
        for number in range(3):
            live(start(number, name="ticket", level=number, seed=0))
        live(progress(1, 250, loss=0.125))
        live(failed(2, "the loss is not finite\nand more"))
        title, total, counts, *jobs = picture(live)
        assert title == STUDY
        assert " 60 of 100 steps · 0 s · at least " in total and total.startswith("━" * 14 + "─" * 10)
        assert counts == "60 done · 2 running · 37 waiting · 1 failed · 60 stored before"
        assert jobs[0] == "  train name=ticket level=0 seed=0"
        assert jobs[1].startswith("  train name=ticket level=1 seed=0 ") and len(jobs[1]) == 100
        assert jobs[1].endswith(" ━━━───────── 250 of 1,000 · loss 0.1250") and len(jobs) == 2
        live(event("end", outcome="failed", done=0, failed=1, blocked=0, seconds=1.0))
    shown = bare(screen.getvalue())
    assert "failed: train name=ticket level=2 seed=0 (train:2): the loss is not finite" in shown
    assert "and more" not in shown
    assert "0 running" in shown.splitlines()[-1] and "not complete" in shown.splitlines()[-2]


@pytest.mark.parametrize("width", [20, 40, 69, 70, 120])
@pytest.mark.parametrize("height", [6, 10, 50])
def test_no_line_is_wider_and_no_display_higher_than_the_terminal(
    terminal: Callable[..., Screen], width: int, height: int
):
    terminal(width=width, height=height)
    live = Live()
    live(run(stored=10, train=1000, cut=1000))
    for number in range(50):
        live(start(number, name="a name that is rather long 长长长", level=number, seed=0))
        live(progress(number, 20 * number))
    lines = picture(live)
    assert all(module.cell_len(line) <= width for line in lines)
    assert len(lines) <= min(height, 3 + module.MOST_LINES)
    assert lines[-1] == f"  and {50 - (len(lines) - 4)} more"


def test_a_terminal_that_knows_only_ascii_gets_ascii(terminal: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Screen, "encoding", "ascii")
    terminal()
    live = Live()
    live(run(train=2))
    live(start(0, name="té"))
    live(progress(0, 500))
    assert all(line.isascii() for line in picture(live))
    assert "  train name=t? " in picture(live)[3] and "######------ 500 of 1,000 - loss" in picture(live)[3]


def test_no_color_is_respected(terminal: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch):
    screen = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    with Live() as live:
        live(run(train=2))
        live(start(0))
        live(progress(0, 500))
        live._screen.refresh()
    assert "━" in screen.getvalue() and not re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.getvalue())


def test_a_file_gets_plain_lines(terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    screen = terminal(file=io.StringIO)
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich would take the file for a terminal.
    with Live() as live:
        live(run(train=3))
        for number in range(3):
            live(start(number, name="ticket"))
            live(progress(number, 10))
        live(event("done", key="train:0", function="train", seconds=2.0, numbers={}))
        live(failed(1, "boom \x1b[31m\nsecond line"))
        live(event("end", outcome="failed", done=1, failed=1, blocked=0, seconds=1.0))
    assert screen.getvalue().splitlines() == [
        f"{STUDY}: 0 of 3 steps, 0 s",
        "failed: train name=ticket (train:1): boom  [31m",
        f"{STUDY}: 1 of 3 steps, 1 failed, 0 s, not complete",
    ]
    assert "\x1b" not in screen.getvalue() and "\r" not in screen.getvalue()


def test_plain_lines_keep_their_distance(terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    screen = terminal(file=io.StringIO)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    live = Live()
    live(run(train=3))
    live(start(0))
    for second in range(1, 26):
        clock[0] = float(second)
        live(progress(0, second))
    assert len(screen.getvalue().splitlines()) == 3  # At 0, 11 and 22 seconds.


@pytest.mark.parametrize("terminal_is_there", [True, False])
def test_a_terminal_that_is_gone_stops_nothing(terminal: Callable[..., Any], terminal_is_there: bool):
    terminal(file=type("Gone", (Broken,), {"isatty": lambda self: terminal_is_there}))
    with Live() as live:
        live(run(train=3))
        live(failed(1, "boom"))
        assert live.tally is not None and len(live.tally.failed) == 1


def test_lost_and_damaged_results_are_named(terminal: Callable[..., Any]):
    screen = terminal(file=io.StringIO)
    live = Live()
    live(run(train=3))
    live(start(0, name="ticket"))
    live(event("lost", key="train:0", function="train", worker="1", why="killed by signal 9", attempt=1))
    live(event("damaged", key="train:9", function="train", error="checksum", aside="runs/damaged/x"))
    lines = screen.getvalue().splitlines()
    assert lines[1:] == [
        "lost: train name=ticket (train:0): killed by signal 9. It is tried again.",
        "train:9 was damaged; it is set aside in runs/damaged/x and made again.",
    ]


def test_a_call_draws_nothing(terminal: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch):
    """It takes note and is gone: all drawing is done by the thread that redraws, and at the start and the end."""
    screen, drawing, picture = terminal(), list[int](), Live._picture

    def drawn(self: Live) -> Any:
        drawing.append(threading.get_ident())
        return picture(self)

    monkeypatch.setattr(Live, "_picture", drawn)
    with Live() as live:
        live(run(train=100))
        live(start(0, name="ticket"))
        before = drawing.count(threading.get_ident())
        assert before == 1  # The start.
        for done in range(1000):
            live(progress(0, done))
        assert drawing.count(threading.get_ident()) == before
    assert drawing.count(threading.get_ident()) > before and "ticket" in screen.getvalue()


def test_events_may_come_while_it_is_drawn(terminal: Callable[..., Screen]):
    terminal()
    live, stop, errors = Live(), threading.Event(), []

    def draw() -> None:
        while not stop.is_set():
            try:
                live._picture()
            except RuntimeError as error:
                errors.append(error)

    thread = threading.Thread(target=draw)
    live(run(train=1000))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    for number in range(1000):
        live(start(number))
        live(event("done", key=f"train:{number - 200}", function="train", seconds=1.0, numbers={}))
    stop.set()
    thread.join()
    sys.setswitchinterval(before)
    assert not errors


def test_a_store_is_listened_to(terminal: Callable[..., Any]):
    """Trainings are counted, each once; other calls are not."""
    screen = terminal(file=io.StringIO)
    first, second, draw = (Call(name, 1, {"seed": n}) for name, n in (("train", 1), ("train", 2), ("draw", 1)))
    with Live("mlp() on digits()", total=3) as live:
        for _ in range(2):
            live.listen("start", draw)
            live.listen("done", draw, result=object())
            live.listen("loaded", first, result=object())
            live.listen("start", second)
            live.listen("progress", second, step=5, steps=10, loss=0.5)
            live.listen("done", second, result=object())
        live.listen("damaged", draw, error="checksum", aside="x")
    lines = screen.getvalue().splitlines()
    assert lines[0] == "mlp() on digits(): 0 of 3 trainings, 0 s"
    assert lines[1] == f"{draw.key} was damaged; it is set aside in x and made again."
    assert re.fullmatch(r"mlp\(\) on digits\(\): 2 of 3 trainings \(1 loaded\), 0 s(, about \d+ s left)?", lines[2])


def test_it_is_silent_about_the_end_of_a_command_that_failed(terminal: Callable[..., Any]):
    screen = terminal(file=io.StringIO)
    with pytest.raises(ValueError), Live("mlp() on digits()", total=3):
        raise ValueError
    assert len(screen.getvalue().splitlines()) == 1


def test_spans_of_time():
    assert [module._span(s) for s in (0.2, 59.6, 3599.4, 7300)] == ["0 s", "1 min 0 s", "59 min 59 s", "2 h 1 min"]
