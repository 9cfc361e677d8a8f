"""`tombola store`: what each of its commands tells and does, and that every mistake gets one clear message."""

import csv
import errno
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.command_line import Run, runner
from tombola import cli
from tombola.core import catalogue
from tombola.study.exchange import export
from tombola.study.keeper import Keeper
from tombola.study.module import open_study
from tombola.study.record import digest
from tombola.study.store import Store

ROOT = pathlib.Path(cli.__file__).parents[1]
STUDY = '''"""Do numbers add up?"""

from tombola.core.errors import Failed
from tombola.core.measurement import Measurement
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.step import Context, step


@step("toy_begin")
def begin(number: int) -> Measurement:
    return Measurement({"number": number}, {"is whole": True})


@step("toy_twice")
def twice(of: Measurement, by: float = 2.0) -> Measurement:
    return Measurement({"number": of.values["number"] * by, "wild": float("nan") if by < 0 else 0.0})


def goals(*, numbers: int = 3):
    for number in range(numbers):
        yield row(defer(twice, of=defer(begin, number=number)), number=number)
'''


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Run:
    """Runs a command on a store in this process, in a folder with a study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "FILES", {})  # Every test has a study of this name.
    pathlib.Path("adds.py").write_text(STUDY)

    return runner(capsys, "store")


@pytest.fixture
def made(run: Run) -> list[str]:
    """A store, `runs`, with the results of the first two numbers of the study: the keys of its rows."""
    return filled("runs", 2)


def filled(folder: str, numbers: int) -> list[str]:
    store, keys = Store(folder), list[str]()
    for goal in open_study(f"adds.py(numbers={numbers})").goals():
        (behind,) = goal.of.inputs
        keys.append(store(goal.of.function, of=store(behind.function, **behind.call.arguments)).key)
    return keys


def damage(key: str) -> pathlib.Path:
    path = Store("runs").home(key) / "record.json"
    path.write_text(path.read_text().replace('"number": 2.0', '"number": 3.0'))
    return path


def refuse(number: int) -> Callable[..., Any]:
    def refused(*words: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refused


def test_ls_tells_of_all_functions_and_of_one(run: Run, made: list[str]):
    told = run("ls")
    assert told.code == 0 and told.err == ""
    heading, *lines, last = told.out.splitlines()
    assert heading.split()[:3] == ["function", "results", "on"] and last.endswith("0 files that results share.")
    assert [line.split()[:2] for line in lines] == [["toy_begin", "2"], ["toy_twice", "2"]]
    of_one = run("ls", "toy_twice").out.splitlines()
    assert [line.split()[:2] for line in of_one[1:]] == [[key, "here"] for key in sorted(made)]
    assert all("toy_twice(of=toy_begin:" in line for line in of_one[1:])
    functions = run("ls", "--json").json["functions"]
    assert [(one["function"], one["results"], one["noted"]) for one in functions] == [
        ("toy_begin", 2, 0),
        ("toy_twice", 2, 0),
    ]
    (first, second) = run("ls", "toy_twice", "--json").json["results"]
    assert [first["key"], second["key"]] == sorted(made) and first["state"] == "stored" and first["bytes"] > 0


def test_ls_shows_what_is_imported_half_done_and_damaged(run: Run, made: list[str]):
    filled("other", 3)
    run("export", "adds.py", "--out", "out", "--store", "other")
    assert run("import", "out").code == 0
    pathlib.Path("runs/partial/toy_twice-0123456789abcdef").mkdir(parents=True)
    damage(made[1])
    run("verify", "--set-aside")
    found = {one["function"]: one for one in run("ls", "--json").json["functions"]}["toy_twice"]
    assert [found[name] for name in ("results", "noted", "partial", "damaged")] == [1, 1, 1, 1]
    states = {line.split()[0]: line for line in run("ls", "toy_twice").out.splitlines()[1:]}
    assert "half done" in states["toy_twice:0123456789abcdef"] and "damaged" in states[made[1]]
    assert sum("imported" in line for line in states.values()) == 1


def test_a_key_is_never_cut_however_narrow_the_terminal(made: list[str], tmp_path: pathlib.Path):
    """Also where nothing is a terminal: other programs read these lines."""
    told = subprocess.run(
        [sys.executable, "-c", "from tombola.cli import main; main()", "store", "ls", "toy_twice"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "30", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert [line.split()[0] for line in told.stdout.splitlines()[1:]] == sorted(made)


def test_show_tells_call_numbers_checks_provenance_and_lineage(run: Run, made: list[str]):
    key = made[1]
    told = run("show", key[:13]).out
    record = Store("runs").record(key)
    (root,) = record["inputs"]
    assert told.startswith(f"{key}\n{record['call']}\n")
    for words in ("number   2\n", "torch", "seconds", "Made of, from the roots:"):
        assert words in told
    assert told.splitlines()[-2:] == [f"{root}  toy_begin(number=1)", f"{key}  toy_twice(of={root})"]
    shown = run("show", key, "--json").json
    assert shown["numbers"] == {"number": 2.0, "wild": 0.0} and shown["state"] == "stored" and shown["inputs"] == [root]
    assert [one["key"] for one in shown["lineage"]] == [root, key]
    assert "is whole   yes" in run("show", root).out and "Made of no other result." in run("show", root).out
    Keeper("runs").away(Store("runs").home(root))
    assert run("show", key, "--json").json["lineage"][0] == {"key": root, "call": None}
    assert f"{root}  not here, or damaged" in run("show", key).out


def test_show_tells_of_imported_rows_and_of_numbers_that_are_none(run: Run, made: list[str]):
    (goal, *_) = open_study("adds.py").goals()
    store = Store("other")
    wild = store(goal.of.function, of=store(goal.of.inputs[0].function, number=7), by=-1.0)
    record = store.record(wild.key)
    pathlib.Path("rows.jsonl").write_text(json.dumps({"record": record, "digest": digest(record)}))
    assert run("import", "rows.jsonl", "--json").json == {"store": "runs", "taken": 1, "there": 0, "refused": []}
    shown = run("show", wild.key, "--json").json
    assert shown["numbers"] == {"number": -7.0, "wild": None} and shown["state"] == "noted"
    assert "(an imported row: its files are elsewhere)" in run("show", wild.key).out


def test_gc_tells_and_removes(run: Run, made: list[str]):
    (pathlib.Path("runs/damaged/x-y-01234567")).mkdir(parents=True)
    pathlib.Path("runs/damaged/x-y-01234567/file").write_bytes(b"12345")
    for words, rest in ((("--dry-run",), True), ((), False)):
        told = run("gc", *words)
        assert told.code == 0 and "5 B  damaged  damaged/x-y-01234567" in told.out
        assert told.out.splitlines()[-1] == f"1 things {'would be ' * rest}removed, 5 B."
        assert pathlib.Path("runs/damaged/x-y-01234567").exists() is rest
    assert run("gc", "--json").json == {"store": "runs", "dry_run": False, "removed": [], "bytes": 0}
    assert len(Store("runs").keys()) == 4


def test_gc_keeps_what_the_named_studies_need(run: Run, made: list[str]):
    assert run("gc", "--keep", "adds.py", "--json").json["removed"] == []
    one = ("--keep", "adds.py(numbers=1)")
    told = run("gc", *one, "--dry-run", "--json").json
    assert {removed["what"] for removed in told["removed"]} == {"result"} and len(told["removed"]) == 2
    assert run("gc", *one, "--keep", "adds.py(numbers=2)", "--json").json["removed"] == []
    assert len(Store("runs").keys()) == 4
    assert run("gc", *one, "--json").json["removed"] == told["removed"]
    assert len(Store("runs").keys()) == 2 and made[0] in Store("runs").keys()
    assert run("gc", "--keep", "nowhere.py").code == 2 and len(Store("runs").keys()) == 2


def test_verify_names_what_is_bad_with_the_way_out(run: Run, made: list[str]):
    sound = run("verify")
    assert (sound.code, sound.out) == (0, "4 checked in runs: all sound.\n")
    path = damage(made[1])
    bad = run("verify")
    assert bad.code == 1
    assert bad.out.splitlines() == [
        f"BAD {made[1]}: its record was altered: the text does not match the digest at its end ({path.parent})",
        "4 checked in runs: 1 bad.",
        "To have them made again by the next run, move them out of the way: "
        "tombola store verify --set-aside --store runs",
    ]
    told = run("verify", "--json")
    assert told.code == 1 and not told.json["ok"] and told.json["checked"] == 4
    assert [one["name"] for one in told.json["bad"]] == [made[1]] and path.exists()
    aside = run("verify", "--set-aside", "--json")
    assert aside.code == 1 and pathlib.Path(aside.json["bad"][0]["aside"]).parent == pathlib.Path("runs/damaged")
    assert not path.exists() and run("verify").code == 0
    assert filled("runs", 2) == made and run("verify", "--json").json == {
        "store": "runs",
        "ok": True,
        "checked": 4,
        "bad": [],
        "notes": [],
    }


def test_verify_shows_how_far_it_is_in_a_large_store_on_a_terminal(
    run: Run, made: list[str], monkeypatch: pytest.MonkeyPatch
):
    assert run("verify").err == ""
    monkeypatch.setattr(importlib.import_module("tombola.commands.store"), "LARGE", 4)
    assert run("verify").err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # Standard error counts as a terminal now.
    told = run("verify", "--json")
    assert "Checking" in told.err and told.json["checked"] == 4


def test_verify_takes_a_missing_input_for_no_error(run: Run, made: list[str]):
    (root,) = Store("runs").record(made[0])["inputs"]
    Keeper("runs").away(Store("runs").home(root))
    told = run("verify")
    assert told.code == 0 and told.out.startswith(f"{made[0]}: its input {root} is not here (not an error)\n")


def test_rows_go_out_and_in(run: Run, made: list[str]):
    told = run("export", "adds.py", "--out", "out")
    assert told.code == 0 and told.out.splitlines() == [
        "2 rows written: out/rows.csv, out/rows.parquet, out/rows.jsonl",
        "1 row is not there yet: tombola run adds.py",
    ]
    with open("out/rows.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["study"], line["number"]) for line in lines] == [("adds.py", "0"), ("adds.py", "1")]
    assert [line["numbers.number"] for line in lines] == ["0.0", "2.0"] and lines[0]["toy_twice.by"] == "2.0"
    assert run("import", "out", "--store", "other").out == "2 taken into other.\n"
    assert run("import", "out/rows.jsonl", "--store", "other").out == "0 taken into other, 2 were there already.\n"
    rows = pathlib.Path("out/rows.jsonl").read_text()
    pathlib.Path("twice.jsonl").write_text(rows + rows)  # One result may be several rows.
    assert run("import", "twice.jsonl", "--store", "second").out == "2 taken into second.\n"
    assert Store("other").noted() == set(made)
    assert run("import", "runs", "--store", "third", "--json").json == {
        "store": "third",
        "taken": 4,
        "there": 0,
        "refused": [],
    }
    assert run("verify", "--store", "third").code == 0
    as_json = run("export", "adds.py", "--out", "again", "--store", "other", "--json").json
    assert (as_json["rows"], len(as_json["missing"]), as_json["damaged"]) == (2, 1, [])
    assert as_json["files"] == ["again/rows.csv", "again/rows.parquet", "again/rows.jsonl"]


def test_what_open_steps_are_made_of_goes_along(run: Run, made: list[str]):
    (behind,) = open_study("adds.py").goals()[-1].of.inputs
    Store("runs")(behind.function, **behind.call.arguments)
    told = run("export", "adds.py", "--out", "out", "--inputs")
    assert told.code == 0 and told.out.splitlines()[1:] == [
        "1 result that open steps are made of: out/inputs",
        "1 row is not there yet: tombola run adds.py",
    ]
    assert run("import", "out", "--store", "other").out == "3 taken into other.\n"
    assert len(run("export", "adds.py", "--out", "again", "--inputs", "--json").json["inputs"]) == 1
    assert run("export", "adds.py(numbers=2)", "--out", "done", "--inputs", "--json").json["inputs"] == []


def test_a_study_without_a_row_yet_goes_on_elsewhere(run: Run, made: list[str]):
    (behind,) = open_study("adds.py").goals()[-1].of.inputs
    key = behind.key
    Store("begun")(behind.function, **behind.call.arguments)
    told = run("export", "adds.py", "--out", "out", "--inputs", "--store", "begun")
    assert told.code == 0 and told.out.splitlines() == [
        "0 rows written: out/rows.jsonl",
        "1 result that open steps are made of: out/inputs",
        "3 rows are not there yet: tombola run adds.py",
    ]
    assert run("import", "out", "--store", "other").out == "1 taken into other.\n"
    assert Store("other").present() == {key}
    Store("strange")(behind.function, number=99)
    for words in (("begun",), ("strange", "--inputs")):
        refused = run("export", "adds.py", "--out", "none", "--store", *words)
        assert refused.code == 1 and "none of its 3 rows is in" in refused.err and not pathlib.Path("none").exists()


def test_a_damaged_row_is_left_out_and_told(run: Run, made: list[str]):
    damage(made[1])
    told = run("export", "adds.py(numbers=2)", "--out", "out")
    assert told.code == 1 and told.out.splitlines()[0].startswith("1 row written")
    assert "1 row is damaged and was left out: tombola store verify" in told.out


def test_refused_rows_are_named_and_the_rest_is_taken(run: Run, made: list[str]):
    run("export", "adds.py", "--out", "out")
    path = pathlib.Path("out/rows.jsonl")
    path.write_text(path.read_text().replace('"number": 2.0', '"number": 3.0'))
    told = run("import", "out", "--store", "other")
    assert told.code == 1 and told.out.splitlines() == [
        f"REFUSED line 2, {made[1]}: it was altered: its record does not match its digest.",
        "1 taken into other, 1 refused.",
    ]
    assert run("import", "out", "--store", "other", "--json").json["refused"][0]["name"] == f"line 2, {made[1]}"


NOWHERE = "there is no store nowhere: no such folder. Name another (--store)."
NO_STORE = "plain is no store: there is no store.json in it. Name another (--store)."
NEWER = (
    "newer is a store of version 9; this tombola keeps version 2. Name another folder (--store), or use the tombola "
    "that made it."
)


@pytest.mark.parametrize(
    "words", [("ls",), ("show", "a:00"), ("gc",), ("verify",), ("export", "adds.py", "--out", "out")], ids=" ".join
)
def test_what_is_no_store_is_refused(words: tuple[str, ...], run: Run):
    pathlib.Path("plain").mkdir()
    pathlib.Path("newer").mkdir()
    pathlib.Path("newer/store.json").write_text('{"version": 9}')
    for name, message in (("nowhere", NOWHERE), ("plain", NO_STORE), ("newer", NEWER)):
        told = run(*words, "--store", name)
        assert (told.code, told.out, told.err) == (2, "", f"tombola: {message}\n")
    pathlib.Path("newer/store.json").write_text("{")
    told = run(*words, "--store", "newer")
    assert told.code == 1 and told.err.startswith("tombola: newer/store.json is damaged: ")
    assert not pathlib.Path("nowhere").exists() and not pathlib.Path("out").exists()


def test_an_empty_store_is_no_mistake(run: Run):
    Store("runs").prepare()
    assert run("ls").out == "runs is empty.\n"
    assert run("ls", "--json").json["functions"] == []
    assert run("verify").out == "0 checked in runs: all sound.\n" and run("gc").out == "0 things removed, 0 B.\n"
    told = run("export", "adds.py", "--out", "out")
    assert told.code == 1 and "none of its 3 rows is in runs; nothing was written. Run it first:" in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "toy_twice:zz"), "no key in runs begins with 'toy_twice:zz'. Write FUNCTION:DIGITS"),
        (("show", ""), "no key in runs begins with ''."),
        (("show", "toy_"), "4 keys in runs begin with 'toy_': "),
        (("ls", "toy_twise"), "no function with anything in runs called 'toy_twise'. Did you mean 'toy_twice'?"),
        (("export", "nowhere.py", "--out", "out"), "there is no study nowhere.py."),
        (("import", "nowhere"), "there is no nowhere to import."),
        (("import", "empty"), "empty holds neither rows.jsonl nor a store."),
        (("import", "rows.csv"), "rows.csv is a table for reading"),
        (("import", "rows.parquet"), "rows.parquet is a table for reading"),
        (("import", "runs"), "runs is the store itself."),
        (("import", "newer"), "newer is a store of version 9;"),
    ],
    ids=str,
)
def test_a_wrong_call_gets_one_message(words: tuple[str, ...], message: str, run: Run, made: list[str]):
    for folder in ("empty", "newer"):
        pathlib.Path(folder).mkdir()
    for name in ("rows.csv", "rows.parquet"):
        pathlib.Path(name).touch()
    pathlib.Path("newer/store.json").write_text('{"version": 9}')
    told = run(*words)
    assert (told.code, told.out) == (2, "") and told.err.startswith(f"tombola: {message}")
    assert told.err.count("\n") == 1


def test_showing_a_damaged_result_names_it(run: Run, made: list[str]):
    path = damage(made[1])
    told = run("show", made[1])
    assert told.code == 1
    assert told.err == f"tombola: {path} is damaged: its text does not match the digest at its end.\n"


FULL, READ_ONLY = errno.ENOSPC, errno.EROFS


@pytest.mark.parametrize("number", [FULL, READ_ONLY])
@pytest.mark.parametrize(
    ("words", "breaks", "message"),
    [
        (("import", "out", "--store", "other"), "fsync", "cannot (keep .* in|write the store) other: {}"),
        (("import", "out", "--store", "third"), "fsync", "cannot keep toy_twice:.* in third: {}"),
        (("import", "runs", "--store", "third"), "fsync", "cannot keep toy_begin:.* in third: {}"),
        (("gc",), "rename", "cannot remove from the store runs: {}"),
        (("verify", "--set-aside"), "rename", "is damaged and cannot be set aside: {}"),
        (("export", "adds.py", "--out", "new"), "fsync", "cannot write new/rows.csv: {}"),
    ],
    ids=str,
)
def test_a_disk_that_is_full_or_read_only_gets_one_message(
    words: tuple[str, ...],
    breaks: str,
    message: str,
    number: int,
    run: Run,
    made: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    run("export", "adds.py", "--out", "out")
    assert run("import", "out", "--store", "third").code == 0  # The store is there; its row is not, once more.
    Keeper("third").away(Keeper("third").note(made[1])).unlink()
    damage(made[1])
    pathlib.Path("runs/damaged/x-y-01234567").mkdir(parents=True)
    with monkeypatch.context() as broken:
        broken.setattr(os, breaks, refuse(number))
        told = run(*words)
    assert told.code == 1 and told.err.startswith("tombola: ") and told.err.count("\n") == 1
    assert re.search(message.format(os.strerror(number)), told.err)
    third = Store("third")
    assert third.noted() == {made[0]} and third.keys() == [] and list((third.folder / "tmp").iterdir()) == []


def test_a_store_that_cannot_be_read_gets_one_message(run: Run, made: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "scandir", refuse(errno.EACCES))
    for words in (("ls",), ("verify",), ("gc",), ("show", made[0])):
        told = run(*words)
        assert told.code == 1 and told.err.startswith("tombola: cannot re") and "Permission denied" in told.err


def test_export_is_the_library_function(run: Run, made: list[str]):
    study = open_study("adds.py")
    export(study.goals(), Store("runs"), "mine", study=study.text)
    run("export", "adds.py", "--out", "theirs")
    for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
        assert pathlib.Path("mine", name).read_bytes() == pathlib.Path("theirs", name).read_bytes()


@pytest.mark.parametrize("words", [(), ("lss",), ("ls", "a", "b"), ("show",), ("export", "adds.py"), ("import",)])
def test_words_that_do_not_fit_are_refused(words: tuple[str, ...], run: Run):
    told = run(*words)
    assert told.code == 2 and told.out == "" and told.err


def test_help_comes_without_torch():
    asked = "import sys, tombola.cli as c\ntry: c.main(['store', '--help'])\nfinally: assert 'torch' not in sys.modules"
    told = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0 and all(f"• {word}" in told.stdout for word in ("ls", "show", "gc", "verify", "export"))
