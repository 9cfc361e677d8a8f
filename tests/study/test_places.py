"""Results of several environments under one key: which of them counts, where they lie, and how the store knows."""

import json
import os
import pathlib
from typing import Any

import pytest
import torch

from tests.study.at_once import run_at_once
from tests.study.toys import COMMON, RUNS, Sum, add
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study import places as places_module
from tombola.study.environment import Reuse, environment, environment_of, in_words, name_of
from tombola.study.record import read_record, seal, unseal
from tombola.study.step import Context, step
from tombola.study.store import Store

ROOT = pathlib.Path(__file__).resolve().parents[2]
ONE, TWO, THREE = Machine(), Machine(threads=2), Machine(threads=3)


@step("toy_rounds")
def rounds(number: float, *, context: Context = Context()) -> Sum:
    """A step whose result depends on the threads, as rounding does."""
    RUNS.append(number)
    total = number + context.machine.threads / 1000
    return Sum(torch.full((1,), total), total, COMMON)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    RUNS.clear()
    return tmp_path / "runs"


def names(folder: pathlib.Path, room: str = "toy_rounds") -> list[str]:
    return sorted(path.name for path in (folder / room).iterdir())


def listed(folder: pathlib.Path) -> Any:
    return json.loads((folder / "store.json").read_text())


def of(machine: Machine) -> str:
    return name_of(environment(machine))


def digits(call: Any) -> str:
    return call.key.partition(":")[2]


def test_a_store_lists_the_environments_that_wrote_to_it(folder: pathlib.Path):
    Store(folder).prepare()
    assert listed(folder) == {"version": 2, "environments": {}} and Store(folder).environments() == {}
    Store(folder)(rounds, 1.0)
    assert listed(folder)["environments"] == {of(ONE): environment(ONE)}
    before = (folder / "store.json").stat().st_mtime_ns
    Store(folder)(rounds, 2.0)
    assert (folder / "store.json").stat().st_mtime_ns == before
    Store(folder, machine=TWO)(rounds, 3.0)
    assert listed(folder) == {
        "version": 2, "environments": {of(ONE): environment(ONE), of(TWO): environment(TWO)}}  # fmt: skip
    record = Store(folder).record(rounds.call(3.0).key)
    assert record["environment"] == environment(TWO)


def test_a_result_of_any_environment_counts_unless_only_the_same_do(folder: pathlib.Path):
    call = rounds.call(1.0)
    assert Store(folder)(rounds, 1.0).total == 1.001
    assert Store(folder, machine=TWO)(rounds, 1.0).total == 1.001 and RUNS == [1.0]
    same = Store(folder, machine=TWO, reuse="same")
    assert same.present() == set() and Store(folder, reuse="same").present() == {call.key}
    assert same(rounds, 1.0).total == 1.002 and RUNS == [1.0, 1.0]
    assert names(folder) == [digits(call), f"{digits(call)}@{of(TWO)}"]
    assert same(rounds, 1.0).total == 1.002 and Store(folder, reuse="same")(rounds, 1.0).total == 1.001
    assert Store(folder, machine=TWO)(rounds, 1.0).total == 1.002 and RUNS == [1.0, 1.0]  # Its own comes first.
    assert same.present() == {call.key} == Store(folder).present()
    assert same.record(call.key)["environment"] == environment(TWO)
    assert Store(folder).record(call.key)["environment"] == environment(ONE)
    assert same.load(call.key, Sum).total == 1.002 and Store(folder).load(call.key, Sum).total == 1.001
    assert same.home(call.key) == same.place(call.key) == folder / "toy_rounds" / f"{digits(call)}@{of(TWO)}"
    assert [path.name for path in Store(folder).homes(call.key)] == names(folder)


def test_a_result_that_lies_apart_counts_where_no_other_is(folder: pathlib.Path):
    call = rounds.call(1.0)
    for machine in (ONE, TWO, THREE):
        Store(folder, machine=machine, reuse="same")(rounds, 1.0)
    plain = folder / "toy_rounds" / digits(call)
    plain.rename(folder / "gone")
    assert Store(folder).present() == {call.key}
    assert Store(folder, machine=TWO)(rounds, 1.0).total == 1.002
    assert Store(folder, machine=THREE)(rounds, 1.0).total == 1.003  # Its own comes first.
    assert Store(folder)(rounds, 1.0).total in (1.002, 1.003) and RUNS == [1.0] * 3
    assert Store(folder, reuse="same").home(call.key) == plain
    assert Store(folder, reuse="same")(rounds, 1.0).total == 1.001 and plain.exists()


def test_what_is_missing_says_where_else_it_is(folder: pathlib.Path):
    Store(folder)(rounds, 1.0)
    key = rounds.call(1.0).key
    same = Store(folder, machine=TWO, reuse="same")
    for look in (lambda: same.record(key), lambda: same.load(key, Sum)):
        with pytest.raises(Refused) as caught:
            look()
        assert str(caught.value) == (
            f"nothing is stored under {key} in {folder} of this environment ({in_words(environment(TWO))}); another "
            "made it: see --reuse any."
        )
    with pytest.raises(Refused, match=r"^nothing is stored under toy_rounds:0000000000000000 in .*runs\.$"):
        same.record("toy_rounds:0000000000000000")


