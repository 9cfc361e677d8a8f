"""The guide to studies and the study among the examples: they run as they say, and what the guide shows is of today."""

import csv
import json
import pathlib
import re
import shlex
from typing import Any

import pytest

from tombola.cli import main
from tombola.core import catalogue
from tombola.study.finished import Finished, failure
from tombola.study.store import Store

ROOT = pathlib.Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "studies.md").read_text()
FENCES = re.findall(r"^```([^\n]*)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
FILES = {word.split('"')[1]: body for word, body in FENCES if word.endswith('.py"')}
LINES = [line for word, body in FENCES if not word for line in body.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("tombola ") and "--engine ray" not in line]


@pytest.fixture(autouse=True)
def files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "FILES", {})  # Each test has files of these names, in a folder of its own.
    for name, text in FILES.items():
        pathlib.Path(name).write_text(text)


def tombola(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    with pytest.raises(SystemExit) as end:
        main([*words, "--json"])
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    return json.loads(said.out)


def test_the_first_file_is_short_and_plans_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert len([line for line in FILES["scopes.py"].splitlines() if line]) <= 30
    plan = tombola(capsys, "plan", "scopes.py(seeds=(0, 1, 2, 3))")
    assert f"{plan['steps']} steps: " in GUIDE and f" of {plan['rows']} rows are there." in GUIDE


def test_the_first_file_runs_and_what_two_settings_share_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    small = tombola(capsys, "run", "scopes.py(levels=1, seeds=(0,))", "--workers", "1")
    assert (small["done"], small["stored"], small["failed"]) == (6, 0, {})
    assert [claim["claim"] for claim in small["claims"]] == ["ranking together is better at level 1"]
    larger = tombola(capsys, "plan", "scopes.py(levels=1, seeds=(0, 1))", "--why")
    assert (larger["stored"], larger["to_run"]) == (6, 6)
    assert [reason["argument"] for reason in larger["why"]] == ["seeds.seed"]


def test_the_step_of_ones_own_runs(capsys: pytest.CaptureFixture[str]) -> None:
    found = tombola(capsys, "run", "common.py(levels=1)", "--workers", "1")
    (row,) = found["rows"]
    assert row["labels"] == {"level": 1}
    assert f"    1   {row['numbers']['common']:.4f}\n" in GUIDE


def test_the_notebook_loads_what_the_study_ran(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = [body for word, body in FENCES if "continuation" in word]
    assert len(notebook) == 2
    tombola(capsys, "run", "common.py(levels=2)", "--workers", "1")
    before = Store("runs").keys()
    names: dict[str, Any] = {"__name__": "notebook"}
    exec(FILES["common.py"] + "".join(notebook), names)
    assert Store("runs").keys() == before and names["ticket"].level == 1
    assert names["made"].keys() < set(before)


def test_the_error_it_shows_is_worded_like_ours() -> None:
    key = "measure:4f689f4c18c0c9a6"
    error = "ZeroDivisionError: nothing to divide by"
    finished = Finished(0, 2, {key: error}, {"mean_of:00": key}, 1.0)
    log = "runs/studies/frail-4748f4dc/events.jsonl"
    assert f"tombola: {failure(finished, command='tombola run frail.py', log=log)}\n" in GUIDE


def test_the_example_is_planned_run_once_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    small = f"{ROOT / 'examples' / '06_study.py'}(levels=1, seeds=(0,))"
    # A draw, the dense network, two cuts, two tickets: the dense network has two names and is trained once.
    plan = tombola(capsys, "plan", small)
    assert (plan["steps"], plan["to_run"], plan["rows"], plan["known"]) == (6, 6, 4, 0)
    assert tombola(capsys, "run", small, "--workers", "1")["done"] == 6
    again = tombola(capsys, "run", small)
    assert (again["done"], again["stored"]) == (0, 6)
    tombola(capsys, "report", small)
    assert "Must it be the largest weights that are kept, or would any do?" in pathlib.Path("report.html").read_text()
    with open("report_files/rows.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["level"]) for row in rows] == [(n, level) for n in ("largest", "any") for level in "01"]
    assert rows[0]["key"] == rows[2]["key"] and rows[1]["density"] == rows[3]["density"]


@pytest.mark.slow
def test_every_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) == 9
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command)[1:])
        said = capsys.readouterr()
        assert end.value.code == 0, f"{command}: {said.err}"
    assert "`tombola plan scopes.py --store elsewhere` finds nothing to run" in GUIDE
    plan = tombola(capsys, "plan", "scopes.py", "--store", "elsewhere")
    assert (plan["to_run"], plan["known"]) == (0, plan["rows"])
