"""Rows of a study to a table and back, and results from store to store."""

import csv
import json
import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow.parquet
import pytest
import torch

from tests.study.toys import RUNS, Sum, add
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.measurement import Measurement
from tombola.core.plugin import plugin
from tombola.study.audit import audit
from tombola.study.deferred import Deferred, defer
from tombola.study.exchange import Taken, export, export_inputs, take_in
from tombola.study.goals import Goal, row
from tombola.study.graph import graph_of
from tombola.study.keeper import Keeper
from tombola.study.record import digest, seal
from tombola.study.settings import settings_of
from tombola.study.step import step
from tombola.study.store import Store


@plugin("toy", "toy_optimizer_of_exchange")
class Optimizer:
    lr: float = 0.1
    word: str = "sgd"


@plugin("toy", "toy_recipe_of_exchange")
class Recipe:
    steps: int = 5
    optimizer: Any = Optimizer()
    hidden: tuple[int, ...] = (6, 5)
    several: tuple[Any, ...] = (Optimizer(), Optimizer(lr=0.5))
    clip: float | None = None

    def __identity__(self) -> dict[str, Any]:
        return {"data": "f00d"}


@step("toy_measure")
def measure(of: Sum, recipe: Recipe = Recipe(), scale: float = 1.0) -> Measurement:
    return Measurement({"total": of.total * scale, "level": 7.0}, {"is finite": True})


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    return Store(tmp_path / "runs")


def goals() -> list[Goal]:
    found: list[Goal] = []
    for seed in range(3):
        start = defer(add, float(seed))
        grown = defer(add, 0.5, to=start, times=2)
        of = defer(measure, of=grown, recipe=Recipe(optimizer=Optimizer(lr=0.2)))
        found.append(row(of, seed=seed, level=2 * seed, name=f"name, {seed}", even=seed % 2 == 0))
    return found


def run(store: Store, some: list[Goal]) -> None:
    def made(call: Deferred) -> Any:
        arguments = {n: made(v) if isinstance(v, Deferred) else v for n, v in call.call.arguments.items()}
        return store(call.function, **arguments)

    for goal in some:
        made(goal.of)


