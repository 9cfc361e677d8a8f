"""The README's commands run word for word, and its numbers that do not depend on the machine are those of today."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
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


def test_there_are_four_commands_and_a_notebook_of_ten_lines() -> None:
    assert [len(block) for block in COMMANDS] == [4, 2]
    notebook = next(body for word, body in FENCES if word == "python")
    assert len([line for line in notebook.splitlines() if line]) == 10


@pytest.mark.slow
def test_the_commands_run(tmp_path: pathlib.Path) -> None:
    found, *_ = run(COMMANDS[0], tmp_path)
    assert len(lasting(TABLE)) == 6
    assert lasting(found) == lasting(TABLE)


@pytest.mark.slow
def test_the_plugin_is_used_by_its_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lamp.py").write_text(PLUGIN)
    assert (tmp_path / "lamp.py").name in COMMANDS[1][0]
    _, verified = run(COMMANDS[1], tmp_path)
    assert "criterion=lamp()" in verified
