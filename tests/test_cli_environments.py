"""Results of several environments on the command line: `plan`, `run` and `report` tell of them, `--reuse` decides."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.command_line import Run, runner, studies
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.study.deferred import Deferred
from tombola.study.environment import environment, in_words, name_of
from tombola.study.module import open_study
from tombola.study.provenance import cores
from tombola.study.record import read_record, seal
from tombola.study.store import Store

STUDY = '''"""Do threads matter?"""

from tombola.core.measurement import Measurement
from tombola.core.seeds import Seeds
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.step import Context, step


@step("toy_turn")
def turn(seeds: Seeds, *, context: Context = Context()) -> Measurement:
    return Measurement({"number": seeds.seed + context.machine.threads / 1000})


@step("toy_return")
def back(of: Measurement) -> Measurement:
    return Measurement({"number": of.values["number"]})


def goals(*, numbers: int = 3):
    for number in range(numbers):
        yield row(defer(back, of=defer(turn, seeds=Seeds(number))), number=number)
'''
HERE, THERE = environment(Machine()), environment(Machine(threads=2))
TWO = ("--machine", "machine(threads=2)")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> Iterator[Run]:
    """Runs a command in this process, in a folder with a study and a store with its first two rows."""
    with studies(monkeypatch, tmp_path, turns=STUDY):
        for goal in open_study("turns.py(numbers=2)").goals():
            made(Store("runs"), goal.of)
        yield runner(capsys)


def made(store: Store, call: Deferred) -> None:
    (behind,) = call.inputs
    store(call.function, of=store(behind.function, **behind.call.arguments))


def test_a_plan_with_one_environment_says_nothing_of_it(command: Run):
    told = command("plan", "turns.py")
    assert told.code == 0 and "environment" not in told.out
    assert command("plan", "turns.py", "--json").json["elsewhere"] == {}


def test_a_plan_tells_what_other_environments_made_and_what_counts(command: Run):
    told = command("plan", "turns.py", *TWO).out
    assert "6 steps: 4 stored, 2 to run; 2 of 3 rows are there." in told
    assert (
        f"4 of the stored steps come from another environment (4 from {in_words(HERE)}); they count as done "
        "(--reuse same makes them again here)."
    ) in told
    told = command("plan", "turns.py", *TWO, "--reuse", "same").out
    assert "6 steps: 0 stored, 6 to run; 0 of 3 rows are there." in told
    assert (
        f"4 of the steps that are not stored from here are there from another environment (4 from {in_words(HERE)}); "
        "--reuse any counts them as done."
    ) in told
    json = command("plan", "turns.py", *TWO, "--reuse", "same", "--json").json
    assert (json["stored"], json["to_run"], json["elsewhere"]) == (0, 6, {in_words(HERE): 4})
    assert (json["afar"], json["unknown"]) == (6, 0)


def test_one_step_is_told_of_in_the_singular(command: Run):
    Store("runs", machine=Machine(threads=2))(open_study("turns.py").goals()[0].of.inputs[0].function, seeds=Seeds(2))
    assert (
        f"1 of the stored steps comes from another environment (1 from {in_words(THERE)}); it counts as done "
        "(--reuse same makes it again here)."
    ) in command("plan", "turns.py").out


def test_seconds_that_were_measured_elsewhere_are_called_so(command: Run):
    told = command("plan", "turns.py", *TWO).out
    assert "2 finished elsewhere" in told and "one after the other" in told and " (measured elsewhere); " in told
    told = command("plan", "turns.py").out
    assert "elsewhere" not in told and "2 finished" in told and "on one core" in told


def slow(seconds: float) -> None:
    """As if each stored call had taken so long."""
    for key in Store("runs").keys():
        path = Store("runs").home(key) / "record.json"
        record = read_record(path)
        path.write_bytes(seal({**record, "provenance": {**record["provenance"], "seconds": seconds}}))


def test_a_run_says_how_long_it_may_take_before_it_starts(command: Run):
    slow(600.0)
    told = command("run", "turns.py(numbers=4)", "--workers", "1")
    first, *rest = told.err.splitlines()
    assert first.startswith("4 steps to run. About 40 min 0 s on one core; ") and first.endswith(" of disk.")
    assert "turns" not in first and rest
    assert "to run" not in command("run", "turns.py(numbers=4)").err


@pytest.mark.skipif(cores() < 2, reason="there is one core")
def test_a_run_on_several_cores_is_quicker(command: Run):
    slow(600.0)
    told = command("run", "turns.py(numbers=4)", "--workers", "2")
    assert told.err.startswith("4 steps to run. About 40 min 0 s on one core, 20 min 0 s on 2 cores; ")


def test_a_run_makes_again_what_only_another_environment_made(command: Run):
    told = command("run", "turns.py", *TWO, "--reuse", "same", "--workers", "1", "--json")
    assert (told.json["done"], told.json["stored"]) == (6, 0)
    assert [one["numbers"]["number"] for one in told.json["rows"]] == [0.002, 1.002, 2.002]
    assert {one["environment"] for one in told.json["rows"]} == {in_words(THERE)}
    assert f"4 from {in_words(HERE)}" in told.err.splitlines()[0]
    again = command("run", "turns.py", *TWO, "--reuse", "same", "--workers", "1", "--json").json
    assert (again["done"], again["stored"]) == (0, 6)
    mixed = command("run", "turns.py", "--workers", "1", "--json").json
    assert [one["numbers"]["number"] for one in mixed["rows"]] == [0.001, 1.001, 2.002] and mixed["done"] == 0


def test_a_command_is_said_again_with_how_results_are_reused(command: Run):
    told = command("run", "turns.py", *TWO, "--reuse", "same", "--workers", "1").out
    assert told.rstrip().endswith('tombola report turns.py --machine "machine(threads=2)" --reuse same')


def test_a_report_of_several_environments_says_so(command: Run):
    made(Store("runs", machine=Machine(threads=2)), open_study("turns.py").goals()[2].of)
    told = command("report", "turns.py")
    assert "Careful. Rows come from 2 environments: " in told.out and in_words(THERE) in told.out
    assert told.out.count("3 rows.") == 1
    alone = command("report", "turns.py", "--reuse", "same", "--out", "same.html")
    assert "2 rows, 1 missing." in alone.out and "environments" not in alone.out
    assert f"made in another environment only ({in_words(THERE)})" in pathlib.Path("same.html").read_text()


def test_a_device_that_is_not_here_is_no_reason_not_to_plan(command: Run):
    told = command("plan", "turns.py", "--machine", "machine(device='cuda')")
    assert told.code == 0 and "4 of the stored steps come from another environment" in told.out


def test_an_unknown_way_of_reuse_is_a_mistake(command: Run):
    assert command("plan", "turns.py", "--reuse", "some").code == 2


def test_a_store_tells_of_its_environments(command: Run):
    key = open_study("turns.py").goals()[0].of.inputs[0].key
    assert "environments wrote to it" not in command("store", "ls").out
    heading = command("store", "ls", "toy_turn").out.splitlines()[0]
    assert heading.split()[-1] == "call" and "environment" not in heading
    for goal in open_study("turns.py(numbers=1)").goals():
        made(Store("runs", machine=Machine(threads=2), reuse="same"), goal.of)
    told = command("store", "ls").out
    assert "2 environments wrote to it:" in told and f"{name_of(THERE)}  {in_words(THERE)}" in told
    assert command("store", "ls", "--json").json["environments"] == {name_of(HERE): HERE, name_of(THERE): THERE}
    lines = [line for line in command("store", "ls", "toy_turn").out.splitlines() if line.startswith(key)]
    assert [in_words(one) in line for one, line in zip((HERE, THERE), lines, strict=True)] == [True, True]
    shown = command("store", "show", key).out
    apart = f"{key.replace(':', '/')}@{name_of(THERE)}"
    assert f"environment: {in_words(HERE)}" in shown
    assert f"also made in: {in_words(THERE)} (runs/{apart}/record.json)" in shown
    json = command("store", "show", key, "--json").json
    assert json["environment"] == HERE and json["others"] == {f"runs/{apart}/record.json": THERE}


def test_a_damaged_list_of_environments_gets_one_message(command: Run):
    pathlib.Path("runs/store.json").write_text('{"version": 2, "environments": {"01234567": {}}}')
    for words in (("plan", "turns.py"), ("run", "turns.py"), ("report", "turns.py"), ("store", "ls")):
        told = command(*words)
        assert told.code == 1 and told.err.count("tombola: ") == 1
        assert "Take 'environments' out of it: the list is made again" in told.err
    pathlib.Path("runs/store.json").write_text('{"version": 2}')
    assert "6 steps: 4 stored, 2 to run" in command("plan", "turns.py").out