@pytest.mark.parametrize("reuse", ["any", "same"])
def test_a_folder_without_a_record_is_nobody_s_result(folder: pathlib.Path, reuse: Reuse):
    first = Store(folder)(rounds, 1.0)
    store = Store(folder, reuse=reuse)
    (store.home(first.key) / "record.json").unlink()
    assert store.present() == set()
    with pytest.raises(Refused) as caught:
        store.record(first.key)
    assert str(caught.value) == f"nothing is stored under {first.key} in {folder}."
    assert store(rounds, 1.0).total == first.total and RUNS == [1.0, 1.0] and store.present() == {first.key}
    assert len(list((folder / "damaged").iterdir())) == 1


def test_an_unknown_way_of_reuse_is_refused(folder: pathlib.Path):
    with pytest.raises(Refused, match=r"^reuse is 'some'\. It is 'any' \(.*\) or 'same'\.$"):
        Store(folder, reuse="some")  # type: ignore[arg-type]


def test_with_one_environment_no_record_is_read(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(folder)
    keys = {store(rounds, float(n)).key for n in range(3)}

    def read(*words: Any) -> Any:
        raise AssertionError("a record is read")

    monkeypatch.setattr(places_module, "read_record", read)
    assert Store(folder, reuse="same").present() == keys and not Store(folder).others()
    assert Store(folder, machine=TWO).present() == keys and Store(folder, machine=TWO).others()
    with pytest.raises(AssertionError, match="a record is read"):
        Store(folder, machine=TWO, reuse="same").present()


def older(folder: pathlib.Path, key: str) -> None:
    """Make a record one of before there were environments."""
    path = folder / key.replace(":", "/") / "record.json"
    record = unseal(path.read_bytes(), path)
    del record["environment"]
    path.write_bytes(seal(record))


def test_an_older_store_gets_its_list_with_the_next_result(folder: pathlib.Path):
    first, second = (Store(folder, machine=machine)(rounds, float(n)) for n, machine in enumerate((ONE, TWO)))
    older(folder, first.key)
    older(folder, second.key)
    (folder / "store.json").write_text('{"version": 2}')
    store = Store(folder, reuse="same")
    assert store.environments() is None and store.others()
    assert store.present() == {first.key}  # What an older record does not tell counts as equal, its threads do not.
    assert listed(folder) == {"version": 2}  # Looking writes nothing.
    store(rounds, 5.0)
    told = listed(folder)["environments"]
    assert len(told) == 3 and told[of(ONE)] == environment(ONE)
    assert sorted((one["threads"], one["layout"]) for one in told.values()) == [
        ("1", "?"), ("1", "channels_last"), ("2", "?")]  # fmt: skip
    assert store(rounds, 0.0).total == 0.001 and RUNS == [0.0, 1.0, 5.0]
    assert store(rounds, 1.0).total == 1.001 and len(names(folder)) == 4


def test_a_store_whose_list_is_gone_finds_all_again(folder: pathlib.Path):
    for machine in (ONE, TWO):
        Store(folder, machine=machine, reuse="same")(rounds, 1.0)
    kept = listed(folder)
    (folder / "store.json").unlink()
    for machine, total in ((ONE, 1.001), (TWO, 1.002)):
        assert Store(folder, machine=machine, reuse="same").load(rounds.call(1.0).key, Sum).total == total
    (folder / "toy_rounds" / digits(rounds.call(1.0))).rename(folder / "gone")
    assert Store(folder).load(rounds.call(1.0).key, Sum).total == 1.002
    (folder / "gone").rename(folder / "toy_rounds" / digits(rounds.call(1.0)))
    Store(folder).prepare()
    assert listed(folder) == kept and RUNS == [1.0, 1.0]


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        ([], "its 'environments' are no object."),
        ({"0123abcd": {"device": "cpu"}}, "'0123abcd' tells no sound environment: {'device': 'cpu'}."),
        ({"0123abcd": "cpu"}, "'0123abcd' tells no sound environment: 'cpu'."),
        ({"0123abcd": environment(ONE)}, "'0123abcd' does not name cpu "),
    ],
)
def test_a_damaged_list_says_the_way_out_and_it_leads_there(folder: pathlib.Path, strange: Any, said: str):
    Store(folder)(rounds, 1.0)
    kept = listed(folder)
    (folder / "store.json").write_text(json.dumps({**kept, "environments": strange}))
    with pytest.raises(Damaged) as caught:
        Store(folder)
    assert str(caught.value).startswith(f"{folder / 'store.json'} is damaged: {said}")
    assert str(caught.value).endswith(
        "Take 'environments' out of it: the list is made again from the records, and no result is lost."
    )
    (folder / "store.json").write_text('{"version": 2}')
    assert Store(folder)(rounds, 1.0).total == 1.001 and RUNS == [1.0]
    Store(folder)(rounds, 2.0)
    assert listed(folder) == kept


