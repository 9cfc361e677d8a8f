"""Calls that run together as jobs: each is taken on, ends, is told of and let go of by itself."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.study.toys import Sum, add, beside
from tombola.core.errors import Failed
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred, defer
from tombola.study.execute import Outcome, execute, job_of
from tombola.study.store import Busy, Store, Unwritable

ONE = defer(add, 1.0)
TRY = "import filelock, sys; filelock.FileLock(sys.argv[1]).acquire(blocking=False)"
"""What another process does to take a lock, if it is free."""


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[Store]:
    """A store with the input of all calls; in the end nobody holds anything."""
    store = Store(tmp_path / "runs", machine=Machine(fleet=8))
    store(add, 1.0)
    yield store
    assert not any(locked(store, path) for path in store.folder.glob("locks/toy_*.lock"))


def locked(store: Store, of: str | pathlib.Path) -> bool:
    """Whether a key's lock is held, or that of this file."""
    key = of.stem.replace("-", ":") if isinstance(of, pathlib.Path) else of
    try:
        with store._locked(key, False):  # pyright: ignore[reportPrivateUsage]
            return False
    except Busy:
        return True


def free_for_others(store: Store, key: str) -> bool:
    """Whether another process can take the lock of a key."""
    path = store.room_for("locks", key).with_suffix(".lock")
    return not subprocess.run([sys.executable, "-c", TRY, str(path)], stderr=subprocess.DEVNULL).returncode


def half_done(store: Store) -> set[str]:
    return {path.name.replace("-", ":") for path in store.folder.glob("partial/*")}


def calls(log: pathlib.Path | None, *hows: str) -> list[Deferred]:
    """A call for each word of how it is to end, with the numbers 0, 1, ..."""
    facts = {} if log is None else {"log": str(log)}
    return [defer(beside, of=ONE, number=float(n), how=how, **facts) for n, how in enumerate(hows)]


def begun(wanted: list[Deferred], store: Store, told: list[tuple[str, str, Any]] | None = None) -> Iterator[Outcome]:
    jobs = [job_of(call, store=store) for call in wanted]
    return execute(jobs, lambda *words: (told if told is not None else []).append(words))


def groups(log: pathlib.Path) -> list[list[float]]:
    return [json.loads(line)["numbers"] for line in log.read_text().splitlines()] if log.exists() else []


def test_results_equal_those_of_single_calls(store: Store, tmp_path: pathlib.Path):
    """Keys, records and files; only what tells of where and when may differ."""
    wanted, apart = calls(None, "", "", ""), Store(tmp_path / "apart")
    outcomes = list(begun(wanted, store))
    assert [one.key for one in outcomes] == [call.key for call in wanted]
    of = apart(add, 1.0)
    for outcome, call in zip(outcomes, wanted, strict=True):
        single = apart(beside, of, call.call.arguments["number"])
        assert (single.key, outcome.status, outcome.seconds > 0) == (call.key, "done", True)
        assert (outcome.numbers, outcome.checks) == (single.numbers(), single.proofs())
        one, other = store.record(call.key), apart.record(call.key)
        assert one.pop("provenance")["images"] == other.pop("provenance")["images"]
        assert one == other and one["inputs"] == [ONE.key]
        found = store.load(call.key, Sum)
        assert found.values.equal(single.values) and found.rows == single.rows
    assert store.keys() == apart.keys() and not half_done(store)


def test_outcomes_come_one_by_one_and_each_is_let_go_of_as_it_ends(store: Store):
    """Another process can take it on while the others run; those that have not ended it cannot."""
    wanted = calls(None, "", "fail", "", "")
    going = begun(wanted, store)
    for place, status in enumerate(["done", "failed", "done", "done"]):
        outcome = next(going)
        assert (outcome.key, outcome.status) == (wanted[place].key, status)
        assert (wanted[place].key in store.present()) == (status == "done")
        assert [locked(store, call.key) for call in wanted] == [n > place for n in range(4)]
        if place == 1:
            assert [free_for_others(store, call.key) for call in wanted] == [True, True, False, False]
    assert next(going, None) is None and half_done(store) == {wanted[1].key}


def test_one_is_there_one_is_busy_one_lacks_an_input_and_the_rest_run(store: Store, tmp_path: pathlib.Path):
    log = tmp_path / "log"
    found, busy, good, bad, last = calls(log, "", "", "", "fail", "")
    absent = defer(beside, of=defer(add, 0.5, times=2), number=9.0, log=str(log))
    (there,) = begun([found], store)
    assert there.status == "done"
    with store._locked(busy.key, False):  # pyright: ignore[reportPrivateUsage]
        outcomes = {one.key: one for one in begun([found, busy, absent, good, bad, last], store)}
    told = {call.key: outcomes[call.key].status for call in (found, busy, absent, good, bad, last)}
    assert list(told.values()) == ["loaded", "busy", "absent", "done", "failed", "done"] and len(outcomes) == 6
    assert outcomes[absent.key].missing == absent.inputs[0].key
    assert (outcomes[bad.key].error, outcomes[bad.key].trace) == ("number 3 is no good", "")
    assert groups(log) == [[0.0], [2.0, 3.0, 4.0]] and half_done(store) == {bad.key}


