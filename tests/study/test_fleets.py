"""Studies whose trainings run together, in this process and in workers: nothing but the time may differ."""

import json
import logging
import os
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.study.toys import Sum, add, beside
from tests.train.toys import Points, same
from tombola.archs.mlp import Mlp
from tombola.core.machine import Machine
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import CPU, Holdout
from tombola.find import cut, draw
from tombola.study.deferred import Deferred, defer
from tombola.study.driver import ATTEMPTS, run
from tombola.study.engines import local
from tombola.study.engines.engine import Engine
from tombola.study.engines.here import Here
from tombola.study.engines.local import Local
from tombola.study.events import Event
from tombola.study.finished import Finished
from tombola.study.goals import row
from tombola.study.graph import graph_of
from tombola.study.store import Store
from tombola.train.loop import train
from tombola.train.optimizers import Sgd
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

PATIENCE = 60.0  # Seconds that something may take on a machine that is busy with other things.
MLP, OPTIMIZER = Mlp(hidden=(6,)), Sgd(lr=0.05, momentum=0.9)


@plugin("task", "toy_gated_points")
class Gated(Points):
    """Points whose batch of the step `at` waits until there is a file `gate`; every batch is written down."""

    gate: str = ""
    at: int = 250

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        with open(f"{self.gate}.log", "a") as file:
            file.write(json.dumps([os.getpid(), seeds.stream("data"), step]) + "\n")
        if step == self.at:
            limit = time.monotonic() + PATIENCE
            while not pathlib.Path(self.gate).exists() and time.monotonic() < limit:
                time.sleep(0.01)
        return super().batch(step, seeds=seeds, size=size, holdout=holdout, device=device)


def engine(name: str, folder: pathlib.Path) -> Engine:
    return Here(lambda told: None) if name == "here" else Local(1, log=folder / "logs")


def finished(calls: list[Deferred], store: Store, by: Engine, *watch: Callable[[Event], None]) -> Finished:
    def tell(one: Event) -> None:
        for hears in watch:
            hears(one)

    return run(graph_of([row(call, n=n) for n, call in enumerate(calls)]), store, by, tell)


def told(events: list[Event], happening: str) -> list[str]:
    return [one["key"] for one in events if one["event"] == happening]


def together(events: list[Event], function: str) -> list[int]:
    """How many calls of a step began in a row, time after time."""
    found, row_of = list[int](), 0
    for one in events:
        if one["event"] == "start" and one["function"] == function:
            row_of += 1
        elif row_of and one["event"] in ("start", "done"):
            found.append(row_of)
            row_of = 0
    return found


def contents(store: Store) -> dict[str, Any]:
    """All that a store holds, without what tells of where, when and how long."""
    found: dict[str, Any] = {}
    for key in store.keys():
        record = store.record(key)
        record.pop("provenance")
        for told in (record["numbers"], record["header"].get("cost", {})):
            for name in ("seconds", "device_seconds", "images_per_second", "peak_memory"):
                told.pop(name, None)
        found[key] = record
    return found


def ladder(seed: int, task: Points, recipe: Recipe) -> Deferred:
    """A ticket that is drawn, trained, cut and trained again."""
    seeds = Seeds(seed)
    dense = defer(draw, MLP, task, recipe, seeds)
    first = defer(train, ticket=dense, task=task, recipe=recipe, seeds=seeds)
    return defer(train, ticket=defer(cut, trained=first, keep=0.5), task=task, recipe=recipe, seeds=seeds)


@pytest.mark.parametrize("name", ["here", "local"])
def test_a_study_of_fleets_equals_one_of_single_trainings(tmp_path: pathlib.Path, name: str):
    """Four seeds, three places; epochs end in smaller batches, the mask is another one for each seed."""
    recipe = Recipe(steps=60, rewind=10, batch=8, optimizer=OPTIMIZER, evaluate=25, validation=0.1, select="best")
    calls = [ladder(seed, Points(), recipe) for seed in range(4)]
    alone, fleets = Store(tmp_path / "alone"), Store(tmp_path / "fleets", machine=Machine(fleet=3))
    events: list[Event] = []
    assert finished(calls, alone, Here(lambda word: None), events.append).done == 16
    assert set(together(events, "train")) == {1}
    events.clear()
    assert finished(calls, fleets, engine(name, tmp_path), events.append).done == 16
    assert together(events, "train") == [3, 1, 3, 1]
    assert contents(fleets) == contents(alone)
    for call in calls:
        one, other = (store.load(call.key, Trained) for store in (fleets, alone))
        assert same(one.weights, other.weights) and one.log == other.log and one.scores == other.scores
    assert not list(fleets.folder.glob("partial/*"))