def rows(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def hows(taken: list[Taken]) -> Mapping[str, int]:
    return Counter(one.how for one in taken)


def test_every_setting_of_a_result_is_resolved():
    (goal, *_) = goals()
    found = settings_of(goal.of)
    grown, start = goal.of.inputs[0], goal.of.inputs[0].inputs[0]
    assert found == {
        "toy_measure.of": grown.key,
        "toy_measure.recipe": str(goal.of.call.arguments["recipe"]),
        "toy_measure.recipe.steps": 5,
        "toy_measure.recipe.optimizer": "toy_optimizer_of_exchange(lr=0.2)",
        "toy_measure.recipe.optimizer.lr": 0.2,
        "toy_measure.recipe.optimizer.word": "sgd",
        "toy_measure.recipe.hidden": "(6, 5)",
        "toy_measure.recipe.several.0": "toy_optimizer_of_exchange()",
        "toy_measure.recipe.several.0.lr": 0.1,
        "toy_measure.recipe.several.0.word": "sgd",
        "toy_measure.recipe.several.1": "toy_optimizer_of_exchange(lr=0.5)",
        "toy_measure.recipe.several.1.lr": 0.5,
        "toy_measure.recipe.several.1.word": "sgd",
        "toy_measure.recipe.clip": None,
        "toy_measure.recipe.data": "f00d",
        "toy_measure.scale": 1.0,
        "toy_add.number": 0.5,  # Of the nearest call, not of the one that it was made of.
        "toy_add.to": start.key,
        "toy_add.times": 2,
    }


def test_of_equally_near_calls_the_first_named_counts():
    @step("toy_two")
    def two(a: Sum, b: Sum) -> Sum:
        return a

    found = settings_of(defer(two, a=defer(add, 1.0, to=defer(add, 5.0)), b=defer(add, 2.0)))
    assert found["toy_add.number"] == 1.0


def test_rows_are_written_as_tables_and_as_lines(store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    done = export(goals(), store, tmp_path / "out", study="depth.py(levels=3)")
    assert (done.rows, done.missing, done.damaged) == (3, (), ())
    assert [path.name for path in done.files] == ["rows.csv", "rows.parquet", "rows.jsonl"]
    with open(tmp_path / "out" / "rows.csv", newline="") as file:
        read = list(csv.DictReader(file))
    one = goals()[1]
    record = store.record(one.of.key)
    assert [line["seed"] for line in read] == ["0", "1", "2"]
    line = read[1]
    assert (line["study"], line["name"], line["level"]) == ("depth.py(levels=3)", "name, 1", "2")
    assert (line["even"], line["total"], line["numbers.level"]) == ("false", "2.0", "7.0")  # 'level' is a label here.
    assert (line["checks.is finite"], line["key"], line["call"]) == ("true", one.of.key, record["call"])
    assert line["provenance.torch"] == torch.__version__
    assert line["provenance.seconds"] == str(record["provenance"]["seconds"])
    settings = settings_of(one.of)
    assert {name: line[name] for name in settings} == {
        name: "" if value is None else str(value) for name, value in settings.items()
    }
    table = pyarrow.parquet.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    assert table[1] == {
        "study": "depth.py(levels=3)",
        **one.labels,
        "total": 2.0,
        "numbers.level": 7.0,
        "checks.is finite": True,
        "key": one.of.key,
        "call": record["call"],
        **{f"environment.{name}": value for name, value in record["environment"].items()},
        **{f"provenance.{name}": value for name, value in record["provenance"].items()},
        **settings,
    }
    assert rows(tmp_path / "out")[1] == {
        "study": "depth.py(levels=3)",
        "labels": dict(one.labels),
        "record": record,
        "digest": digest(record),
    }


def test_columns_of_mixed_kinds_fit_into_a_table(store: Store, tmp_path: pathlib.Path):
    labels: list[dict[str, Any]] = [
        {"mixed": "all", "number": 1, "many": 2**80, "some": True, "study": "mine"},
        {"mixed": 3, "number": 0.5, "many": 1},
    ]
    some = [row(defer(add, float(i)), **one) for i, one in enumerate(labels)]
    run(store, some)
    export(some, store, tmp_path, study="s")
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pydict()
    assert (table["mixed"], table["number"]) == (["all", "3"], [1.0, 0.5])
    assert (table["many"], table["some"]) == ([str(2**80), "1"], [True, None])
    assert (table["study"], table["labels.study"]) == (["s", "s"], ["mine", None])


def test_rows_that_are_not_there_or_damaged_are_counted(store: Store, tmp_path: pathlib.Path):
    some = goals()
    with pytest.raises(Failed, match="^s: none of its 3 rows is in .*; nothing was written. Run it first: tombola run"):
        export(some, store, tmp_path / "out", study="s")
    assert not (tmp_path / "out").exists()
    run(store, some[:2])
    (store.home(some[0].of.key) / "record.json").write_text("{")
    done = export(some, store, tmp_path / "out", study="s")
    assert (done.rows, done.missing, done.damaged) == (1, (some[2].of.key,), (some[0].of.key,))


def test_exported_rows_count_as_done_elsewhere(store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    export(goals(), store, tmp_path / "out", study="s")
    other = Store(tmp_path / "other")
    for path in (tmp_path / "out", tmp_path / "out" / "rows.jsonl"):
        assert hows(list(take_in(path, other))) == ({"taken": 3} if path.is_dir() else {"there": 3})
    assert other.noted() == {goal.of.key for goal in goals()} and other.present() == set()
    for goal in goals():
        assert other.record(goal.of.key) == store.record(goal.of.key)
    assert [finding for finding in audit(Keeper(other.folder)) if finding.problems] == []
    again = export(goals(), other, tmp_path / "again", study="s")  # And they can be passed on.
    assert again.rows == 3
    for name in ("rows.csv", "rows.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert hows(list(take_in(tmp_path / "out", store))) == {"there": 3} and store.noted() == set()


def test_a_study_that_was_stopped_goes_on_elsewhere(store: Store, tmp_path: pathlib.Path):
    open_rows, out = goals(), tmp_path / "out"
    begun = [row(one.of.call.arguments["of"], **one.labels | {"name": "begun"}) for one in open_rows]
    graph = graph_of([*begun, *open_rows])
    run(store, begun[:2])
    export(graph.goals, store, out, study="s")
    assert export_inputs(graph, Keeper(store.folder), out) == [one.of.key for one in begun[:2]]
    bare, other = Store(tmp_path / "bare"), Store(tmp_path / "other")
    list(take_in(out / "rows.jsonl", bare))
    assert len(graph.needed(present=bare.present(), noted=bare.noted())) == 9
    assert hows(list(take_in(out, other))) == {"taken": 4}
    open_there = graph.needed(present=other.present(), noted=other.noted())
    assert [key for key in open_there if key.startswith("toy_measure:")] == [one.of.key for one in open_rows]
    assert len(open_there) == 3 + 2
    before = list(RUNS)
    for one in open_rows[:2]:
        of = other.load(one.of.call.arguments["of"].key, Sum)
        other(measure, **{**one.of.call.arguments, "of": of})
    assert before == RUNS and len(graph.needed(present=other.present(), noted=other.noted())) == 3
    assert [finding for finding in audit(Keeper(other.folder)) if finding.problems] == []
    assert hows(list(take_in(out, other))) == {"there": 4}
    run(other, [begun[2], open_rows[2]])
    export(open_rows, other, tmp_path / "back", study="s")
    list(take_in(tmp_path / "back", store))
    for one in (store, other):  # In the first the last rows are numbers alone, and still they are not open.
        assert export_inputs(graph, Keeper(one.folder), tmp_path / "done") == []
    assert not (tmp_path / "done").exists()


def test_damaged_inputs_are_not_handed_over(store: Store, tmp_path: pathlib.Path):
    run(store, [row(goals()[0].of.call.arguments["of"])])
    (blob, *_) = [path for path in store.folder.rglob("*") if path.suffix == ".safetensors"]
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match="does not match its checksum"):
        export_inputs(graph_of(goals()), Keeper(store.folder), tmp_path / "out")


def altered(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A line about an altered record that was closed again."""
    changed = record | changes
    return {"record": changed, "digest": digest(changed)}


def test_bad_rows_are_refused_and_the_others_taken(store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    export(goals(), store, tmp_path, study="s")
    one, two, three = (line["record"] for line in rows(tmp_path))
    path = tmp_path / "mixed.jsonl"
    lines: list[tuple[Any, str]] = [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ([1], "it has no record"),
        ({"labels": {}}, "it has no record"),
        ({"record": one}, "its record does not match its digest"),
        ({"record": one | {"numbers": {"total": 9.0}}, "digest": digest(one)}, "its record does not match its digest"),
        (altered(one, key="toy_measure:0123456789abcdef"), "but its arguments give toy_measure:"),
        (altered(one, arguments=two["arguments"]), "but its arguments give toy_measure:"),
        (altered(one, arguments={"number": "\ud800"}), "its arguments are no canonical data"),
        (altered(one, key="\ud800"), "'\\ud800' is no key of a step"),
        (altered(one, key=[1]), "its record has no sound 'key'"),
        (altered(one, function="blobs"), "but its arguments give blobs:"),
        (altered(one, checks=None), "its record has no sound 'checks'"),
        ({"record": three, "digest": digest(three)}, ""),
    ]
    path.write_text("\n\n".join(line if isinstance(line, str) else json.dumps(line) for line, _ in lines))
    other = Store(tmp_path / "other")
    taken = list(take_in(path, other))
    assert [one.how for one in taken] == ["refused"] * 13 + ["taken"]
    for found, (_, why) in zip(taken, lines, strict=True):
        assert why in found.why
    assert taken[4].name == f"line 9, {one['key']}"
    assert other.noted() == {three["key"]} == {one.key for one in [goals()[2].of]}


@pytest.mark.parametrize("where", ["stored", "noted"])
def test_two_values_under_one_key_are_refused(where: Literal["stored", "noted"], store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    export(goals(), store, tmp_path / "out", study="s")
    if where == "noted":
        store = Store(tmp_path / "other")
        list(take_in(tmp_path / "out", store))
    one, two, _ = (line["record"] for line in rows(tmp_path / "out"))
    other = altered(one, header=one["header"] | {"numbers": {"total": 9.0}})
    faster = altered(two, provenance=two["provenance"] | {"seconds": 0.0})
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(other)}\n{json.dumps(faster)}\n")
    first, second = take_in(path, store)
    assert (first.how, second.how) == ("refused", "there")  # Another machine may be faster, but not of another mind.
    assert f"{store.folder} holds another value under this key" in first.why
    assert store.record(one["key"]) == one


def test_a_damaged_row_makes_room_for_a_sound_one(store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    export(goals(), store, tmp_path, study="s")
    other = Store(tmp_path / "other")
    list(take_in(tmp_path, other))
    key = goals()[0].of.key
    Keeper(other.folder).note(key).write_text("{")
    assert hows(list(take_in(tmp_path, other))) == {"taken": 1, "there": 2}
    assert other.record(key) == store.record(key) and len(list((other.folder / "damaged").iterdir())) == 1


def test_results_are_copied_from_another_store(store: Store, tmp_path: pathlib.Path):
    run(store, goals())
    key = add.call(3.0).key
    elsewhere = Store(tmp_path / "elsewhere")
    elsewhere(add, 3.0)
    export([row(defer(add, 3.0))], elsewhere, tmp_path / "out", study="s")
    list(take_in(tmp_path / "out", store))
    other = Store(tmp_path / "other")
    taken = list(take_in(store.folder, other))
    assert hows(taken) == {"taken": 10} and other.present() == store.present() and other.noted() == {key}
    assert [finding for finding in audit(Keeper(other.folder)) if finding.problems] == []
    assert len(list((other.folder / "blobs").iterdir())) == 1
    before = list(RUNS)
    run(other, goals())
    assert before == RUNS and list((other.folder / "tmp").iterdir()) == []
    assert hows(list(take_in(store.folder, other))) == {"there": 10}
    assert hows(list(take_in(elsewhere.folder, other))) == {"taken": 1}  # The row was known, now its files are here.
    assert torch.equal(other.load(key, Sum).values, torch.tensor([3.0]))


def test_what_is_damaged_in_the_other_store_is_refused_and_the_rest_taken(store: Store, tmp_path: pathlib.Path):
    keys = [store(add, float(number)).key for number in range(5)]
    (store.home(keys[0]) / "record.json").write_text("{")
    (store.home(keys[1]) / "rows.jsonl").write_text("{}")
    (store.home(keys[2]) / "values.safetensors").unlink()
    path = store.home(keys[3]) / "record.json"
    path.write_bytes(seal(store.record(keys[3]) | {"files": {"../../x": "0"}}))
    other = Store(tmp_path / "other")
    taken = {one.name: one for one in take_in(store.folder, other)}
    assert {key: taken[key].how for key in keys} == dict.fromkeys(keys[:4], "refused") | {keys[4]: "taken"}
    for key, why in zip(
        keys, ("digest", "does not match its checksum", "No such file", "no name of a file"), strict=False
    ):
        assert why in taken[key].why
    assert other.keys() == [keys[4]] and list((other.folder / "tmp").iterdir()) == []


def test_another_value_in_the_other_store_is_refused(store: Store, tmp_path: pathlib.Path):
    value = [1.0]

    @step("toy_fickle")
    def fickle() -> Sum:
        return add(value[0])

    first = store(fickle)
    value[0] = 2.0
    other = Store(tmp_path / "other")
    assert other(fickle).key == first.key
    (taken,) = take_in(store.folder, other)
    assert taken.how == "refused" and "holds another value under this key" in taken.why
    assert other.load(first.key, Sum).total == 2.0


def test_what_cannot_be_imported_is_refused_before_a_store_is_made(store: Store, tmp_path: pathlib.Path):
    for name in ("rows.csv", "rows.parquet"):
        (tmp_path / name).touch()
        with pytest.raises(Refused, match=f"{name} is a table for reading: .* Import the rows.jsonl that"):
            take_in(tmp_path / name, store)
    with pytest.raises(Refused, match=r"holds neither rows\.jsonl nor a store"):
        take_in(tmp_path, store)
    with pytest.raises(Refused, match=r"^there is no .*nowhere to import"):
        take_in(tmp_path / "nowhere", store)
    assert not store.folder.exists()
    store(add, 1.0)
    with pytest.raises(Refused, match="is the store itself"):
        list(take_in(store.folder, Store(tmp_path / "." / "runs")))