def test_a_record_with_a_strange_environment_is_used_by_nobody_who_asks_for_it(folder: pathlib.Path):
    made = Store(folder)(rounds, 1.0)
    Store(folder, machine=TWO)(rounds, 2.0)
    path = folder / made.key.replace(":", "/") / "record.json"
    record = unseal(path.read_bytes(), path)
    path.write_bytes(seal({**record, "environment": {"device": 5}}))
    with pytest.raises(Damaged, match=f"^the record of {made.key} tells no sound environment"):
        environment_of(read_record(path))
    assert Store(folder).made_in(made.key) is None
    assert made.key in Store(folder, reuse="same").present()


def test_values_of_two_environments_are_kept_beside_each_other(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """As if both had begun at the same time: what is there is neither overwritten nor lost, nor is the other."""
    Store(folder)(rounds, 1.0)
    load = Store._load  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Store, "_load", lambda self, function, call: None)
    assert Store(folder, machine=TWO)(rounds, 1.0).total == 1.002
    assert Store(folder, machine=TWO)(rounds, 1.0).total == 1.002  # An equal one is there already.
    monkeypatch.setattr(Store, "_load", load)
    call = rounds.call(1.0)
    assert names(folder) == [digits(call), f"{digits(call)}@{of(TWO)}"]
    assert Store(folder).load(call.key, Sum).total == 1.001
    assert Store(folder, machine=TWO, reuse="same").load(call.key, Sum).total == 1.002
    assert list((folder / "tmp").iterdir()) == []


def test_two_values_of_one_environment_are_refused_with_the_processors_named(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    values = iter([1.0, 2.0])

    @step("toy_unsteady")
    def unsteady() -> Sum:
        return add(next(values))

    key = Store(folder)(unsteady).key
    path = folder / key.replace(":", "/") / "record.json"
    record = unseal(path.read_bytes(), path)
    path.write_bytes(seal({**record, "provenance": {**record["provenance"], "processor": "Abacus 3000"}}))
    monkeypatch.setattr(Store, "_load", lambda self, function, call: None)
    with pytest.raises(Failed, match=r"^two different values under .* That one was made on Abacus 3000, this one on "):
        Store(folder)(unsteady)


def test_half_done_work_of_another_environment_is_not_gone_on_from_where_only_the_same_count(folder: pathlib.Path):
    key = rounds.call(1.0).key
    plain = folder / "partial" / key.replace(":", "-")
    assert Store(folder).scratch(key) == Store(folder, machine=TWO).scratch(key) == plain
    assert Store(folder, reuse="same").scratch(key) == plain.with_name(f"{plain.name}@{of(ONE)}")
    assert Store(folder, machine=TWO, reuse="same").scratch(key) == plain.with_name(f"{plain.name}@{of(TWO)}")


def test_imported_rows_count_by_their_environment(folder: pathlib.Path):
    made = Store(folder, machine=TWO)(rounds, 1.0)
    record = Store(folder).record(made.key)
    note = folder / "noted" / "toy_rounds" / f"{digits(rounds.call(1.0))}.json"
    note.parent.mkdir(parents=True)
    os.rename(folder / made.key.replace(":", "/") / "record.json", folder / "kept")
    for path in (folder / made.key.replace(":", "/")).iterdir():
        path.unlink()
    (folder / made.key.replace(":", "/")).rmdir()
    note.write_bytes(seal(record))
    assert Store(folder).noted() == Store(folder, machine=TWO, reuse="same").noted() == {made.key}
    here = Store(folder, reuse="same")
    assert here.noted() == set() and here.note(made.key) == note.with_name(f"{note.stem}@{of(ONE)}.json")
    here.note(made.key).write_bytes(seal({**record, "environment": environment(ONE), "numbers": {"total": 7.0}}))
    here.enlist(environment(ONE))
    assert here.record(made.key)["numbers"] == {"total": 7.0} and here.noted() == {made.key}
    assert Store(folder).record(made.key)["numbers"] == {"total": 7.0} and record["numbers"] == {}
    assert [path.name for path in here.notes_of(made.key)] == [here.note(made.key).name, note.name]


TOGETHER = """
import sys
from tombola.core.machine import Machine
from tombola.study.environment import environment
from tombola.study.store import Store

print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2]), 40, 2):
    store = Store(sys.argv[1])
    store.prepare()
    store.enlist(environment(Machine(threads=number + 1)))
"""


def test_processes_that_write_at_once_are_all_listed(folder: pathlib.Path):
    run_at_once(TOGETHER, [[str(folder), str(first)] for first in range(2)])
    told = Store(folder).environments()
    assert told is not None and sorted(int(one["threads"]) for one in told.values()) == list(range(1, 41))


def test_folders_of_other_names_are_nobody_s_results(folder: pathlib.Path):
    Store(folder)(rounds, 1.0)
    call = rounds.call(1.0)
    for name in (f"{digits(call)}@", f"{digits(call)}@xyz", "short", f"short@{of(ONE)}"):
        (folder / "toy_rounds" / name).mkdir()
    assert [path.name for _, path in Store(folder).results()] == [digits(call)]
    assert Store(folder).present() == {call.key}
