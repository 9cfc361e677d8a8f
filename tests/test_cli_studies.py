"""`tombola plan`, `run`, `report`, `mirror` as a user types them: what they promise, and what they say of mistakes."""

import errno
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.command_line import Answer, Run, runner
from tombola import cli
from tombola.commands import studies as commands
from tombola.core import catalogue, plugin
from tombola.study import shelf
from tombola.study.events import read_events
from tombola.study.store import Store

ROOT = pathlib.Path(cli.__file__).parents[1]
PROGRAM = (sys.executable, "-c", "from tombola.cli import main; main()")
STUDY = '''"""Do numbers add up?

A study of plain arithmetic.
"""

import os
import pathlib
import time

from tombola import Better, Claim, Curve, Measurement, Pivot, defer, row, step
from tombola.core.errors import Failed


@step("toy_begin")
def begin(number: int, seconds: float = 0.0) -> Measurement:
    with open("begun.txt", "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    time.sleep(seconds)
    return Measurement({"number": number, "test_accuracy": number / 1000}, {"is whole": number < 100})


@step("toy_twice")
def twice(of: Measurement) -> Measurement:
    if pathlib.Path("fail.txt").exists() and of.values["number"] == 1:
        raise Failed("one is odd.")
    return Measurement({"number": of.values["number"] * 2, "test_accuracy": of.values["test_accuracy"]})


@step("toy_more")
def more(of: Measurement) -> Measurement:
    return Measurement({"number": of.values["number"] + 1})


def goals(*, numbers: int = 3, seconds: float = 0.0, first: int = 0):
    for number in range(first, first + numbers):
        once = defer(begin, number=number, seconds=seconds)
        double = defer(twice, of=once)
        for name, one in (("once", once), ("twice", double), ("more", defer(more, of=double))):
            yield row(one, seed=number, name=name, level=1)


def claims():
    yield Claim("Twice is more.", tests=(Better(where={"name": "twice"}, than={"name": "once"}, of="number"),))


def figures():
    yield Curve(x="level", y="number", by="name")


def tables():
    yield Pivot(lines="level", columns="name", of="number")
'''
HEAD = STUDY[: STUDY.index("def goals")]
LINE = HEAD.count("\n") + 1
"""Where the body of a study begins."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Run]:
    """Runs a command in this process, in a folder with a study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "FILES", {})  # Every test has studies of the same names.
    pathlib.Path("adds.py").write_text(STUDY)

    yield runner(capsys)
    for name in ("adds", "wrong", "own"):
        sys.modules.pop(f"tombola_use_{name}", None)


def complaint(answer: Answer, code: int) -> str:
    """The one message of a command that went wrong."""
    assert answer.code == code, answer
    assert answer.err.count("tombola: ") == 1, answer.err
    return answer.err.partition("tombola: ")[2]


def begun() -> list[int]:
    """The numbers that the study began with, as often as it did."""
    path = pathlib.Path("begun.txt")
    return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []


def said_in(text: str) -> list[str]:
    """The words of the command that a run names at its end."""
    return shlex.split(text.partition("The page: ")[2])


def events(store: str = "runs") -> list[Any]:
    (log,) = pathlib.Path(store).glob("studies/*/events.jsonl")
    return list(read_events(log))


def wrong(body: str) -> str:
    """A file with a study of another body."""
    pathlib.Path("wrong.py").write_text(HEAD + body)
    return "wrong.py"


# What each command promises.


