"""`tombola probe`: measurements of files, and what is said where they do not fit."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.command_line import Run, runner
from tombola import probes
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.find import cut, draw
from tombola.probes.barrier import barrier
from tombola.probes.distance import distance
from tombola.probes.gradient_flow import gradient_flow
from tombola.probes.known import entries
from tombola.probes.overlap import overlap
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

TASK, RECIPE = Digits(), Recipe(steps=10, batch=60)


@pytest.fixture(scope="module")
def networks() -> list[Trained]:
    ticket = cut(train(draw(Mlp(hidden=(6,)), TASK, RECIPE), TASK, RECIPE), keep=0.5)
    return [train(ticket, TASK, RECIPE, Seeds(0, data=noise)) for noise in (1, 2)]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, networks: list[Trained]
) -> Iterator[Run]:
    """Runs `tombola probe` in a folder with two trained networks and their ticket."""
    monkeypatch.chdir(tmp_path)
    for name, one in zip(("one", "two"), networks, strict=True):
        one.save(f"{name}.trained")
    for name in ("first", "a b"):
        networks[0].ticket.save(f"{name}.ticket")
    yield runner(capsys, "probe")


def test_numbers_checks_and_tables(command: Run, networks: list[Trained]):
    text = "barrier(points=5, splits=(test,))"
    found = command(text, "one.trained", "two.trained", "--json")
    expected = barrier(*networks, points=5, splits=("test",))
    assert found.code == 0 and found.json["numbers"] == expected.numbers() and found.json["probe"] == "barrier"
    assert found.json["tables"]["curve"] == [dict(line) for line in expected.tables["curve"]]
    assert found.json["key"].startswith("barrier:") and found.json["pictures"] == []
    shown = command(text, "one.trained", "two.trained")
    assert "test error barrier points" in shown.out and "curve (5 lines)" in shown.out
    assert "points                            5 " in shown.out


def test_a_check_is_told(command: Run):
    found = command("instability(points=3)", "one.trained", "two.trained")
    assert found.code == 0 and "ok: twins" in found.out


def test_files_go_where_they_fit(command: Run, networks: list[Trained]):
    ticket = networks[0].ticket
    one = command("distance", "one.trained", "two.trained", "first.ticket", "--json").json["numbers"]
    assert one == distance(tuple(networks), ticket).numbers() and "angle_0_to_init" in one
    mixed = command("overlap", "first.ticket", "one.trained", "--json").json["numbers"]
    assert mixed == overlap(ticket, networks[0]).numbers()


def test_a_file_that_is_given_twice_is_two(command: Run):
    same = command("disagreement", "one.trained", "one.trained", "--json").json["numbers"]
    assert same["disagreement"] == 0 and same["accuracy_a"] == same["accuracy_b"]


def test_data_and_recipe_are_those_of_the_network_or_named(command: Run, networks: list[Trained]):
    for file, one in (("first.ticket", networks[0].ticket), ("one.trained", networks[0])):
        found = command("gradient_flow(examples=100)", file, "--json").json["numbers"]
        assert found == gradient_flow(one, TASK, RECIPE, examples=100).numbers()
    held = command("gradient_flow(examples=100)", "one.trained", "--recipe", "recipe(validation=0.5)", "--json")
    assert held.json["numbers"] != found
    there = command("disagreement", "one.trained", "two.trained", "--task", "rotated(degrees=90)", "--json").json
    assert there["numbers"]["accuracy_a"] < 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("barier",), "no probe called 'barier'. Did you mean 'barrier'"),
        (("barrier(pints=3)", "one.trained", "two.trained"), "no setting of barrier called 'pints'. Did you mean"),
        (("barrier", "one.trained"), "there is no file for 'b'"),
        (("barrier", "one.trained", "first.ticket"), "no file for 'b'. first.ticket is none: train it (tombola train"),
        (("barrier", "one.trained", "a b.ticket"), 'a b.ticket is none: train it (tombola train "a b.ticket" --out'),
        (("barrier", "one.trained", "two.trained", "first.ticket"), "first.ticket is left over"),
        (("overlap", "one.trained", "two.trained", "--task", "mnist"), "overlap takes no --task. Leave it out."),
        (("shift", "--task", "mnist"), 'shift takes no --task. Write "shift(a=..., b=...)".'),
        (("outcomes(task=digits)", "one.trained"), "outcomes: the task has an option of its own: --task TEXT"),
        (("barrier(points=2)", "one.trained", "two.trained"), "2 points. Its ends and one between them are 3"),
        (("detection", "one.trained"), 'detection needs outside: write "detection(outside=...)"'),
    ],
)
def test_what_does_not_fit_is_said(command: Run, words: tuple[str, ...], message: str):
    found = command(*words)
    assert found.code == 2 and message in found.err and not found.out


def test_a_file_that_is_not_there(command: Run):
    found = command("barrier", "one.trained", "three.trained")
    assert found.code == 1 and "cannot read three.trained" in found.err


def test_every_probe_is_listed(capsys: pytest.CaptureFixture[str]):
    found = runner(capsys)("list", "probe")
    for entry in entries():
        assert entry.name in found.out
    (here,) = probes.__path__
    steps = {path.stem for path in pathlib.Path(here).glob("*.py") if f'@step("{path.stem}"' in path.read_text()}
    assert steps == {entry.name for entry in entries()} and len(steps) > 15