def test_a_worker_that_is_killed_in_the_middle_of_a_fleet(tmp_path: pathlib.Path):
    """The shortest training has ended; the others go on from their checkpoints, and end as if nothing had been."""
    gate = tmp_path / "gate"
    task = Gated(gate=str(gate))
    dense = defer(draw, MLP, task, Recipe(steps=100, batch=8, optimizer=OPTIMIZER))
    lengths = (100, 300, 300)
    calls = [
        defer(train, dense, task, Recipe(steps=steps, batch=8, optimizer=OPTIMIZER, evaluate=100), Seeds(data=n))
        for n, steps in enumerate(lengths)
    ]
    killed: list[int] = []
    events: list[Event] = []
    by = Local(1, log=tmp_path / "logs")

    def kill(one: Event) -> None:
        if one["event"] == "done" and one["key"] == calls[0].key:
            limit = time.monotonic() + PATIENCE
            while not any(step == task.at for _, _, step in written()):
                assert time.monotonic() < limit, "nobody came to the gate"
                time.sleep(0.01)
            (worker,) = by.workers.values()
            killed.append(worker.process.pid or 0)
            os.kill(killed[0], signal.SIGKILL)
            gate.touch()

    def written() -> list[tuple[int, int, int]]:
        return [tuple(json.loads(line)) for line in pathlib.Path(f"{gate}.log").read_text().splitlines()]

    store = Store(tmp_path / "runs", machine=Machine(fleet=3, checkpoint=0.0))
    assert finished(calls, store, by, events.append, kill).ok and killed
    unfinished = [calls[1].key, calls[2].key]
    assert sorted(told(events, "lost")) == sorted(unfinished)
    assert {(one["attempt"], one["worker"]) for one in events if one["event"] == "lost"} == {(1, "worker 1")}
    assert all("was killed (signal 9)" in one["why"] for one in events if one["event"] == "lost")
    assert together(events, "train") == [3, 2] and told(events, "done").count(calls[0].key) == 1
    again = [(data, step) for pid, data, step in written() if pid != killed[0]]
    assert {data for data, _ in again} == {Seeds(data=n).stream("data") for n in (1, 2)}
    assert {step for _, step in again} - {0} == set(range(200, 300))  # A batch may be looked at to count operations.
    whole = Store(tmp_path / "whole")
    assert finished(calls, whole, Here(lambda word: None)).ok
    assert contents(store) == contents(whole) and not list(store.folder.glob("partial/*"))


def lost_calls(log: pathlib.Path, times: int) -> list[Deferred]:
    """Three calls that run together; the second one loses the device."""
    of, facts = defer(add, 1.0), {"log": str(log), "times": times}
    return [defer(beside, of=of, number=float(n), how=how, **facts) for n, how in enumerate(["", "lose", ""])]


def ran(log: pathlib.Path) -> list[tuple[int, list[float]]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [(line["pid"], line["numbers"]) for line in lines]


@pytest.mark.parametrize("name", ["here", "local"])
def test_a_process_that_lost_its_device_is_left(tmp_path: pathlib.Path, name: str):
    """What had not ended is begun again, in another process; this process stays what it is."""
    log, events = tmp_path / "log", list[Event]()
    calls = lost_calls(log, times=1)
    store = Store(tmp_path / "runs", machine=Machine(fleet=3))
    result = finished([*calls, defer(add, 5.0)], store, engine(name, tmp_path), events.append)
    assert result.ok and result.done == 5
    assert sorted(told(events, "lost")) == sorted([calls[1].key, calls[2].key])
    (first, numbers), (second, rest) = ran(log)
    assert (numbers, rest) == ([0.0, 1.0, 2.0], [1.0, 2.0])
    assert (first == second == os.getpid()) if name == "here" else (len({first, second, os.getpid()}) == 3)
    for one in events:
        if one["event"] == "lost":
            assert one["attempt"] == 1
            assert one["why"] == "lost its device (CUDA error: an illegal memory access was encountered)"
    assert [store.load(call.key, Sum).total for call in calls] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["here", pytest.param("local", marks=pytest.mark.slow)])
def test_a_device_that_is_lost_again_and_again_is_told_of(tmp_path: pathlib.Path, name: str):
    log = tmp_path / "log"
    calls = lost_calls(log, times=99)
    store = Store(tmp_path / "runs", machine=Machine(fleet=3))
    result = finished([*calls, defer(add, 5.0)], store, engine(name, tmp_path))
    why = "lost its device (CUDA error: an illegal memory access was encountered)"
    assert result.failed[calls[1].key] == f"the process that ran it {why}, 3 times in turn." and ATTEMPTS == 3
    assert {calls[0].key, defer(add, 5.0).key} <= store.present()
    pids = [pid for pid, numbers in ran(log) if 1.0 in numbers]
    assert len(pids) == ATTEMPTS and len(set(pids)) == (1 if name == "here" else ATTEMPTS)


def test_more_workers_than_cores_are_warned_of(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(local, "cores", lambda: 4)
    caplog.set_level(logging.WARNING)

    def said(workers: int, **facts: Any) -> str:
        caplog.clear()
        Local(workers, machine=Machine(**facts), log=tmp_path)
        return caplog.text

    assert said(1) == said(4) == said(2, threads=2) == said(1, threads=4) == said(64, device="cuda") == ""
    assert (
        "5 workers with 1 thread each on 4 cores hold each other up; --workers 4 is as many as there is room for."
    ) in said(5)
    assert "2 workers with 3 threads each on 4 cores hold each other up; --workers 1 is as many" in said(2, threads=3)
    assert "1 workers with 8 threads each on 4 cores" in said(1, threads=8) and "--workers 1 " in said(1, threads=8)