def test_plan_of_a_study_that_never_ran(run: Run):
    answer = run("plan", "adds.py", "--why", "--json")
    told = answer.json
    assert answer.code == 0 and answer.err == ""
    assert {n: told[n] for n in ("study", "steps", "stored", "to_run", "rows", "known", "unknown")} == {
        "study": "adds.py", "steps": 9, "stored": 0, "to_run": 9, "rows": 9, "known": 0, "unknown": 9}  # fmt: skip
    assert [(one["function"], one["number"]) for one in told["work"]] == [
        ("toy_begin", 3),
        ("toy_twice", 3),
        ("toy_more", 3),
    ]
    assert [one["nearest"] for one in told["why"]] == [""] * 3
    text = run("plan", "adds.py", "--why")
    assert "9 steps: 0 stored, 9 to run; 0 of 9 rows are there." in text.out
    assert "not known: nothing of their kind was finished yet" in text.out
    assert text.out.count("no toy_begin is stored yet.") == 3
    assert sorted(os.listdir()) == ["adds.py"] and begun() == []


def test_plan_of_a_study_that_grows(run: Run):
    run("run", "adds.py", "--workers", "1", "--json")
    found = run("plan", "adds.py(numbers=5)", "--why", "--json").json
    assert (found["steps"], found["stored"], found["to_run"], found["known"]) == (15, 9, 6, 9)
    assert found["unknown"] == 2 and found["seconds"] > 0 and found["bytes"] >= 0  # Two begins are of other settings.
    assert [(one["argument"], one["here"]) for one in found["why"]] == [("number", "3"), ("number", "4")]
    text = run("plan", "adds.py(numbers=5)", "--why")
    assert (
        "15 steps: 9 stored, 6 to run; 9 of 15 rows are there." in text.out and "number is 3; in toy_begin:" in text.out
    )
    assert "What 2 of 6 steps cost is not known yet; the others take about" in text.out.replace("\n", " ")
    assert "nothing" not in run("plan", "adds.py").out


def test_run_does_everything_and_tells(run: Run):
    answer = run("run", "adds.py", "--workers", "1", "--json")
    told = answer.json
    assert answer.code == 0
    assert (told["study"], told["done"], told["stored"], told["failed"], told["blocked"]) == ("adds.py", 9, 0, {}, {})
    assert told["missing"] == [] and told["seconds"] >= 0
    rows = {(row["labels"]["name"], row["labels"]["seed"]): row for row in told["rows"]}
    assert rows["more", 2]["numbers"] == {"number": 5} and rows["more", 2]["labels"]["level"] == 1
    assert set(Store("runs").keys()) == {row["key"] for row in told["rows"]}
    (claim,) = told["claims"]
    assert claim["claim"] == "Twice is more." and claim["n"] == 3 and claim["verdict"] == "undecided"
    happened = [one["event"] for one in events()]
    assert happened[0] == "run" and happened[-1] == "end"
    assert [happened.count(one) for one in ("start", "done", "row", "failed")] == [9, 9, 9, 0]


def test_a_second_run_begins_nothing(run: Run, monkeypatch: pytest.MonkeyPatch):
    first = run("run", "adds.py", "--workers", "1", "--json").json
    before = begun()
    monkeypatch.setattr(commands, "Local", lambda *words, **named: pytest.fail("a worker was asked for"))
    again = run("run", "adds.py", "--workers", "2", "--json").json
    assert (again["done"], again["stored"], begun()) == (0, 9, before)
    assert (again["rows"], again["claims"]) == (first["rows"], first["claims"])
    text = run("run", "adds.py")
    assert text.code == 0 and "0 steps were run, 9 were done before" in text.out
    assert said_in(text.out) == ["tombola", "report", "adds.py"] and "Twice is more." in text.out
    assert [one["event"] for one in events()].count("row") == 9, "the log tells of a row once"


def test_settings_make_another_study_of_the_same_steps(run: Run):
    run("run", "adds.py", "--workers", "1", "--json")
    told = run("run", "adds.py(numbers=4)", "--workers", "1", "--json").json
    assert (told["study"], told["done"], told["stored"]) == ("adds.py(numbers=4)", 3, 9)
    assert begun() == [0, 1, 2, 3] and len(list(pathlib.Path("runs/studies").iterdir())) == 2


