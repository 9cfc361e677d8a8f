"""Looking after a store: what is in it, what can go, and that nothing goes that is needed."""

import errno
import os
import pathlib
import time
from typing import Any, Literal

import filelock
import pytest
import torch

from tests.study.toys import RUNS, Sum, add, careful
from tombola.core.errors import Failed, Refused
from tombola.study import upkeep
from tombola.study.audit import audit
from tombola.study.deferred import defer
from tombola.study.keeper import Keeper
from tombola.study.record import seal
from tombola.study.step import step
from tombola.study.store import Store
from tombola.study.upkeep import entries, shared, sweep, totals

OLD = 7_200.0


@step("toy_own")
def own(number: float) -> Sum:
    """A sum that shares its tensor with nobody."""
    return Sum(torch.zeros(1), number, torch.full((8,), number))


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    store = Store(tmp_path / "runs")
    store.prepare()
    return store


def age(path: pathlib.Path, seconds: float = OLD) -> None:
    then = time.time() - seconds
    for one in (*path.rglob("*"), path):
        os.utime(one, (then, then))


def swept(store: Store, act: Literal["look", "remove"] = "remove", **options: Any) -> list[tuple[str, str]]:
    return [(one.what, one.name) for one in sweep(Keeper(store.folder), act=act, **options)]


def snapshot(folder: pathlib.Path) -> dict[str, bytes]:
    found = {path for path in folder.rglob("*") if path.is_file() and "locks" not in path.parts}
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_store_in_use_has_nothing_to_remove(store: Store):
    chain = store(add, 1.0, to=store(add, 2.0))
    before = snapshot(store.folder)
    age(store.folder)
    assert swept(store) == [] and snapshot(store.folder) == before
    assert store(add, 1.0, to=store(add, 2.0)).key == chain.key and len(RUNS) == 2


def test_what_nothing_can_need_is_removed(store: Store):
    finished = store(own, 1.0)
    with pytest.raises(Failed):
        store(careful, 3.0)
    half = store.folder / "partial" / finished.key.replace(":", "-")
    killed, running = store.folder / "tmp" / "killed", store.folder / "tmp" / "running"
    for folder in (half, killed, running, store.folder / "damaged" / "toy_own-0123456789abcdef-01234567"):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"12345")
    orphan, begun = store.folder / "blobs" / "00.safetensors", store.folder / "blobs" / ".11.safetensors.0123"
    fresh = store.folder / "blobs" / "22.safetensors"
    for path in (orphan, begun, fresh):
        path.write_bytes(b"123")
    for path in (orphan, begun, killed):
        age(path)
    expected = [
        ("unfinished file", "tmp/killed"),
        ("unfinished file", "blobs/.11.safetensors.0123"),
        ("half-done work", f"partial/{half.name}"),
        ("damaged", "damaged/toy_own-0123456789abcdef-01234567"),
        ("shared file", "blobs/00.safetensors"),
    ]
    before = snapshot(store.folder)
    assert swept(store, "look") == expected and snapshot(store.folder) == before
    assert [one.bytes for one in sweep(Keeper(store.folder), act="look")] == [5, 3, 5, 5, 3]
    assert swept(store) == expected and swept(store) == []
    assert not any(path.exists() for path in (half, killed, orphan, begun))
    assert running.exists() and fresh.exists() and store(own, 1.0).key == finished.key
    assert store(careful, 3.0).rows == ({"found": "half-way"},)  # Its half-done work was left.


def test_a_folder_in_which_something_was_written_lately_is_in_use(store: Store):
    folder = store.folder / "tmp" / "long"
    folder.mkdir()
    age(folder)
    (folder / "weights").write_bytes(b"1")
    age(folder / "weights", 10.0)
    os.utime(folder, (0, 0))
    assert swept(store) == []
    age(folder)
    assert swept(store) == [("unfinished file", "tmp/long")]


def test_only_what_the_named_studies_need_is_kept(store: Store):
    first, second = store(own, 1.0), store(own, 2.0)
    age(store.folder / "blobs")
    blob = next(name for name in store.record(second.key)["files"] if name.startswith("blobs/"))
    expected = [("result", second.key.replace(":", "/")), ("shared file", blob)]
    assert swept(store, "look", keep={first.key}) == expected
    assert store.keys() == sorted([first.key, second.key])
    assert swept(store, keep={first.key}) == expected
    assert store.keys() == [first.key] and not (store.folder / blob).exists()
    assert [one for one in audit(Keeper(store.folder)) if one.problems] == []


