"""The store: nothing is done twice, nothing half-done is seen, nothing damaged is given back."""

import errno
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.study.at_once import run_at_once
from tests.study.toys import RUNS, Sum, add, careful, fail
from tombola.core.call import Call
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.machine import Machine
from tombola.study import store as store_module
from tombola.study.audit import audit
from tombola.study.keeper import Keeper
from tombola.study.names import ROOMS
from tombola.study.record import seal, unseal
from tombola.study.step import step
from tombola.study.store import Busy, Store

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    return Store(tmp_path / "runs")


def home(store: Store, key: str) -> pathlib.Path:
    return store.folder / key.replace(":", "/")


def test_a_call_runs_once_and_is_loaded_ever_after(store: Store):
    first = store(add, 2.5, times=3)
    again = store(add, 2.5, times=3)
    other = Store(store.folder)(add, number=2.5, times=3, to=None)
    assert RUNS == [2.5]
    assert torch.equal(again.values, torch.full((3,), 2.5)) and again.rows == first.rows and again.total == 7.5
    assert first.key == again.key == other.key == add.call(2.5, times=3).key
    assert store(add, 2.5).total == 2.5 and RUNS == [2.5, 2.5]
    assert store.keys() == sorted([first.key, add.call(2.5).key])
    loaded = store.load(first.key, Sum)
    assert torch.equal(loaded.values, first.values)


def test_what_happens_is_heard(store: Store):
    heard: list[str] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        heard.append(f"{happening} {call.text}")

    listening = Store(store.folder, listen=listen)
    listening(add, 1.0)
    listening(add, 1.0)
    assert heard == [f"{what} toy_add(number=1.0)" for what in ("start", "done", "loaded")]


def test_a_record_tells_call_inputs_and_provenance(store: Store):
    one = store(add, 1.0)
    two = Store(store.folder, machine=Machine(threads=2))(add, 2.0, to=one)
    record = store.record(two.key)
    assert (record["call"], record["key"]) == (f"toy_add(number=2.0, to={one.key})", two.key)
    assert (record["function"], record["version"], record["inputs"]) == ("toy_add", 1, [one.key])
    assert record["header"] == {"total": 3.0, "made_by": two.key}
    known = record["provenance"]
    assert known["torch"] == torch.__version__ and known["machine"] == "machine(threads=2)"
    assert known["seconds"] >= 0 and known["peak_memory"] > 10**7 and known["finished"].endswith("Z")
    assert {"tombola", "numpy", "python", "commit", "dirty", "processor", "cores", "system"} <= known.keys()
    for name, checksum in record["files"].items():
        path = store.folder / name if name.startswith("blobs/") else home(store, two.key) / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    with pytest.raises(Refused, match=r"^nothing is stored under toy_add:0123456789abcdef in "):
        store.record("toy_add:0123456789abcdef")


def test_what_many_share_is_stored_once(store: Store):
    result = store(add, 0.0)
    for number in range(1, 6):
        result = store(add, float(number), to=result)
    (blob,) = (store.folder / "blobs").iterdir()
    assert blob.stat().st_size > 4000
    assert blob.name == f"{hashlib.sha256(blob.read_bytes()).hexdigest()}.safetensors"
    homes = list((store.folder / "toy_add").iterdir())
    assert len(homes) == 6
    for folder in homes:
        assert sorted(path.name for path in folder.iterdir()) == ["record.json", "rows.jsonl", "values.safetensors"]
    assert torch.equal(store(add, 0.0).common, torch.arange(1000.0))


def test_nothing_is_left_lying_about(store: Store):
    store(add, 1.0)
    assert sorted(path.name for path in store.folder.iterdir()) == ["blobs", "locks", "store.json", "tmp", "toy_add"]
    assert list((store.folder / "tmp").iterdir()) == []


def test_half_done_work_of_a_finished_call_is_tidied_up(store: Store):
    """A process may be killed after its result was kept and before its checkpoint was removed."""
    first = store(add, 2.5)
    scratch = store.folder / "partial" / first.key.replace(":", "-")
    scratch.mkdir(parents=True)
    (scratch / "checkpoint").write_text("half")
    assert store(add, 2.5).key == first.key
    assert not scratch.exists()


def test_half_done_work_that_another_process_is_at_is_left(store: Store):
    """Its result was imported meanwhile, or made by a third one in another environment."""
    first = store(add, 2.5)
    scratch = store.folder / "partial" / first.key.replace(":", "-")
    scratch.mkdir(parents=True)
    with Keeper(store.folder).unless_busy(first.key):
        assert store(add, 2.5).key == first.key and scratch.exists()
    assert store(add, 2.5).key == first.key and not scratch.exists()


