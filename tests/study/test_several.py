"""Many calls at once with a store: lists among the arguments."""

import errno
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import filelock
import pytest

from tests.study.toys import Sum, add, beside
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.study import several
from tombola.study.step import now
from tombola.study.store import Busy, Store

PATIENCE = 60.0  # Seconds that two processes may take on a machine that is busy with other things.


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[Store]:
    """A store in which nothing is locked in the end."""
    store = Store(tmp_path / "runs")
    yield store
    assert not locked(store)


def locked(store: Store) -> list[str]:
    """The locks of a store that are held."""
    held: list[str] = []
    for path in store.folder.glob("locks/*-*.lock"):
        function, _, digits = path.stem.rpartition("-")
        try:
            with store._locked(f"{function}:{digits}", False):  # pyright: ignore[reportPrivateUsage]
                pass
        except Busy:
            held.append(path.stem)
    return held


def half_done(store: Store) -> int:
    return len(list(store.folder.glob("partial/*")))


def groups(log: pathlib.Path) -> list[list[float]]:
    """The numbers that ran together."""
    return [json.loads(line)["numbers"] for line in log.read_text().splitlines()] if log.exists() else []


def call_of(number: float, log: pathlib.Path, **facts: Any) -> Call:
    return beside.call(now(add, 1.0), number, log=str(log), **facts)


def test_what_is_there_is_loaded_and_the_rest_runs_together(store: Store, tmp_path: pathlib.Path):
    """In the order that was asked for, whatever the order of the keys is; a call named twice runs once."""
    log, of = tmp_path / "log", now(add, 1.0)
    assert store(beside, of, 3.0, log=str(log)).total == 4.0
    numbers = [5.0, 3.0, 1.0, 5.0, 4.0, 2.0, 3.0]
    found = store(beside, of, number=numbers, log=str(log))
    assert [one.total for one in found] == [1.0 + number for number in numbers]
    assert [one.key for one in found] == [call_of(number, log).key for number in numbers]
    first, together = groups(log)
    assert first == [3.0] and sorted(together) == [1.0, 2.0, 4.0, 5.0]
    keys = [call_of(number, log).key for number in together]
    assert keys == sorted(keys)
    again = store(beside, of, number=numbers, log=str(log))
    assert [one.total for one in again] == [one.total for one in found]
    assert len(groups(log)) == 2 and not half_done(store)


def test_each_is_kept_as_if_it_had_been_asked_for_alone(store: Store, tmp_path: pathlib.Path):
    of, single = now(add, 1.0), Store(tmp_path / "single")
    store(beside, of, number=[1.0, 2.0, 3.0])
    for number in (1.0, 2.0, 3.0):
        single(beside, of, number)
    assert store.keys() == single.keys() and len(store.keys()) == 3
    for key in store.keys():
        one, other = (where.record(key) for where in (store, single))
        told, alone = one.pop("provenance"), other.pop("provenance")
        assert one == other and told.keys() == alone.keys()
        assert store.load(key, Sum).values.equal(single.load(key, Sum).values)


def test_the_context_of_each_is_its_own(store: Store, tmp_path: pathlib.Path):
    """What one counts is in its own record, and what it says is said of it."""
    told: list[tuple[str, str, Any]] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        told.append((happening, call.key, facts.get("number")))

    log = tmp_path / "log"
    store.listen = listen
    store(beside, now(add, 1.0), number=[1.0, 2.0], log=str(log))
    for number in (1.0, 2.0):
        key = call_of(number, log).key
        assert store.record(key)["provenance"]["images"] == number
        assert [(what, of) for what, one, of in told if one == key] == [
            ("start", None),
            ("progress", number),
            ("done", None),
        ]


def test_one_that_fails_fails_alone_and_is_named_as_it_was_asked_for(store: Store, tmp_path: pathlib.Path):
    """Whichever place its key has among the others."""
    of, log = now(add, 1.0), tmp_path / "log"
    for place in range(4):
        numbers = [10.0 * place + n for n in range(4)]
        how = ["fail" if n == place else "" for n in range(4)]
        with pytest.raises(Failed) as caught:
            store(beside, of, number=numbers, how=how, log=str(log))
        bad = numbers[place]
        said, _, way_out = str(caught.value).partition("\n")
        assert (
            said == f"1 of 4 calls failed; call {place + 1}: number {bad:g} is no good" and "a Store keeps" in way_out
        )
        assert isinstance(caught.value.__cause__, Failed)
        kept = {call_of(number, log).key for number in numbers if number != bad}
        assert kept <= store.present() and call_of(bad, log, how="fail").key not in store.present()
        assert not locked(store) and half_done(store) == place + 1  # What it did stays, for the next time.


