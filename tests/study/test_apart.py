"""Results of several environments in the upkeep of a store: they are listed, checked, swept, exported and imported."""

import json
import os
import pathlib
import time
from typing import Any

import pytest
import torch

from tests.study.toys import COMMON, Sum
from tombola.core.machine import Machine
from tombola.core.measurement import Measurement
from tombola.study.audit import audit, count
from tombola.study.deferred import defer
from tombola.study.environment import environment, in_words, name_of
from tombola.study.exchange import Taken, export, take_in
from tombola.study.goals import row
from tombola.study.keeper import Keeper
from tombola.study.record import digest, read_record, seal
from tombola.study.step import Context, step
from tombola.study.store import Store
from tombola.study.upkeep import entries, sweep, totals

ONE, TWO = Machine(), Machine(threads=2)
HERE, THERE = environment(ONE), environment(TWO)


@step("toy_apart")
def rounds(number: float, *, context: Context = Context()) -> Sum:
    total = number + context.machine.threads / 1000
    return Sum(torch.full((1,), total), total, torch.full((8,), total))


@step("toy_even")
def even(number: float) -> Sum:
    """The same bits wherever it runs."""
    return Sum(torch.full((1,), number), number, COMMON)


@step("toy_told")
def told(number: float, *, context: Context = Context()) -> Measurement:
    return Measurement({"number": number + context.machine.threads / 1000})


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for machine in (ONE, TWO):
        store = Store(tmp_path / "runs", machine=machine, reuse="same")
        store(rounds, 1.0)
        store(told, 1.0)
    return tmp_path / "runs"


KEY, TOLD = rounds.call(1.0).key, told.call(1.0).key
APART = f"{KEY}@{name_of(THERE)}"


def notes(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in (folder / "noted").glob("*/*"))


def rewrite(path: pathlib.Path, **changes: Any) -> None:
    path.write_bytes(seal({**read_record(path), **changes}))