def test_keeping_spares_inputs_and_imported_rows(store: Store):
    one = store(add, 1.0)
    two = store(add, 2.0, to=one)
    note = store.folder / "noted" / "toy_add" / "0123456789abcdef.json"
    note.parent.mkdir(parents=True)
    note.write_bytes(seal({"key": "toy_add:0123456789abcdef"}))
    deferred = defer(add, 2.0, to=defer(add, 1.0))
    keys = {deferred.key, *(one.key for one in deferred.inputs)}
    assert swept(store, keep=keys) == [] and store.keys() == sorted([one.key, two.key])
    assert len(swept(store, keep=set())) == 2 and store.keys() == [] and note.exists()


def test_a_key_whose_lock_is_held_is_left_alone(store: Store):
    first, second = store(own, 1.0), store(own, 2.0)
    age(store.folder / "blobs")
    half = store.folder / "partial" / first.key.replace(":", "-")
    half.mkdir(parents=True)
    with filelock.FileLock(store.folder / "locks" / f"{half.name}.lock"):
        assert {what for what, _ in swept(store, keep=set())} == {"result", "shared file"}
        assert store.keys() == [first.key] and half.exists()
        assert store.load(first.key, Sum).total == 1.0  # Its shared file was left, too.
    assert sorted(swept(store, keep=set()))[0] == ("half-done work", f"partial/{half.name}")
    assert store.keys() == [] and not half.exists() and second.key not in store.keys()


def test_a_store_that_was_copied_without_its_empty_folders_can_be_swept(store: Store):
    first = store(own, 1.0)
    for path in (store.folder / "locks").iterdir():
        path.unlink()
    for name in ("locks", "tmp"):
        (store.folder / name).rmdir()
    assert swept(store, keep={first.key}) == [] and swept(store, keep=set()) != [] and store.keys() == []


def test_what_is_no_scratch_folder_is_left_in_peace(store: Store):
    for name in ("notes", "toy_own-01", "-0123456789abcdef"):
        (store.folder / "partial" / name).mkdir(parents=True)
    age(store.folder / "partial")
    assert swept(store, keep=set()) == [] and len(list((store.folder / "partial").iterdir())) == 3


def test_a_shared_file_that_is_touched_at_the_last_moment_stays(store: Store, monkeypatch: pytest.MonkeyPatch):
    blob = store.folder / "blobs" / "00.safetensors"
    blob.write_bytes(b"123")
    age(blob)
    away = Keeper.away

    def late(keeper: Keeper, path: pathlib.Path) -> pathlib.Path | None:
        os.utime(path)  # A writer says that it will use it, between the last look and the move.
        return away(keeper, path)

    monkeypatch.setattr(Keeper, "away", late)
    assert swept(store) == [] and blob.read_bytes() == b"123"
    monkeypatch.setattr(Keeper, "away", lambda keeper, path: (path.unlink(), away(keeper, path))[1])
    age(blob)
    assert swept(store) == []  # Another collector was faster.


def test_nothing_is_removed_where_a_record_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    """It may name any of the shared files."""
    store(own, 1.0)
    age(store.folder)
    read = pathlib.Path.read_bytes

    def refuse(path: pathlib.Path) -> bytes:
        if path.name == "record.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    before = snapshot(store.folder)
    with monkeypatch.context() as broken:
        broken.setattr(pathlib.Path, "read_bytes", refuse)
        with pytest.raises(Failed, match="cannot read .*record.json: Input/output error"):
            swept(store)
        assert [entry.state for entry in entries(Keeper(store.folder))] == ["damaged"]
    assert snapshot(store.folder) == before


def test_the_clock_is_that_of_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch):
    folder = store.folder / "tmp" / "running"
    folder.mkdir()
    monkeypatch.setattr(upkeep.time, "time", lambda: time.time_ns() / 1e9 + 86_400)  # This machine is a day ahead.
    assert swept(store) == [] and folder.exists()


@pytest.mark.parametrize("name", ["touch", "rename"])
def test_a_store_that_cannot_be_written_says_so(name: str, store: Store, monkeypatch: pytest.MonkeyPatch):
    (store.folder / "damaged" / "x-y-z").mkdir(parents=True)

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(*((pathlib.Path, "touch") if name == "touch" else (os, "rename")), refuse)
    with pytest.raises(
        Failed, match=rf"^cannot (write|remove from) the store {store.folder}: Read-only file system\. "
    ):
        swept(store)
    assert swept(store, "look") == [("damaged", "damaged/x-y-z")]


