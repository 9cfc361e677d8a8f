"""The README's commands run word for word, and its numbers that do not depend on the machine are those of today."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tombola.study.graph import graph_of

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [body.splitlines() for word, body in FENCES if not word and body.startswith("tombola ")]
PLUGIN = next(body for word, body in FENCES if word == "python" and "@tb.plugin(" in body)
TABLE = next(body for word, body in FENCES if body.startswith("level "))


def run(commands: list[str], folder: pathlib.Path) -> list[str]:
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = []
    for command in commands:
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said.append(done.stdout)
    return said


def lasting(table: str) -> list[tuple[str, ...]]:
    """Level, weights and key of each line; accuracies may differ between kinds of processors."""
    return re.findall(r"^ +(\d+) +[\d.]+ % +([\d,]+) .* ((?:draw|cut):\w+) *$", table, flags=re.MULTILINE)


def test_there_are_a_few_commands_at_a_time_and_a_notebook_of_ten_lines() -> None:
    assert [len(block) for block in COMMANDS] == [4, 5, 4, 2]
    notebook = next(body for word, body in FENCES if word == "python")
    assert len([line for line in notebook.splitlines() if line]) == 10


@pytest.mark.slow
def test_the_commands_run(tmp_path: pathlib.Path) -> None:
    found, *_ = run(COMMANDS[0], tmp_path)
    assert len(lasting(TABLE)) == 6
    assert lasting(found) == lasting(TABLE)


@pytest.mark.slow
def test_the_commands_of_another_depth_run(tmp_path: pathlib.Path) -> None:
    _, planned, carried, verified, trained = run(COMMANDS[1], tmp_path)
    assert "0 1 1" in planned and "mlp(hidden=(32, 32, 32))" in carried
    assert verified.count(": sound") == 2 and "6 of 6" not in verified and "carried" in verified
    assert "test accuracy" in trained


@pytest.mark.slow
def test_the_commands_of_a_study_run(tmp_path: pathlib.Path) -> None:
    planned, ran, reported, checked = run(COMMANDS[2], tmp_path)
    steps = planned.partition(" to run;")[0].rpartition(" ")[2]
    assert int(steps) > 20
    assert f"{steps} steps were run, 0 were done before" in ran
    assert "rows." in reported and "missing" not in reported
    assert (tmp_path / "report.html").exists()
    assert "all sound" in checked


def test_its_study_plans() -> None:
    study = next(body for word, body in FENCES if word == "python" and "def goals(" in body)
    made: dict[str, object] = {}
    exec(study, made)
    graph = graph_of(made["goals"](levels=2, seeds=(0,)))  # type: ignore[operator]
    assert [dict(goal.labels) for goal in graph.goals] == [{"level": level, "seed": 0} for level in range(3)]
    assert [call.function.name for call in graph.calls.values()] == ["draw", "train", "cut", "train", "cut", "train"]


def test_every_file_that_it_names_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    places = re.findall(r"^\| (`.*?`) \|", README, flags=re.MULTILINE)
    assert len(links) > 5 and len(places) > 10
    named = links + [place for cell in places for place in re.findall(r"`([^`]+)`", cell)]
    assert not [one for one in named if not (ROOT / one).exists() and not (ROOT / "tombola" / one).exists()]


@pytest.mark.slow
def test_the_plugin_is_used_by_its_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "relative.py").write_text(PLUGIN)
    assert (tmp_path / "relative.py").name in COMMANDS[3][0]
    _, verified = run(COMMANDS[3], tmp_path)
    assert "criterion=relative()" in verified