def test_if_all_are_there_nothing_runs(store: Store, tmp_path: pathlib.Path):
    wanted = calls(tmp_path / "log", "", "")
    assert [one.status for one in begun(wanted, store)] == ["done", "done"]
    assert [one.status for one in begun(wanted, store)] == ["loaded", "loaded"] and len(groups(tmp_path / "log")) == 1


@pytest.mark.parametrize(
    "how, error", [("raise", "LookupError: an odd one"), ("exit", "SystemExit: enough")], ids=["raised", "exit"]
)
def test_a_step_that_breaks_off_fails_what_had_not_ended(store: Store, how: str, error: str):
    wanted = calls(None, "", "fail", how, "", "")
    going = begun(wanted, store)
    assert [(one.key, one.status) for one in (next(going), next(going))] == [
        (wanted[0].key, "done"),
        (wanted[1].key, "failed"),
    ]
    for place in (2, 3, 4):
        outcome = next(going)
        assert (outcome.key, outcome.status, outcome.error) == (wanted[place].key, "failed", error)
        assert "toys.py" in outcome.trace and not locked(store, wanted[place].key)
    assert next(going, None) is None
    assert store.present() == {ONE.key, wanted[0].key}


def test_a_call_that_a_step_forgets_has_failed(store: Store):
    """Else whoever waits for its outcome would wait forever."""
    wanted = calls(None, "silent", "", "silent")
    outcomes = {one.key: one for one in begun(wanted, store)}
    assert [outcomes[call.key].status for call in wanted] == ["failed", "done", "failed"]
    said = "toy_beside ran 3 calls together, and gave no result of this one."
    assert {outcomes[call.key].error for call in wanted} == {"", said}


def test_a_device_that_is_lost_takes_with_it_what_had_not_ended(store: Store):
    wanted = calls(None, "", "lose", "")
    outcomes = list(begun(wanted, store))
    assert [one.status for one in outcomes] == ["done", "gone", "gone"]
    said = "lost its device (CUDA error: an illegal memory access was encountered)"
    assert [one.error for one in outcomes] == ["", said, said]


def test_what_cannot_be_kept_is_fatal_for_itself(store: Store, monkeypatch: pytest.MonkeyPatch):
    """The driver stops at once; an engine that goes on tells of the others."""
    wanted, keep = calls(None, "", "", ""), Store._keep  # pyright: ignore[reportPrivateUsage]

    def full(self: Store, call: Any, *args: Any, **kwargs: Any) -> None:
        if call.key == wanted[1].key:
            raise Unwritable("cannot keep it: No space left on device.")
        keep(self, call, *args, **kwargs)

    monkeypatch.setattr(Store, "_keep", full)
    assert [one.status for one in begun(wanted, store)] == ["done", "fatal", "done"]


def test_two_values_under_one_key_fail_alone(store: Store, monkeypatch: pytest.MonkeyPatch):
    wanted, keep = calls(None, "", ""), Store._keep  # pyright: ignore[reportPrivateUsage]

    def other(self: Store, call: Any, *args: Any, **kwargs: Any) -> None:
        if call.key == wanted[0].key:
            raise Failed("two different values under one key")
        keep(self, call, *args, **kwargs)

    monkeypatch.setattr(Store, "_keep", other)
    outcomes = list(begun(wanted, store))
    assert [(one.status, one.error) for one in outcomes] == [
        ("failed", "two different values under one key"),
        ("done", ""),
    ]


def test_what_they_say_on_the_way_is_said_of_each(store: Store):
    told: list[tuple[str, str, Any]] = []
    wanted = calls(None, "", "", "")
    list(begun(wanted, store, told))
    assert told == [(call.key, "progress", {"number": float(n)}) for n, call in enumerate(wanted)]


def test_who_stops_in_the_middle_lets_go_of_everything(store: Store):
    wanted = calls(None, "", "", "")
    going = begun(wanted, store)
    assert next(going).status == "done" and locked(store, wanted[2].key)
    going.close()  # type: ignore[attr-defined]
    assert not locked(store, wanted[1].key) and not locked(store, wanted[2].key)
    assert store.present() == {ONE.key, wanted[0].key}


def test_so_does_who_is_interrupted(store: Store):
    """Though the traceback still knows of everything."""
    wanted = calls(None, "", "stop", "")
    with pytest.raises(KeyboardInterrupt) as caught:
        list(begun(wanted, store))
    assert caught.tb and not any(locked(store, call.key) for call in wanted)
    assert store.present() == {ONE.key, wanted[0].key}


def test_they_are_of_one_kind_or_fail_as_one(store: Store):
    """Whoever hands them out together has looked at that; a wrong group is told of, and nothing runs."""
    wanted = [*calls(None, "", ""), defer(beside, of=ONE, number=7.0, kind="b")]
    outcomes = list(begun(wanted, store))
    assert {one.status for one in outcomes} == {"failed"} and len(outcomes) == 3
    assert "call 3 of 3 does not belong to the others: its kind is b" in outcomes[0].error and not half_done(store)