def test_all_failures_are_counted_and_the_first_is_named(store: Store):
    numbers, how = [1.0, 2.0, 3.0, 4.0, 5.0], ["", "fail", "", "fail", "fail"]
    with pytest.raises(Failed, match=r"^3 of 5 calls failed; call 2: number 2 is no good\n"):
        store(beside, now(add, 1.0), number=numbers, how=how)
    assert len(store.keys()) == 2 and half_done(store) == 3


def test_what_had_ended_when_a_step_breaks_off_is_kept(store: Store):
    """They run in the order of their keys."""
    of = now(add, 1.0)
    first, last = beside.call(of, 1.0).key, beside.call(of, 9.0).key
    between = (beside.call(of, float(n), how="raise") for n in range(2, 9))
    bad = next(call.arguments["number"] for call in between if first < call.key < last or last < call.key < first)
    with pytest.raises(LookupError, match="an odd one") as caught:
        store(beside, of, number=[1.0, bad, 9.0], how=["", "raise", ""])
    assert store.keys() == [min(first, last)] and half_done(store) == 1
    assert caught.tb and not locked(store)  # Though the traceback still knows of everything.


def test_what_does_not_belong_together_is_refused_before_anything_is_written(store: Store, tmp_path: pathlib.Path):
    with pytest.raises(Refused, match=r"^toy_beside: call 3 of 3 does not belong to the others: its kind is b, and "):
        store(beside, now(add, 1.0), number=[1.0, 2.0, 3.0], kind=["a", "a", "b"])
    with pytest.raises(Refused, match=r"call 2 of 2 .* its total is 2\.0, and that of the first is 1\.0"):
        store(beside, [now(add, 1.0), now(add, 2.0)], number=1.0)
    with pytest.raises(Refused, match=r"^toy_beside: lists of 2 and 3\. Lists are of one length, 1 or more\.$"):
        store(beside, now(add, 1.0), number=[1.0, 2.0, 3.0], kind=["a", "a"])
    assert not store.folder.exists()


def test_two_processes_that_ask_for_overlapping_lists_do_not_wait_for_each_other(store: Store, tmp_path: pathlib.Path):
    """Each pauses after every claim, so that taken in the order of asking they would meet half-way and stand still."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    lists = [[1.0, 2.0, 3.0, 4.0], [5.0, 4.0, 3.0, 2.0]]
    work = "import sys; from tests.study.toys import beside_main; beside_main(*sys.argv[1:])"
    commands = [[sys.executable, "-c", work, *map(str, (store.folder, log, gate, *one))] for one in lists]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        limit = time.monotonic() + PATIENCE
        while len(list(tmp_path.glob("gate.*"))) < 2:
            assert time.monotonic() < limit and all(one.poll() is None for one in both)
            time.sleep(0.01)
        gate.touch()
        said = [one.communicate(timeout=PATIENCE)[0] for one in both]
    finally:
        for one in both:
            one.kill()
            one.communicate()
    assert [json.loads(one) for one in said] == [[1.0 + number for number in one] for one in lists]
    assert sorted(number for group in groups(log) for number in group) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(store.keys()) == 5


def test_more_calls_than_files_may_be_open_run_in_parts(store: Store, tmp_path: pathlib.Path):
    of, log = now(add, 1.0), tmp_path / "log"
    numbers = [float(number) for number in range(100)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with log.open("w") as file:  # It has the lowest number that is free.
        lowest = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 60, hard))
    try:
        found = store(beside, of, number=numbers, log=str(log))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [one.total for one in found] == [1.0 + number for number in numbers]
    assert sorted(number for together in groups(log) for number in together) == numbers


def test_parts_are_as_many_as_are_asked_for_and_failures_are_counted_over_all(
    store: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(several, "AT_ONCE", 3)
    log, how = tmp_path / "log", ["", "fail", "", "", "", "", "", "fail"]
    with pytest.raises(Failed, match=r"^2 of 8 calls failed; call 2: number 1 is no good"):
        store(beside, now(add, 1.0), number=[float(n) for n in range(8)], how=how, log=str(log))
    assert sorted(map(len, groups(log))) == [2, 3, 3] and len(store.keys()) == 6


def test_too_many_open_files_are_called_so(store: Store, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with (
        monkeypatch.context() as full,
        pytest.raises(Failed, match=r"Too many open files\. Raise the limit .*ulimit -n"),
    ):
        full.setattr(filelock.FileLock, "acquire", refuse)
        store(beside, now(add, 1.0), number=[1.0, 2.0])
