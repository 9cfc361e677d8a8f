"""Checking a store: everything sound passes, whatever is altered is named, and one bad thing hides no other."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.study.toys import RUNS, add
from tombola.core.call import key_of
from tombola.study.audit import Finding, audit, count, faults
from tombola.study.keeper import Keeper
from tombola.study.record import seal, unseal
from tombola.study.store import Store


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    store = Store(tmp_path / "runs")
    store(add, 1.0, to=store(add, 2.0))
    return store


def looked(store: Store) -> list[Finding]:
    keeper = Keeper(store.folder)
    found = list(audit(keeper))
    assert len(found) <= count(keeper)
    return found


def bad(store: Store) -> dict[str, tuple[str, ...]]:
    return {finding.name: finding.problems for finding in looked(store) if finding.problems}


def rewrite(path: pathlib.Path, **changes: Any) -> None:
    path.write_bytes(seal(unseal(path.read_bytes(), path) | changes))


def flip(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def note(store: Store, **changes: Any) -> pathlib.Path:
    """An imported row about a call that was made elsewhere."""
    record = store.record(add.call(2.0).key)
    form = add.call(8.0).canonical
    record |= {"arguments": form, "key": key_of("toy_add", 1, form), **changes}
    path = Keeper(store.folder).note(add.call(8.0).key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(record))
    return path


def test_a_sound_store_passes_and_everything_is_looked_at(store: Store):
    note(store)
    found = looked(store)
    assert [finding for finding in found if finding.problems or finding.notes] == []
    blob = next((store.folder / "blobs").iterdir())
    (store.folder / "blobs" / f".{blob.name}.0123").touch()  # A file that is being written.
    found = looked(store)
    assert [finding for finding in found if finding.problems] == []
    assert [finding.name for finding in found] == [*store.keys(), f"blobs/{blob.name}", add.call(8.0).key]
    assert len(found) == count(Keeper(store.folder)) - 1


ALTERED: dict[str, tuple[Callable[[pathlib.Path], Any], str]] = {
    "tensor": (lambda home: flip(home / "values.safetensors"), "values.safetensors does not match its checksum"),
    "no tensor": (lambda home: (home / "values.safetensors").unlink(), "values.safetensors is missing"),
    "rows": (lambda home: flip(home / "rows.jsonl"), "rows.jsonl does not match its checksum"),
    "folder": (
        lambda home: ((home / "rows.jsonl").unlink(), (home / "rows.jsonl").mkdir()),
        "rows.jsonl cannot be read: Is a directory",
    ),
    "seal": (lambda home: flip(home / "record.json"), "its record was altered"),
    "cut short": (lambda home: os.truncate(home / "record.json", 9), "its record was altered"),
    "no record": (lambda home: (home / "record.json").unlink(), "it has no record"),
    "arguments": (
        lambda home: rewrite(home / "record.json", arguments={"number": {"float": "9.0"}}, inputs=[]),
        f"its record says it is {add.call(2.0).key}, but its arguments give {add.call(9.0).key}",
    ),
    "version": (lambda home: rewrite(home / "record.json", version=2), "but its arguments give toy_add:"),
    "another's": (
        lambda home: rewrite(home / "record.json", arguments=add.call(9.0).canonical, key=add.call(9.0).key),
        f"its record is that of {add.call(9.0).key}",
    ),
    "inputs": (lambda home: rewrite(home / "record.json", inputs=["toy_add:00"]), "its inputs are not those that its"),
    "a part": (lambda home: rewrite(home / "record.json", checks=None), "its record has no sound 'checks'"),
    "a name": (lambda home: rewrite(home / "record.json", files={"../x": "0"}), "'../x' is no name of a file"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_named_and_the_rest_is_still_looked_at(what: str, store: Store):
    alter, expected = ALTERED[what]
    key = add.call(2.0).key
    alter(store.home(key))
    found = bad(store)
    assert list(found) == [key] and len(found[key]) == 1 and expected in found[key][0]
    assert len(looked(store)) == 3


def test_a_bad_shared_file_is_named_with_all_that_need_it(store: Store):
    blob = next((store.folder / "blobs").iterdir())
    flip(blob)
    assert bad(store) == {
        name: (f"{blob.name} does not match its checksum",) for name in (*store.keys(), f"blobs/{blob.name}")
    }
    blob.unlink()
    assert bad(store) == {name: (f"{blob.name} is missing",) for name in store.keys()}


def test_an_unknown_input_and_a_stray_file_are_worth_a_note(store: Store):
    root, top = add.call(2.0).key, next(key for key in store.keys() if key != add.call(2.0).key)
    (store.home(top) / "stray").touch()
    Keeper(store.folder).away(store.home(root))
    notes = {finding.name: finding.notes for finding in looked(store) if finding.notes}
    assert bad(store) == {}
    assert notes == {top: (f"its input {root} is not here", "stray in its folder is not in its record")}


def test_imported_rows_are_looked_at(store: Store):
    path = note(store, numbers={"total": 8.0})
    assert bad(store) == {}
    path.write_bytes(path.read_bytes().replace(b"8.0", b"9.0", 1))
    assert list(bad(store)) == [add.call(8.0).key]
    note(store, version=2)
    assert "but its arguments give" in bad(store)[add.call(8.0).key][0]


def test_an_imported_row_that_differs_from_the_result_is_worth_a_note(store: Store):
    """Another kind of machine rounds in another way."""
    note(store)
    path = Keeper(store.folder).note(add.call(8.0).key)
    store(add, 8.0)
    told = "this imported row is not bit for bit the result that was made here"
    assert {one.path: one.notes for one in looked(store) if one.notes} == {path: (told,)} and bad(store) == {}
    path.write_bytes((store.home(add.call(8.0).key) / "record.json").read_bytes())
    assert [one for one in looked(store) if one.notes] == []
    (store.home(add.call(8.0).key) / "record.json").write_text("{")
    assert len(bad(store)) == 1 and [one for one in looked(store) if one.notes] == []


def test_what_is_removed_meanwhile_is_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch):
    gone = "toy_add:0123456789abcdef"
    present = store.present() | {gone}
    monkeypatch.setattr(Keeper, "present", lambda keeper: present)
    assert gone not in {finding.name for finding in looked(store)} and bad(store) == {}


WRONG: dict[str, Any] = {
    "inputs": [[]],
    "numbers": {"total": "five"},
    "checks": {"sound": 1},
    "files": {"rows.jsonl": None},
    "groups": {"a": []},
    "provenance": {},
    "arguments": [],
    "version": "1",
}


@pytest.mark.parametrize("part", WRONG)
def test_a_record_with_a_part_of_another_kind_has_a_fault_and_nothing_worse(part: str, store: Store):
    record = store.record(add.call(2.0).key)
    assert faults(record) == []
    assert len(faults(record | {part: WRONG[part]})) == 1
    assert len(faults({name: value for name, value in record.items() if name != part})) == 1


@pytest.mark.parametrize(
    "form", [{"dict": {"ref": "toy_add:00"}}, {"dict": 3}, {"tuple": 3}, [[{"dict": None}]], {"ref": 1}]
)
def test_strange_arguments_are_judged_without_a_crash(form: Any, store: Store):
    record = store.record(add.call(2.0).key) | {"arguments": {"number": form}}
    assert any("its arguments give" in fault for fault in faults(record))


def test_a_dict_with_an_entry_called_ref_is_no_input(store: Store):
    arguments = {"number": {"dict": {"ref": "toy_add:0123456789abcdef"}}}
    record = store.record(add.call(2.0).key) | {"arguments": arguments, "key": key_of("toy_add", 1, arguments)}
    assert faults(record) == []


@pytest.mark.parametrize("form", [float("nan"), "\ud800"])
def test_arguments_that_cannot_be_written_are_no_canonical_data(form: Any, store: Store):
    record = store.record(add.call(2.0).key) | {"arguments": {"number": form}}
    assert faults(record) == ["its arguments are no canonical data"]


@pytest.mark.parametrize("key", ["blobs", "../runs", "a b", "\ud800"])
def test_a_key_that_is_no_step_s_is_a_fault(key: str, store: Store):
    record = store.record(add.call(2.0).key) | {"function": key}
    made = f"{key}:0123456789abcdef"
    assert faults(record | {"key": made}) == [f"{made!r} is no key of a step"]