def place(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / name.replace(":", "/")


def test_all_are_listed_with_their_environments(folder: pathlib.Path):
    found = list(entries(Keeper(folder), "toy_apart"))
    assert [(one.key, one.state, one.environment) for one in found] == [
        (KEY, "stored", in_words(HERE)), (KEY, "stored", in_words(THERE))]  # fmt: skip
    assert [one.results for one in totals(Keeper(folder))] == [2, 2]
    place(folder, APART).joinpath("record.json").write_text("x")
    assert [(one.state, one.environment) for one in entries(Keeper(folder), "toy_apart")] == [
        ("stored", in_words(HERE)), ("damaged", "")]  # fmt: skip


def test_all_are_checked(folder: pathlib.Path):
    found = list(audit(Keeper(folder)))
    assert [one for one in found if one.problems or one.notes] == [] and len(found) == count(Keeper(folder)) == 6
    assert [one.name for one in found[:2]] == [KEY, APART]
    values = place(folder, APART) / "values.safetensors"
    values.write_bytes(values.read_bytes()[:-1] + b"x")
    (bad,) = [one for one in audit(Keeper(folder)) if one.problems]
    assert (bad.name, bad.path) == (APART, place(folder, APART))


def test_what_lies_apart_under_a_wrong_name_is_bad(folder: pathlib.Path):
    place(folder, APART).rename(place(folder, f"{KEY}@01234567"))
    (bad,) = [one for one in audit(Keeper(folder)) if one.problems]
    assert bad.problems == (f"it lies apart as that of another environment than {in_words(THERE)}",)


def test_a_strange_environment_is_bad(folder: pathlib.Path):
    rewrite(place(folder, KEY) / "record.json", environment={"device": 3})
    (bad,) = [one for one in audit(Keeper(folder)) if one.problems]
    assert bad.name == KEY and bad.problems[0].startswith(f"the record of {KEY} tells no sound environment")


def test_an_environment_that_is_not_listed_is_worth_a_note(folder: pathlib.Path):
    marker = folder / "store.json"
    content = json.loads(marker.read_text())
    del content["environments"][name_of(THERE)]
    marker.write_text(json.dumps(content))
    found = [one for one in audit(Keeper(folder)) if one.problems or one.notes]
    assert [one.name for one in found] == [APART, f"{TOLD}@{name_of(THERE)}"]
    assert found[0].problems == () and found[0].notes == (
        f"store.json does not list its environment ({in_words(THERE)}); take 'environments' out of it",
    )


def swept(folder: pathlib.Path, **options: Any) -> list[tuple[str, str]]:
    return [(one.what, one.name) for one in sweep(Keeper(folder), act="remove", **options)]


def age(folder: pathlib.Path) -> None:
    then = time.time() - 7_200
    for path in (folder / "blobs").iterdir():
        os.utime(path, (then, then))


def test_what_lies_apart_stays_with_its_key_and_goes_with_it(folder: pathlib.Path):
    age(folder)
    assert swept(folder) == [] and swept(folder, keep={KEY, TOLD}) == []  # Its shared files are named too.
    gone = swept(folder, keep={TOLD})
    assert [name for what, name in gone if what == "result"] == [KEY.replace(":", "/"), APART.replace(":", "/")]
    assert sum(what == "shared file" for what, _ in gone) == 2
    assert {key for key, _ in Keeper(folder).results()} == {TOLD}


def test_half_done_work_goes_when_its_own_environment_has_finished(folder: pathlib.Path):
    third = name_of(environment(Machine(threads=3)))
    name = KEY.replace(":", "-")
    for half in (name, f"{name}@{name_of(THERE)}", f"{name}@{third}", f"{name}@odd"):
        (folder / "partial" / half).mkdir(parents=True)
    assert [key for key, _ in Keeper(folder).half_done()] == [KEY] * 3
    assert [one.key for one in entries(Keeper(folder), "toy_apart") if one.state == "partial"] == [KEY] * 3
    assert swept(folder) == [
        ("half-done work", f"partial/{name}"),
        ("half-done work", f"partial/{name}@{name_of(THERE)}"),
    ]
    assert swept(folder, keep={TOLD})[-1] == ("half-done work", f"partial/{name}@{third}")


def test_rows_go_out_with_their_environment(folder: pathlib.Path, tmp_path: pathlib.Path):
    goals = [row(defer(told, 1.0), seed=0)]
    export(goals, Store(folder, machine=TWO, reuse="same"), tmp_path / "there", study="s")
    head, line = (tmp_path / "there" / "rows.csv").read_text().splitlines()
    written = dict(zip(head.split(","), line.replace('"', "").split(","), strict=False))
    assert {n: written[f"environment.{n}"] for n in THERE} == THERE
    assert json.loads((tmp_path / "there" / "rows.jsonl").read_text())["record"]["environment"] == THERE


def test_a_row_of_another_environment_is_taken_in_beside(folder: pathlib.Path, tmp_path: pathlib.Path):
    goals = [row(defer(told, 1.0), seed=0)]
    lines: list[str] = []
    for machine in (ONE, TWO):
        export(goals, Store(folder, machine=machine, reuse="same"), tmp_path / "out", study="s")
        lines.append((tmp_path / "out" / "rows.jsonl").read_text())
    both = tmp_path / "both.jsonl"
    both.write_text("".join(lines))
    target = Store(tmp_path / "target")
    name = f"{TOLD.partition(':')[2]}"
    for how in ("taken", "there"):
        assert [one.how for one in take_in(both, target)] == [how, how]
    assert notes(target.folder) == [f"{name}.json", f"{name}@{name_of(THERE)}.json"]
    assert set(target.environments() or {}) == {name_of(HERE), name_of(THERE)}
    assert target.record(TOLD)["numbers"] == {"number": 1.001}
    assert Store(target.folder, machine=TWO, reuse="same").record(TOLD)["numbers"] == {"number": 1.002}
    changed = json.loads(lines[1])
    changed["record"] |= {"header": {**changed["record"]["header"], "values": {"number": 9.0}}}
    changed["digest"] = digest(changed["record"])
    both.write_text(json.dumps(changed))
    (refused,) = take_in(both, target)
    assert refused.how == "refused" and "holds another value under this key" in refused.why
    assert [one for one in audit(Keeper(target.folder)) if one.problems] == []


def test_a_row_beside_a_result_comes_from_another_store(folder: pathlib.Path, tmp_path: pathlib.Path):
    """The other store made the call here and has imported what it gives there."""
    record = Store(folder, machine=TWO, reuse="same").record(TOLD)
    other = Store(tmp_path / "other")
    other(told, 1.0)
    Keeper(other.folder).keep_note({**record, "key": TOLD})
    plain = other.plain_note(TOLD)
    plain.rename(plain.with_name(f"{plain.stem}@{name_of(THERE)}.json"))
    target = Store(tmp_path / "target")
    assert [one.how for one in take_in(other.folder, target)] == ["taken", "taken"]
    assert Store(target.folder, machine=TWO, reuse="same").record(TOLD)["numbers"] == {"number": 1.002}
    assert target.record(TOLD)["numbers"] == {"number": 1.001} and target.present() == {TOLD}


def test_results_of_all_environments_come_from_another_store(folder: pathlib.Path, tmp_path: pathlib.Path):
    target = Store(tmp_path / "target")
    target(even, 1.0)
    Store(folder, machine=TWO)(even, 1.0)
    assert sorted(one.how for one in take_in(folder, target)) == ["taken"] * 4 + ["there"]
    for machine, total in ((ONE, 1.001), (TWO, 1.002)):
        assert Store(target.folder, machine=machine, reuse="same").load(KEY, Sum).total == total
    assert list(take_in(folder, target)) == [
        Taken(key, "there") for key in sorted([KEY, KEY, TOLD, TOLD, even.call(1.0).key])
    ]
    assert [one for one in audit(Keeper(target.folder)) if one.problems or one.notes] == []
