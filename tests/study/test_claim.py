"""Taking calls on: one at a time or several at once, each kept when it is done; and what their records tell."""

import pathlib
import shutil
import time
from typing import Any

import pytest

from tests.study.toys import RUNS, Sum, add
from tombola.core.call import Call
from tombola.core.errors import Failed
from tombola.core.machine import Machine
from tombola.study.entry import counted
from tombola.study.environment import environment
from tombola.study.step import Context, Meter, step
from tombola.study.store import Busy, Store


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    return Store(tmp_path / "runs")


def made(call: Call) -> Sum:
    return add.run(call, Context())


def test_what_is_kept_is_found_by_the_next(store: Store):
    call = add.call(2.5)
    with store.claim(add, call) as claim:
        assert claim.found is None and claim.call is call and claim.store is store
        assert claim.scratch == store.folder / "partial" / call.key.replace(":", "-")
        claim.scratch.mkdir(parents=True)
        (claim.scratch / "half").touch()
        claim.keep(made(call), seconds=4.0, meter=Meter(flops=8.0, device_seconds=2.0, images=12))
        assert not claim.scratch.exists()
    with store.claim(add, call) as claim:
        assert claim.found.total == 2.5 and claim.found.key == call.key
    took = store.record(call.key)["provenance"]
    assert {n: took[n] for n in ("seconds", "flops", "device_seconds", "images", "images_per_second")} == {
        "seconds": 4.0, "flops": 8.0, "device_seconds": 2.0, "images": 12, "images_per_second": 3.0}  # fmt: skip
    assert store.record(call.key)["environment"] == environment(Machine())


def test_what_is_not_kept_is_not_there_and_its_half_done_work_stays(store: Store):
    call = add.call(2.5)
    with pytest.raises(Failed, match="half-way"), store.claim(add, call) as claim:
        claim.scratch.mkdir(parents=True)
        raise Failed("half-way")
    with store.claim(add, call, wait=False) as claim:
        assert claim.found is None and claim.scratch.exists()
    assert store.keys() == []


def test_several_are_held_at_once_and_each_is_kept_when_it_is_done(store: Store):
    calls = [add.call(float(number)) for number in range(3)]
    other = Store(store.folder)
    with store.claim(add, calls[0]) as first, store.claim(add, calls[1]) as second:
        for call in calls[:2]:
            with pytest.raises(Busy), other.claim(add, call, wait=False):
                pass
        with other.claim(add, calls[2], wait=False) as third:
            assert third.found is None
        second.keep(made(calls[1]), seconds=1.0, meter=Meter())
        assert other.keys() == [calls[1].key]
        with other.claim(add, calls[1], wait=False) as again:  # It is there, so nobody waits for the lock.
            assert again.found.total == 1.0
        first.keep(made(calls[0]), seconds=1.0, meter=Meter())
    assert other.keys() == sorted(call.key for call in calls[:2])


def test_what_is_found_needs_no_place_to_write(store: Store):
    call = add.call(2.5)
    store.make(add, call)
    for room in ("locks", "tmp"):
        shutil.rmtree(store.folder / room)
    with store.claim(add, call) as claim:
        assert claim.found.total == 2.5
    assert not (store.folder / "locks").exists()


def test_the_listener_hears_of_what_is_found(store: Store):
    heard: list[tuple[str, dict[str, Any]]] = []
    listening = Store(store.folder, listen=lambda happening, call, **facts: heard.append((happening, facts)))
    call = add.call(2.5)
    with listening.claim(add, call):
        pass
    assert heard == []
    store.make(add, call)
    with listening.claim(add, call) as claim:
        assert heard == [("loaded", {"result": claim.found})]


def test_a_call_is_timed_and_what_it_counts_is_written(store: Store):
    @step("toy_counting")
    def counting(*, context: Context = Context()) -> Sum:
        context.meter.flops, context.meter.images = 6.0, 100
        time.sleep(0.05)
        return add(1.0)

    took = store.record(store(counting).key)["provenance"]
    assert 0.05 <= took["seconds"] < 5 and took["flops"] == 6.0 and took["device_seconds"] == 0.0
    assert took["images_per_second"] == 100 / took["seconds"]
    assert "images_per_second" not in store.record(store(add, 1.0).key)["provenance"]


def test_no_pace_without_pictures_or_time():
    assert "images_per_second" not in counted(Meter(images=5), 0.0)
    assert counted(Meter(images=5), 2.0)["images_per_second"] == 2.5
