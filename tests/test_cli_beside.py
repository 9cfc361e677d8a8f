"""`tombola run STUDY --beside OTHER`: what both need runs once, in one go; each has its own rows and its own page."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.command_line import Run, runner, studies
from tombola.study.events import read_events

STUDY = '''"""{title}"""

from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.find import draw
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe


def goals(*, seeds: tuple[int, ...] = {seeds}):
    task, recipe = Digits(), Recipe(steps=20, batch=60)
    for seed in seeds:
        dense = defer(draw, Mlp(hidden=(4,)), task, recipe, Seeds(seed))
        yield row(defer(train, dense, task, recipe, Seeds(seed)), seed=seed)
'''


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> Iterator[Run]:
    """Runs a command in this process, in a folder with two studies that share one of their seeds."""
    texts = {"one": STUDY.format(title="One?", seeds=(0, 1)), "two": STUDY.format(title="Two?", seeds=(1, 2))}
    with studies(monkeypatch, tmp_path, **texts):
        yield runner(capsys)


@pytest.mark.parametrize("machine", ["machine", "machine(fleet=3)"])
def test_both_run_and_the_rows_stay_apart(command: Run, machine: str):
    found = command("run", "one.py", "--beside", "two.py", "--machine", machine, "--workers", "1", "--json")
    assert found.code == 0 and found.json["done"] == 6  # Three drawn and three trained: seed 1 once.
    assert [one["labels"] for one in found.json["rows"]] == [{"seed": 0}, {"seed": 1}]
    (log,) = pathlib.Path("runs", "studies").glob("*/events.jsonl")
    rows = [one for one in read_events(log) if one["event"] == "row"]
    assert sorted(one["labels"]["seed"] for one in rows) == [0, 1]
    assert command("plan", "two.py", "--json").json["to_run"] == 0
    other = command("report", "two.py", "--page-only", "--json")
    assert [one["labels"] for one in other.json["rows"]] == [{"seed": 1}, {"seed": 2}]


def test_the_command_is_said_again_with_its_companions(command: Run):
    command("run", "one.py", "--beside", "two.py", "--workers", "1")
    (log,) = pathlib.Path("runs", "studies").glob("*/events.jsonl")
    (begun,) = (one for one in read_events(log) if one["event"] == "run")
    assert begun["command"] == "tombola run one.py --workers 1 --beside two.py"


def test_a_companion_that_is_not_there_is_refused_before_anything_runs(command: Run):
    found = command("run", "one.py", "--beside", "three.py")
    assert found.code == 2 and "three.py" in found.err and not pathlib.Path("runs").exists()