def test_report_writes_page_and_files(run: Run):
    rows = run("run", "adds.py", "--workers", "1", "--json").json["rows"]
    before = begun()
    answer = run("report", "adds.py", "--out", "to/page.html", "--json")
    told = answer.json
    assert answer.code == 0 and answer.err == "" and told["rows"] == rows and told["out"] == "to/page.html"
    page = pathlib.Path("to/page.html").read_text()
    assert "Do numbers add up?" in page and all(row["key"] in page for row in rows)
    assert {pathlib.Path(one).name for one in told["files"]} >= {"rows.csv", "claims.md", "findings.json"}
    assert all(pathlib.Path(one).stat().st_size for one in told["files"])
    assert begun() == before
    text = run("report", "adds.py", "--page-only", "--out", "alone.html")
    assert text.code == 0 and "9 rows." in text.out and str(pathlib.Path("alone.html").resolve()) in text.out
    assert not pathlib.Path("alone_files").exists()


def test_a_report_before_any_run(run: Run):
    assert "there is no store in runs. Run the study first: tombola run adds.py" in complaint(
        run("report", "adds.py"), 2
    )
    assert "there is no store in my runs" in complaint(run("report", "adds.py", "--store", "my runs"), 2)
    assert sorted(os.listdir()) == ["adds.py"]


def test_a_report_of_another_studys_store_names_all_rows_as_not_run(run: Run):
    run("run", "adds.py(first=10)", "--workers", "1", "--json")
    told = run("report", "adds.py", "--json").json
    assert (
        told["rows"] == [] and {one["why"] for one in told["missing"]} == {"not run yet"} and len(told["missing"]) == 9
    )


def test_folders_with_spaces(run: Run):
    text = run("run", "adds.py", "--workers", "1", "--store", "my runs")
    assert text.code == 0 and said_in(text.out) == ["tombola", "report", "adds.py", "--store", "my runs"]
    assert run("report", "adds.py", "--store", "my runs", "--json").json["missing"] == []
    assert run("plan", "adds.py", "--store", "my runs", "--json").json["to_run"] == 0
    assert not pathlib.Path("runs").exists()
    words = shlex.split(events("my runs")[0]["command"])
    assert words == ["tombola", "run", "adds.py", "--store", "my runs", "--workers", "1"]


BOOK = '''
"""A tool that writes a line for every result."""

from tombola.core.plugin import plugin
from tombola.integrations.mirror import Sink


class Page:
    last = -1

    def __init__(self, key):
        self.key = key

    def log(self, numbers, *, step, time):
        pass

    def finish(self, numbers, *, error, time):
        with open("book.txt", "a") as file:
            file.write(f"{self.key} {numbers.get('number')} {error}\\n")

    def leave(self):
        pass


class Book:
    def begin(self, run):
        pass

    def page(self, card):
        return Page(card.key)

    def close(self, outcome, *, time):
        pass


@plugin("sink", "toy_book")
class ToyBook(Sink):
    """A book."""

    library = "json"

    def book(self, study, folder):
        return Book()
'''


def test_mirrors_are_told_everything_once(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plugin, "LOADED", dict(plugin.LOADED))  # Other tests go through all plug-ins.
    monkeypatch.setattr(catalogue, "LOADED", plugin.LOADED)
    pathlib.Path("own.py").write_text(BOOK)
    own = ("--use", "own.py")
    rows = run("run", "adds.py", "--workers", "1", "--mirror", "toy_book", *own, "--json").json["rows"]
    written = [line.split() for line in pathlib.Path("book.txt").read_text().splitlines()]
    assert {(key, float(number)) for key, number in written} == {(row["key"], row["numbers"]["number"]) for row in rows}
    assert len(written) == 9
    told = run("mirror", "adds.py", "--to", "toy_book", *own, "--json").json
    assert told == {"study": "adds.py", "to": "toy_book", "new": 0}
    pathlib.Path("runs/studies").joinpath(next(iter(os.listdir("runs/studies"))), "mirrored").rename("elsewhere")
    assert "9 results are new in toy_book." in run("mirror", "adds.py", "--to", "toy_book", *own).out
    assert len(pathlib.Path("book.txt").read_text().splitlines()) == 18