def test_sums_of_functions_and_what_is_there_of_one(store: Store):
    for number in (1.0, 2.0):
        store(own, number)
    store(add, 1.0)
    with pytest.raises(Failed):
        store(careful, 3.0)
    (store.folder / "toy_own" / own.call(2.0).key[8:] / "record.json").write_text("{")
    store.set_aside(store.home(store(add, 5.0).key))
    keeper = Keeper(store.folder)
    found = {total.function: total for total in totals(keeper)}
    assert {name: (t.results, t.noted, t.partial, t.damaged) for name, t in found.items()} == {
        "toy_add": (1, 0, 0, 1),
        "toy_own": (1, 0, 0, 1),
        "toy_scratch": (0, 0, 1, 0),
    }
    home = keeper.home(own.call(1.0).key)
    first = next(entry for entry in entries(keeper, "toy_own") if entry.state == "stored")
    record = store.record(first.key)
    assert first.bytes == sum(path.stat().st_size for path in home.iterdir())
    assert (first.call, first.seconds) == ("toy_own(number=1.0)", record["provenance"]["seconds"])
    assert found["toy_own"].seconds == first.seconds and found["toy_own"].finished == first.finished != ""
    assert found["toy_own"].bytes == sum(entry.bytes for entry in entries(keeper, "toy_own"))
    assert [entry.state for entry in entries(keeper, "toy_own")].count("damaged") == 1
    assert list(entries(keeper, "nothing")) == []
    number, size = shared(keeper)
    assert (number, size) == (3, sum(path.stat().st_size for path in (store.folder / "blobs").iterdir()))


def test_a_key_is_found_by_its_beginning(store: Store):
    first, second = store(own, 1.0), store(add, 2.0)
    keeper = Keeper(store.folder)
    assert keeper.find(first.key) == keeper.find(first.key[:10]) == keeper.find("toy_o") == first.key
    with pytest.raises(Refused, match=r"^2 keys in .* begin with 'toy_': .*toy_add.*toy_own.* Give more digits\.$"):
        keeper.find("toy_")
    for wrong in ("train:", "", "../"):
        with pytest.raises(Refused, match="no key in .* begins with .*; there is toy_add, toy_own here"):
            keeper.find(wrong)
    assert second.key in keeper.present()


def test_other_folders_in_a_store_are_nobody_s_results(store: Store):
    first = store(own, 1.0)
    for name in ("my-notes/0123456789abcdef", "inner/sixteen-letters-", "toy_own/0123456789abcdeg"):
        (store.folder / name).mkdir(parents=True)
    keeper = Keeper(store.folder)
    assert keeper.present() == {first.key} and keeper.functions() == ["toy_own"]
    assert swept(store, keep=set()) == [("result", first.key.replace(":", "/"))]


def test_a_result_whose_step_has_another_name_than_today_s_keeps_its_shared_files(store: Store):
    first = store(own, 1.0)
    (store.folder / "toy_own").rename(store.folder / "toy-own")
    age(store.folder)
    assert swept(store) == [] and (store.folder / "toy-own" / first.key.partition(":")[2]).exists()


def test_the_lineage_goes_back_to_the_roots_each_once(store: Store):
    root = store(add, 1.0)
    left, right = store(add, 2.0, to=root), store(add, 3.0, to=root)
    top = store(pair, (left, right))
    keeper = Keeper(store.folder)
    assert [key for key, _ in keeper.lineage(top.key)] == [root.key, left.key, right.key, top.key]
    (store.home(root.key) / "record.json").write_text("{")
    found = dict(keeper.lineage(top.key))
    assert found[root.key] is None and found[left.key] is not None and len(found) == 4


@step("toy_pair")
def pair(both: tuple[Sum, Sum]) -> Sum:
    return Sum(torch.zeros(1), sum(one.total for one in both), torch.zeros(1))


def test_upkeep_needs_a_store(tmp_path: pathlib.Path):
    with pytest.raises(Refused, match=r"^there is no store .*nowhere: no such folder\. Name another \(--store\)\.$"):
        Keeper(tmp_path / "nowhere")
    with pytest.raises(Refused, match=r"is no store: there is no store\.json in it"):
        Keeper(tmp_path)
    assert list(tmp_path.iterdir()) == []
