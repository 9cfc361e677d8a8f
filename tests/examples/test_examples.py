"""Every example runs as its first lines say, in a folder of its own, and says what it promises."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
QUICK = {"05_store.py"}
STUDIES = {"06_study.py"}
ELSEWHERE = {"01_find.py", "04_verify.py"}
"""These run in tests of their own."""


def marked(path: pathlib.Path) -> object:
    return pytest.param(path, id=path.stem, marks=[] if path.name in QUICK else [pytest.mark.slow])


def run(path: pathlib.Path, folder: pathlib.Path) -> str:
    study = ["-c", "from tombola.cli import main; main()", "run"] if path.name in STUDIES else []
    done = subprocess.run(
        [sys.executable, "-W", "error", *study, str(path)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", [marked(path) for path in EXAMPLES if path.name not in ELSEWHERE])
def test_the_example_runs(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(path, tmp_path).strip()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_opens_with_its_question_and_its_command(path: pathlib.Path) -> None:
    text = path.read_text()
    question, _, command, *_ = text.removeprefix('"""').split("\n")
    assert question.endswith("?")
    assert command == f"{'tombola run' if path.name in STUDIES else 'python'} examples/{path.name}"
    assert 20 <= len(text.splitlines()) <= 60


@pytest.mark.slow
def test_the_second_run_of_an_example_loads_what_the_first_made(tmp_path: pathlib.Path) -> None:
    path = ROOT / "examples" / "01_find.py"
    first = run(path, tmp_path)
    results = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*/*/record.json")}
    assert results
    assert run(path, tmp_path) == first
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*/*/record.json")} == results


@pytest.mark.slow
def test_the_forgery_is_found_out(tmp_path: pathlib.Path) -> None:
    said = run(ROOT / "examples" / "04_verify.py", tmp_path)
    assert [line for line in said.splitlines() if line.endswith("sound")] == [
        "the file alone: sound",
        "with the store that has its parents: sound",
        "by running every call of its lineage again: sound",
        "a forgery: NOT sound",
    ]