def test_what_claims_do_not_find_is_said_at_once(run: Run, caplog: pytest.LogCaptureFixture):
    body = "def goals():\n    yield row(defer(begin, number=1), seed=1, name='once')\n\n\n"
    body += "def claims():\n    yield Claim('It is.', tests=(Better(where={'name': 'once'}, than={'name': 'twic'}),))\n"
    assert run("plan", wrong(body)).code == 0
    (said,) = caplog.messages
    assert "'It is.' cannot be measured: no row has name twic" in said


# What fails.


def test_a_failing_step_fails_alone(run: Run):
    pathlib.Path("fail.txt").touch()
    answer = run("run", "adds.py", "--workers", "1", "--json")
    message = complaint(answer, 1)
    told = answer.json
    ((key, error),) = told["failed"].items()
    (blocked,) = told["blocked"]
    assert key.startswith("toy_twice:") and error == "one is odd." and blocked.startswith("toy_more:")
    assert (told["done"], told["stored"], len(told["rows"])) == (7, 0, 7)
    assert {one["key"]: one["why"] for one in told["missing"]} == {
        key: "failed: one is odd.", blocked: f"it needs {key}, which failed: one is odd."}  # fmt: skip
    assert "1 step failed" in message
    assert f"{key}: one is odd." in message and "tombola run adds.py --workers 1" in message

    reported = run("report", "adds.py", "--json")
    assert reported.code == 0 and reported.json["missing"] == told["missing"]
    assert "one is odd." in pathlib.Path("report.html").read_text()
    assert "7 rows, 2 missing." in run("report", "adds.py", "--page-only").out

    assert complaint(run("run", "adds.py", "--workers", "1"), 1)
    assert begun() == [0, 1, 2]
    pathlib.Path("fail.txt").unlink()
    again = run("run", "adds.py", "--workers", "1", "--json").json
    assert (again["done"], again["stored"], again["missing"]) == (2, 7, [])
    assert run("report", "adds.py", "--json").json["missing"] == []


def test_what_nobody_foresaw_has_its_traceback_in_the_log(run: Run):
    body = (
        '@step("toy_odd")\ndef odd(number: int) -> Measurement:\n    return {}["gone"]\n\n\n'
        "def goals():\n    yield row(defer(odd, number=1), seed=0)\n    yield row(defer(begin, number=1), seed=1)\n"
    )
    answer = run("run", wrong(body), "--workers", "1")
    assert "KeyError: 'gone'" in complaint(answer, 1) and "events.jsonl" in answer.err
    (failed,) = [one for one in events() if one["event"] == "failed"]
    assert 'return {}["gone"]' in failed["traceback"] and begun() == [1]


def test_a_check_that_does_not_hold_fails_run_and_report(run: Run):
    for words in (("run", "adds.py(first=99)", "--workers", "1"), ("report", "adds.py(first=99)")):
        assert "2 checks did not hold, the first: 'is whole' of toy_begin:" in complaint(run(*words), 1)
    assert pathlib.Path("report.html").exists()


def test_a_damaged_row_is_named_and_made_again(run: Run):
    key = run("run", "adds.py", "--workers", "1", "--json").json["rows"][-1]["key"]
    path = Store("runs").home(key) / "record.json"
    path.write_bytes(path.read_bytes().replace(b'"number": 5', b'"number": 6'))
    (missing,) = run("report", "adds.py", "--json").json["missing"]
    assert missing["key"] == key and missing["why"].startswith("damaged: ")
    told = run("run", "adds.py", "--workers", "1", "--json").json
    assert (told["done"], told["missing"], told["rows"][-1]["numbers"]) == (1, [], {"number": 5})