def test_looking_makes_nothing(tmp_path: pathlib.Path):
    assert Store(tmp_path / "runs").keys() == []
    assert not (tmp_path / "runs").exists()


def flip(path: pathlib.Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def rewrite(path: pathlib.Path, **changes: Any) -> None:
    """Alters a record and seals it again, so that only what it says is wrong."""
    path.write_bytes(seal(unseal(path.read_bytes(), path) | changes))


def replace(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGE = {
    "a tensor altered": lambda folder: flip(folder / "values.safetensors"),
    "a tensor cut short": lambda folder: os.truncate(folder / "values.safetensors", 50),
    "a tensor empty": lambda folder: os.truncate(folder / "values.safetensors", 0),
    "a tensor gone": lambda folder: (folder / "values.safetensors").unlink(),
    "rows altered": lambda folder: flip(folder / "rows.jsonl", 10),
    "rows gone": lambda folder: (folder / "rows.jsonl").unlink(),
    "a blob altered": lambda folder: flip(next((folder.parents[1] / "blobs").iterdir())),
    "a blob gone": lambda folder: next((folder.parents[1] / "blobs").iterdir()).unlink(),
    "a folder where a tensor was": lambda folder: (
        (folder / "rows.jsonl").unlink(),
        (folder / "rows.jsonl").mkdir(),
    ),
    "the record gone": lambda folder: (folder / "record.json").unlink(),
    "the record cut short": lambda folder: os.truncate(folder / "record.json", 100),
    "the record empty": lambda folder: os.truncate(folder / "record.json", 0),
    "the record is no text": lambda folder: (folder / "record.json").write_bytes(b"\xff\xfe{}"),
    "the record is a list": lambda folder: (folder / "record.json").write_text("[]"),
    "a number in the record": lambda folder: replace(folder / "record.json", '"total": 5.0', '"total": 5.5'),
    "a digit of the digest": lambda folder: flip(folder / "record.json", -6),
    "the record is another's": lambda folder: rewrite(folder / "record.json", header={"made_by": "toy_add:00"}),
    "the record has no files": lambda folder: rewrite(folder / "record.json", files=None),
    "the record forgot a file": lambda folder: rewrite(folder / "record.json", files={}),
    "the record has no header": lambda folder: rewrite(folder / "record.json", header={}),
    "the header is of another": lambda folder: rewrite(
        folder / "record.json", header={"total": 5.0, "made_by": "toy_add:0000000000000000"}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_set_aside_and_made_good(damage: Any, store: Store):
    heard: list[tuple[str, dict[str, Any]]] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        heard.append((happening, facts))

    first = store(add, 2.5, times=2)
    untouched = store(add, 4.0)
    damage(home(store, first.key))
    again = Store(store.folder, listen=listen)(add, 2.5, times=2)
    assert RUNS == [2.5, 4.0, 2.5]
    assert torch.equal(again.values, first.values) and (again.total, again.rows) == (first.total, first.rows)
    assert [what for what, _ in heard] == ["damaged", "start", "done"]
    assert pathlib.Path(heard[0][1]["aside"]).parent == store.folder / "damaged" and heard[0][1]["error"]
    assert list((store.folder / "damaged").iterdir())
    third = store(add, 2.5, times=2)
    assert RUNS == [2.5, 4.0, 2.5] and torch.equal(third.common, first.common)
    assert torch.equal(store(add, 4.0).common, untouched.common)  # Whoever shares the blob has it again.


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bit_of_any_file_goes_unnoticed(store: Store, data: st.DataObject):
    first = store(add, 2.5, times=2)
    files = sorted(home(store, first.key).iterdir())
    path = data.draw(st.sampled_from([*files, *(store.folder / "blobs").iterdir()]))
    sound = path.read_bytes()
    place = data.draw(st.integers(0, len(sound) - 1))
    flip(path, place)
    with pytest.raises(Damaged, match="does not match (its checksum|the digest)"):
        store.load(first.key, Sum)
    path.write_bytes(sound)


def test_loading_by_key_says_what_is_wrong(store: Store):
    first = store(add, 2.5)
    path = home(store, first.key) / "record.json"
    for text in ("{", '"x"', ""):
        path.write_text(text)
        for look in (lambda: store.load(first.key, Sum), lambda: store.record(first.key)):
            with pytest.raises(
                Damaged, match=r"record\.json is damaged: its text does not match the digest at its end"
            ):
                look()
    with pytest.raises(Refused, match=r"^nothing is stored under toy_add:0123456789abcdef in "):
        store.load("toy_add:0123456789abcdef", Sum)


def test_a_store_of_another_version_is_refused(store: Store):
    store(add, 1.0)
    marker = store.folder / "store.json"
    marker.write_text('{"version": 3}')
    with pytest.raises(Refused) as caught:
        Store(store.folder)
    assert str(caught.value) == (
        f"{store.folder} is a store of version 3; this tombola keeps version 2. Name another folder (--store), or use "
        "the tombola that made it."
    )
    for text in ("", "nonsense", "[1]"):
        marker.write_text(text)
        with pytest.raises(Damaged, match=r"store\.json is damaged: "):
            Store(store.folder)
    marker.unlink()
    assert Store(store.folder)(add, 1.0).total == 1.0 and RUNS == [1.0]


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_a_step_cannot_be_called_like_a_room_of_the_store(name: str):
    with pytest.raises(Refused, match=f"^no step can be called '{name}': a store keeps other things in its folder"):
        step(name)(add.function)


def test_what_lies_in_the_rooms_is_no_result(store: Store):
    first = store(add, 1.0)
    for room in ROOMS:
        (store.folder / room / "0123456789abcdef").mkdir(parents=True)
    assert store.present() == {first.key}


def test_a_store_whose_list_cannot_be_read_says_the_way_out(store: Store):
    store.prepare()
    store.marker.unlink()
    store.marker.mkdir()
    with pytest.raises(Damaged) as caught:
        Store(store.folder)
    assert str(caught.value) == (
        f"{store.marker} cannot be read: Is a directory. Make it a file that you may read, or name another store "
        "(--store)."
    )


def test_busy_is_told_to_those_who_do_not_wait(store: Store):
    told: list[str] = []

    @step("toy_nested")
    def nested(number: float) -> Sum:
        with pytest.raises(Busy) as caught:
            Store(store.folder).make(nested, nested.call(number), wait=False)
        told.append(str(caught.value))
        return add(number)

    first = store.make(nested, nested.call(1.0), wait=False)
    assert told == [first.key] == [nested.call(1.0).key]
    assert store.make(nested, nested.call(1.0), wait=False).total == 1.0 and len(told) == 1


def test_two_different_values_under_one_key_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch):
    values = iter([1.0, 1.0, 2.0])

    @step("toy_fickle")
    def fickle() -> Sum:
        return add(next(values))

    first = store(fickle)
    monkeypatch.setattr(Store, "_load", lambda self, function, call: None)  # As if both had begun at the same time.
    assert store(fickle).total == 1.0
    with pytest.raises(
        Failed, match=f"^two different values under {first.key}: .* Equal calls must give equal results"
    ):
        store(fickle)
    monkeypatch.undo()
    assert store(fickle).total == 1.0 and list((store.folder / "tmp").iterdir()) == []


def test_imported_rows_are_noted_and_not_present(store: Store):
    record = {"key": "toy_add:0123456789abcdef", "numbers": {"total": 1.0}}
    path = store.folder / "noted" / "toy_add" / "0123456789abcdef.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(seal(record))
    assert store.noted() == {"toy_add:0123456789abcdef"} and store.present() == set()
    assert store.record("toy_add:0123456789abcdef") == record
    path.write_bytes(path.read_bytes().replace(b"1.0", b"1.1"))
    with pytest.raises(Damaged, match=r"0123456789abcdef\.json is damaged"):
        store.record("toy_add:0123456789abcdef")


class Full:
    """A disk that is full, or may not be written, from the n-th of the calls that write on."""

    def __init__(self, number: int) -> None:
        self.left, self.number = 10**6, number

    def after(self, calls: int) -> None:
        self.left = calls

    def __call__(self, *args: Any, **options: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("calls", range(5))
def test_a_full_or_read_only_disk_fails_in_words_and_what_is_finished_stays(
    number: int, calls: int, store: Store, monkeypatch: pytest.MonkeyPatch
):
    finished = store(add, 1.0)
    full = Full(number)
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(store_module.os, "fsync", lambda file: (full(), sync(file)))
    monkeypatch.setattr(store_module.os, "rename", lambda a, b: (full(), rename(a, b)))
    full.after(calls)  # values, rows, record, rename
    if calls < 4:
        with pytest.raises(Failed) as caught:
            store(add, 2.0)
        assert str(caught.value) == (
            f"cannot keep {add.call(2.0).key} in {store.folder}: {os.strerror(number)}. Free space there or name "
            "another store (--store); everything finished before is kept."
        )
        assert store.keys() == [finished.key] and list((store.folder / "tmp").iterdir()) == []
        assert store(add, 1.0).total == 1.0 and RUNS == [1.0, 2.0]
        full.after(100)
    assert store(add, 2.0).total == 2.0 and len(store.keys()) == 2


@pytest.mark.parametrize("where", ["mkdir", "lock"])
def test_a_store_that_cannot_be_written_says_so_before_anything_runs(
    where: str, store: Store, monkeypatch: pytest.MonkeyPatch
):
    finished = store(add, 1.0)

    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    if where == "mkdir":
        monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    else:
        monkeypatch.setattr(importlib.import_module("filelock").FileLock, "acquire", refuse)
    with pytest.raises(Failed) as caught:
        store(add, 2.0)
    assert str(caught.value) == (
        f"cannot write the store {store.folder}: Read-only file system. Name another (--store)."
    )
    assert RUNS == [1.0]
    assert store(add, 1.0).total == finished.total  # What is there can still be read.


def test_damage_in_a_read_only_store_is_told_and_not_given_back(store: Store, monkeypatch: pytest.MonkeyPatch):
    first = store(add, 1.0)
    flip(home(store, first.key) / "values.safetensors")

    def refuse(*args: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store_module.os, "rename", refuse)
    with pytest.raises(Failed, match=r"damaged and cannot be set aside: Read-only file system\. Make .* writable or"):
        store(add, 1.0)
    assert RUNS == [1.0]


def test_damage_that_another_process_set_aside_first_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch):
    first = store(add, 1.0)
    flip(home(store, first.key) / "values.safetensors")
    rename = os.rename

    def beaten(source: Any, target: Any) -> None:
        if "damaged" in str(target):
            rename(source, f"{target}-by-another")
        rename(source, target)

    monkeypatch.setattr(store_module.os, "rename", beaten)
    assert store(add, 1.0).total == 1.0 and RUNS == [1.0, 1.0]


class Unreadable:
    """A disk on which files of a name cannot be read so many times."""

    def __init__(self, name: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name, self.times, self.read = name, times, pathlib.Path.read_bytes
        monkeypatch.setattr(pathlib.Path, "read_bytes", lambda path: self(path))

    def __call__(self, path: pathlib.Path) -> bytes:
        if path.match(self.name) and self.times:
            self.times -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return self.read(path)


@pytest.mark.parametrize("name", ["record.json", "values.safetensors", "rows.jsonl", "blobs/*"])
def test_what_the_system_cannot_read_is_tried_again_and_is_no_damage(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
):
    first = store(add, 1.0)
    disk = Unreadable(name, 1, monkeypatch)
    assert store(add, 1.0).total == 1.0 and RUNS == [1.0] and disk.times == 0
    disk.times = 1000
    for look in (lambda: store(add, 1.0), lambda: store.load(first.key, Sum)):
        with pytest.raises(Failed, match=r"^cannot read .*: Stale file handle\. It is left as it is: see to the disk"):
            look()
    disk.times = 0
    assert store(add, 1.0).total == 1.0 and RUNS == [1.0] and not (store.folder / "damaged").exists()


def test_what_the_system_cannot_tell_of_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch):
    first = store(add, 1.0)
    stat = os.stat

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("record.json"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return stat(path, **options)

    with (
        monkeypatch.context() as closed,
        pytest.raises(Failed, match=r"^cannot read .*record\.json: Permission denied"),
    ):
        closed.setattr(os, "stat", refuse)
        store(add, 1.0)
    assert store(add, 1.0).key == first.key and RUNS == [1.0]


@pytest.mark.parametrize("name", ["record.json", "values.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_damage(name: str, store: Store):
    first = store(add, 1.0)
    (home(store, first.key) / name).unlink()
    (home(store, first.key) / name).mkdir()
    assert store(add, 1.0).total == 1.0 and RUNS == [1.0, 1.0]


def test_a_failed_step_keeps_its_scratch_and_goes_on_from_it(store: Store):
    with pytest.raises(Failed, match="stopped half-way"):
        store(careful, 3.0)
    (scratch,) = (store.folder / "partial").iterdir()
    assert scratch.name == careful.call(3.0).key.replace(":", "-") and store.keys() == []
    assert store(careful, 3.0).rows == ({"found": "half-way"},)
    assert not scratch.exists() and list((store.folder / "partial").iterdir()) == []


def test_a_step_that_fails_leaves_nothing_and_frees_the_lock(store: Store):
    for _ in range(2):
        with pytest.raises(Failed, match="no good"):
            store(fail, "no good")
    assert store.keys() == []


CRASH = """
import os, sys
from tests.study.toys import add
from tombola.study import store as module
store = module.Store(sys.argv[1])
store(add, 1.0)
calls = 0

def dying(function):
    def wrapped(*args, **options):
        global calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), 9)
        return function(*args, **options)
    return wrapped

for name in ("fsync", "replace", "rename"):
    setattr(module.os, name, dying(getattr(os, name)))
for number in range(1, 10):
    pid = os.fork()
    if not pid:
        store(add, 2.0)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(number, os.WTERMSIG(status), store.keys() == [add.call(1.0).key], flush=True)
    if not os.WTERMSIG(status):
        break
"""


def test_a_crash_between_files_never_leaves_half_an_artifact(tmp_path: pathlib.Path):
    """Killed at each of its writes and renames in turn, a store shows nothing of what was being written."""
    found = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path / "runs")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [line.split() for line in found.stdout.splitlines()]
    # Two calls for each of values, rows and record, and one for the folder; the blob was there.
    assert lines == [*([str(n), "9", "True"] for n in range(1, 8)), ["8", "0", "False"]]
    RUNS.clear()
    store = Store(tmp_path / "runs")
    assert store(add, 2.0).total == 2.0 and store(add, 1.0).total == 1.0 and RUNS == []
    assert not (store.folder / "damaged").exists()


MANY = """
import os, random, sys, time
import torch
from tests.study.toys import Sum
from tombola.study.keeper import Keeper
from tombola.study.step import step
from tombola.study.store import Store
from tombola.study.upkeep import sweep

folder, log, work, keys = sys.argv[1], sys.argv[2], sys.argv[3], 36

@step("toy_own")
def own(number: int) -> Sum:
    with open(log, "a") as file:
        file.write(f"{number}\\n")
    return Sum(torch.zeros(1), float(number), torch.full((8,), float(number // 2 if work == "same keys" else number)))

put = Store._put
Store._put = lambda store, *words: (time.sleep(0.01), put(store, *words))  # The moment in which no record names a blob.

def write(seed):
    numbers = list(range(keys)) if work == "same keys" else list(range(seed, keys, 3))
    random.Random(seed).shuffle(numbers)
    store = Store(folder)
    for number in numbers:
        assert store(own, number).total == number

def collect():  # Until its parent, the last writer, is gone: all blobs look old, so that any may be thought unused.
    parent, swept = os.getppid(), 0
    while os.getppid() == parent:
        for entry in os.scandir(folder + "/blobs"):
            try:
                if not entry.name.startswith("."):  # Else it is being written.
                    os.utime(entry.path, (0, 0))
            except FileNotFoundError:
                pass
        swept += sum(1 for _ in sweep(Keeper(folder), act="remove"))
    os._exit(0)

Store(folder).prepare()
if work == "beside a collector" and not os.fork():
    collect()
children = []
for seed in range(3):
    pid = os.fork()
    if not pid:
        try:
            write(seed)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
print(*codes, flush=True)
"""


@pytest.mark.parametrize("work", ["same keys", "beside a collector"])
def test_many_writers_lose_nothing_and_run_each_call_once(work: str, tmp_path: pathlib.Path):
    folder, log = tmp_path / "runs", tmp_path / "log"
    found = subprocess.run(
        [sys.executable, "-c", MANY, str(folder), str(log), work], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert found.stdout.split() == ["0", "0", "0"], found.stderr
    assert len(Store(folder).keys()) == 36
    assert sorted(map(int, log.read_text().split())) == list(range(36))
    assert [finding for finding in audit(Keeper(folder)) if finding.problems] == []
    assert not (folder / "damaged").exists()


TWO = """
import sys
from tests.study.toys import slow_main
print("ready", flush=True)
sys.stdin.readline()
slow_main(sys.argv[1], sys.argv[2])
"""


def test_two_processes_that_ask_for_the_same_key_run_it_once(tmp_path: pathlib.Path):
    folder, log = str(tmp_path / "runs"), tmp_path / "log"
    run_at_once(TWO, [[folder, str(log)]] * 2)
    assert len(log.read_text().splitlines()) == 1
    assert len(Store(folder).keys()) == 1