def test_numbers_that_are_none_and_shares_that_are_none(run: Run):
    body = (
        '@step("toy_wild")\ndef wild(number: float) -> Measurement:\n'
        '    return Measurement({"number": float("nan"), "test_accuracy": number})\n\n\n'
        "def goals():\n    for number in (0.5, 93.0):\n        yield row(defer(wild, number=number), part=number)\n"
    )
    answer = run("run", wrong(body), "--workers", "1", "--json")
    assert "1 row cannot be shown, the first: toy_wild:" in complaint(answer, 1)
    told = answer.json
    assert [row["numbers"] for row in told["rows"]] == [{"number": None, "test_accuracy": 0.5}]
    (missing,) = told["missing"]
    assert missing["labels"] == {"part": 93.0} and "test_accuracy is 93.0" in missing["why"]
    reported = run("report", "wrong.py", "--json")
    assert reported.json["missing"] == [missing] and complaint(reported, 1)


# What is wrong with a study.


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def goals():\n    yield row(1 // 0)\n", f"line {LINE + 1} in goals(): ZeroDivisionError"),
        ("1 // 0\n", f"wrong.py, line {LINE}: ZeroDivisionError"),
        ("def goals(:\n", f"wrong.py, line {LINE}: "),
        ("def goals():\n    yield 3\n", "goals() yields a int (number 1). It must yield row(...) of deferred calls"),
        (
            "def goals():\n    yield row(begin(number=1), seed=1)\n",
            "toy_begin would run while the study is planned. In goals() every step is called through defer",
        ),
        ("def goals():\n    return 3\n", "goals() gives a int. It must yield, or return a list."),
        ("def goals():\n    yield from ()\n", "goals() yields nothing with these settings"),
        ("def goals():\n    yield row(defer(len, 'abc'))\n", "cannot defer 'len': it is no step. Put @step(name) on"),
        (
            "def goals():\n    yield row(defer(begin, number=lambda: 1))\n",
            "cannot fingerprint a function (argument 'number' of toy_begin)",
        ),
        ("def goals():\n    yield row(defer(begin, number=1, secs=2))\n", "no argument of toy_begin called 'secs'."),
        (
            "def goals():\n    for n in range(2):\n        yield row(defer(begin, number=n), level=1)\n",
            "two rows have the same labels (level=1): toy_begin:",
        ),
        ("def goals():\n    yield row(defer(begin, number=1), seed=(1, 2))\n", "label 'seed' is a tuple"),
        ("x = 1\n", "wrong.py has no function goals()"),
        (
            "def goals():\n    for n in range(2):\n        yield row(defer(begin, number=n), seed=0, level=n)\n\n\n"
            "def claims():\n    yield Claim('One of two.', tests=(Better(where={'seed': 0}, than={'seed': 1}),))\n",
            "claim 'One of two.': {'seed': 0} picks two rows for seed 0",
        ),
        (
            "def goals():\n    yield row(defer(begin, number=1))\n\n\ndef claims():\n    yield 'It wins.'\n",
            "claims() yields a str",
        ),
        (
            "def goals():\n    yield row(defer(begin, number=1))\n\n\ndef claims():\n    raise KeyError('x')\n",
            "in claims(): KeyError: 'x'",
        ),
    ],
    ids=lambda value: value[-40:].replace("\n", " "),
)  # fmt: skip
@pytest.mark.parametrize("command", ["plan", "run", "report"])
def test_a_study_that_is_wrong_is_refused_before_anything_runs(run: Run, command: str, body: str, message: str):
    assert message in complaint(run(command, wrong(body)), 2)
    assert begun() == [] or "begin(" in body
    assert not pathlib.Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan",), "name a study: a Python file, or a shipped one such as quickstart. See: tombola list study"),
        (("run",), "name a study"),
        (("report",), "name a study"),
        (("mirror", "--to", "tensorboard"), "name a study"),
        (("run", "quikstart"), "no study called 'quikstart'. Did you mean 'quickstart'? Known: elastic_cifar"),
        (("run", "nowhere.py"), "there is no study nowhere.py. Name a Python file, or a shipped study: elastic_cifar"),
        (("run", "adds.py(numbres=3)"), "no setting of adds called 'numbres'. Did you mean 'numbers'?"),
        (("run", "adds.py(numbers='3')"), "adds: setting 'numbers' is '3'"),
        (("run", "adds.py(3)"), "gives a value without its field"),
        (("run", "adds.py("), "adds.py("),
        (("run", "adds.py", "--address", "auto"), "--address auto is that of a Ray cluster: add --engine ray."),
        (("run", "adds.py", "--workers", "-1"), "--workers is -1. It is 1 or more, or 0 for one a core."),
        (("run", "adds.py", "--machine", "machine(threads=0)"), "field 'threads' is 0"),
        (("run", "adds.py", "--mirror", "wanbd"), "no sink called 'wanbd'. Did you mean 'wandb'?"),
        (("mirror", "adds.py", "--to", "tensorbord"), "no sink called 'tensorbord'. Did you mean 'tensorboard'?"),
        (("mirror", "adds.py", "--to", "tensorboard"), "there is no log"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_mistake_gets_one_clear_message(run: Run, words: tuple[str, ...], message: str):
    answer = run(*words)
    assert message in complaint(answer, 2) and answer.out == ""
    assert begun() == [] and not pathlib.Path("runs").exists()


def test_words_that_are_no_command_are_answered(run: Run):
    for words in (("run", "adds.py", "--engine", "rya"), ("run", "adds.py", "--workers", "two"), ("mirror", "adds.py")):
        answer = run(*words)
        assert answer.code == 2 and "--help" in answer.err and answer.out == ""


@pytest.mark.parametrize("out", ["/proc/nowhere/a.html", "file/a.html", "folder", "pipe"])
def test_a_page_that_cannot_be_written(run: Run, out: str):
    run("run", "adds.py(numbers=1)", "--workers", "1", "--json")
    pathlib.Path("file").write_text("")
    pathlib.Path("folder").mkdir()
    os.mkfifo("pipe")
    assert f"cannot write {out}" in complaint(run("report", "adds.py(numbers=1)", "--out", out), 1)


# Stores that are none, and disks.


@pytest.mark.parametrize("command", ["plan", "run", "report"])
@pytest.mark.parametrize(("marker", "code"), [("garbage", 1), ('{"version": 1}', 2), ('{"version": 99}', 2)])
def test_a_store_of_another_kind(run: Run, command: str, marker: str, code: int):
    pathlib.Path("runs").mkdir()
    pathlib.Path("runs/store.json").write_text(marker)
    message = complaint(run(command, "adds.py"), code)
    assert "runs" in message and (code == 1 or "--store" in message)
    assert os.listdir("runs") == ["store.json"] and begun() == []


def test_a_store_that_may_not_be_written(run: Run, monkeypatch: pytest.MonkeyPatch):
    pathlib.Path("file").write_text("")
    for store in ("file", "file/runs", "/proc/nowhere"):
        message = complaint(run("run", "adds.py", "--store", store), 1)
        assert f"cannot write the store {store}: " in message and "(--store)" in message
    run("run", "adds.py(numbers=1)", "--workers", "1", "--json")

    def refuse(path: pathlib.Path, data: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write", refuse)
        message = complaint(run("run", "adds.py", "--workers", "1"), 1)
    assert "Read-only file system" in message and "everything finished before is kept" in message
    assert run("run", "adds.py", "--workers", "1", "--json").json["stored"] == 3


def test_a_disk_that_fills_up_ends_the_run_and_keeps_what_was_finished(run: Run, monkeypatch: pytest.MonkeyPatch):
    real, written = shelf.write, list[str]()

    def full(path: pathlib.Path, data: bytes) -> None:
        if path.name == "record.json":
            written.append(path.name)
            if len(written) > 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write", full)
        answer = run("run", "adds.py", "--workers", "1", "--json")
    assert "No space left on device. Free space there or name another store (--store)" in complaint(answer, 1)
    assert len(Store("runs").keys()) == 4 and len(written) == 5 and events()[-1]["outcome"] == "failed"
    assert not list(pathlib.Path("runs/tmp").iterdir())
    told = run("run", "adds.py", "--workers", "1", "--json").json
    assert (told["done"], told["stored"]) == (5, 4)


# Processes of their own.


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_output_that_goes_to_no_terminal_is_plain(run: Run):
    """With two workers, which leave the same behind as one process."""
    words = ("run", "adds.py", "--workers", "2")
    done = subprocess.run([*PROGRAM, *words], capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    said = [done.stdout.decode(), done.stderr.decode()]
    for others in (("plan", "adds.py(numbers=4)", "--why"), ("report", "adds.py", "--page-only")):
        said += run(*others)[1:]
    assert all(character.isprintable() or character == "\n" for text in said for character in text), said
    workers = {int(line.split()[1]) for line in pathlib.Path("begun.txt").read_text().splitlines()}
    assert len(workers) == 2 and sorted(begun()) == [0, 1, 2]
    assert run("run", "adds.py", "--store", "alone", "--workers", "1", "--json").json["done"] == 9
    assert run("report", "adds.py", "--json").json["rows"] == run(
        "report", "adds.py", "--store", "alone", "--json").json["rows"]  # fmt: skip


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_stopping_a_run_leaves_no_worker_and_loses_nothing(run: Run, how: signal.Signals):
    words = ["run", "adds.py(numbers=12, seconds=0.25)", "--workers", "2"]
    process = subprocess.Popen(
        [*PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # A shell's background jobs ignore it.
    )
    try:
        until, workers = time.monotonic() + 60, set[int]()
        while (len(begun()) < 5 or len(workers) < 2) and time.monotonic() < until:
            time.sleep(0.02)
            if begun():
                workers = {int(line.split()[1]) for line in pathlib.Path("begun.txt").read_text().splitlines()}
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    lines = [line for line in err.splitlines() if line.startswith("tombola: ")]
    assert lines == ["tombola: stopped. What was finished is kept: give the same command to go on."]
    assert "Traceback (" not in err + out and out == ""
    assert len(workers) == 2 and not any(map(alive, workers))
    assert events()[-1]["outcome"] == "stopped"

    kept = Store("runs").keys()
    finished = [Store("runs").record(key)["numbers"]["number"] for key in kept if key.startswith("toy_begin")]
    assert 2 <= len(finished) < 12
    told = run(*words[:2], "--workers", "1", "--json").json
    assert told["stored"] == len(kept) and told["done"] == 36 - len(kept) and told["missing"] == []
    assert all(begun().count(number) == 1 for number in finished) and set(begun()) == set(range(12))


def test_a_page_is_written_over_a_page_and_over_nothing_else(run: Run):
    assert run("run", "adds.py", "--workers", "1").code == 0
    before = pathlib.Path("adds.py").read_text()
    answer = run("report", "adds.py", "--out", "adds.py")
    assert "--out adds.py is there already and is no page; it would be lost." in complaint(answer, 2)
    assert pathlib.Path("adds.py").read_text() == before
    assert run("report", "adds.py", "--out", "a.html").code == run("report", "adds.py", "--out", "a.html").code == 0


def test_labels_of_figures_and_tables_that_no_row_has_are_told_of_before_anything_runs(run: Run, caplog: Any):
    body = STUDY[STUDY.index("def goals") :].replace('by="name"', 'by="nam"').replace('lines="level"', 'lines="lvl"')
    assert run("plan", wrong(body)).code == 0
    assert [one.message for one in caplog.records] == [
        "the figure of number: no row has the label 'nam'; the nearest is 'name'.",
        "the table of number: no row has the label 'lvl'; the nearest is 'level'.",
    ]
