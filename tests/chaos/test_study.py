"""A study whose driver and workers are killed with SIGKILL at random moments ends as if nothing had happened."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from tombola.recall import STEPS
from tombola.study.events import Event, read_events
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.study.store import Store

SLOWEST = 300.0  # Seconds that a run may take on a machine that is busy with other things.

STUDY = '''"""Do tickets of a small network win against shuffled ones?"""
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.find import carry, find
from tombola.moves.controls import Shuffle
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.optimizers import Adam
from tombola.train.recipe import Recipe


def goals(*, steps: int = 250, seeds: int = 4, levels: int = 7):
    task = Digits()
    recipe = Recipe(steps=steps, rewind=steps // 10, batch=60, optimizer=Adam(), evaluate="1ep")
    for seed in range(seeds):
        own = {"task": task, "recipe": recipe, "seeds": Seeds(seed)}
        for level, ticket in enumerate(find(Mlp(hidden=(20,)), levels=levels, keep=0.7, call=defer, **own)):
            yield row(defer(train, ticket=ticket, **own), seed=seed, level=level, name="ticket")
            if level:
                shuffled = defer(carry, ticket=ticket, by=Shuffle(seed=seed))
                yield row(defer(train, ticket=shuffled, **own), seed=seed, level=level, name="shuffled")
'''

DRIVER = """
import pathlib, sys
from tombola.core.machine import Machine
from tombola.study.driver import run
from tombola.study.engines.local import Local
from tombola.study.events import EventLog
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.study.store import Store

if __name__ == "__main__":
    study, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    store = Store(folder / "runs", machine=Machine(checkpoint=0.05))
    engine, log = Local(2, machine=store.machine, log=folder / "workers"), EventLog(folder / "events.jsonl")

    def watch(event):
        log(event)
        pids = [str(worker.process.pid) for worker in engine.workers.values()]
        (folder / "pids").write_text(" ".join(pids))

    sys.exit(not run(graph_of(open_study(study).goals()), store, engine, watch).ok)
"""


@dataclasses.dataclass(frozen=True)
class Job:
    """A study under two workers, in a folder of its own."""

    study: str
    folder: pathlib.Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    @property
    def log(self) -> pathlib.Path:
        return self.folder / "events.jsonl"

    def start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "pids").unlink(missing_ok=True)
        with open(self.folder / "said", "ab") as said:
            return subprocess.Popen(
                [sys.executable, "-c", DRIVER, self.study, str(self.folder)],
                stdout=said,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def workers(self) -> list[int]:
        """The processes that the driver says are its workers; none while it has not said so, or is just saying it."""
        try:
            return [int(word) for word in (self.folder / "pids").read_text().split()]
        except FileNotFoundError:
            return []

    def records(self) -> dict[str, tuple[int, int]]:
        """Every finished call, by key, with what would tell if its record were written anew."""
        found = {}
        for path in self.store.folder.glob("*/*/record.json"):
            key = f"{path.parents[1].name}:{path.parent.name}"
            if path.parents[1].name in STEPS:
                status = path.stat()
                found[key] = (status.st_ino, status.st_mtime_ns)
        return found

    def said(self) -> str:
        return (self.folder / "said").read_text()[-3000:]


@dataclasses.dataclass
class Witness:
    """What was seen of a run from outside: when which results were there, and that none was ever replaced."""

    job: Job
    seen: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    before: list[tuple[int, frozenset[str]]] = dataclasses.field(default_factory=list)

    def look(self) -> int:
        """Look at the results that are there; gives their number."""
        found = self.job.records()
        assert {key: found.get(key) for key in self.seen} == self.seen, "a finished result was written again"
        self.seen = found
        return len(found)

    def starts(self) -> None:
        """A driver is about to start: nothing that is there now may be begun from here on in the log."""
        self.look()
        size = self.job.log.stat().st_size if self.job.log.exists() else 0
        self.before.append((size, frozenset(self.seen)))

    def nothing_ran_twice(self) -> None:
        """No call was begun that was finished before its driver started, or that was told of as done."""
        self.look()
        data = self.job.log.read_bytes()
        for size, there in self.before:
            begun = {one["key"] for one in parsed(data[size:]) if one["event"] == "start"}
            assert not begun & there, "a call was begun again after its result was there"
        done: set[str] = set()
        for one in read_events(self.job.log):
            assert one["event"] not in ("start", "done") or one["key"] not in done, f"{one} after it was done"
            if one["event"] == "done":
                done.add(one["key"])


def parsed(data: bytes) -> list[Event]:
    """The events in a piece of a log; its first and last lines may be torn."""
    found = []
    for line in data.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def killed_and_restarted(job: Job, *, kills: int, calls: int, seed: int) -> tuple[Counter[str], Witness]:
    """Run the study to its end through so many kills, each when about its share of the calls is done."""
    chance, hits, witness = random.Random(seed), Counter[str](), Witness(job)
    victims = [chance.choice(["driver", "worker"]) for _ in range(kills)]
    victims[:2] = ["driver", "worker"]
    moments = [int(calls * 0.95 * (n + chance.random()) / kills) for n in range(kills)]
    limit = time.monotonic() + SLOWEST + 20 * kills
    while True:
        witness.starts()
        driver = job.start()
        try:
            while driver.poll() is None:
                assert time.monotonic() < limit, f"no end in sight: {job.said()}"
                number = hits.total()
                if number < kills and witness.look() >= moments[number] and job.workers():
                    time.sleep(chance.uniform(0, 0.2))
                    if victims[number] == "driver":
                        hits["driver"] += killed(driver.pid)
                        driver.wait()
                    else:
                        workers = job.workers()
                        hits["worker"] += bool(workers) and killed(chance.choice(workers))
                time.sleep(0.01)
            if driver.returncode == 0:
                return hits, witness
            # A call that was struck three times in one run has failed in it; the next run tries it again.
            assert driver.returncode in (1, -signal.SIGKILL), job.said()
        finally:
            if driver.poll() is None:
                driver.kill()
                driver.wait()


TOOK = {"seconds", "device_seconds", "images_per_second", "peak_memory"}


def contents(job: Job) -> dict[str, Any]:
    """All that the store holds, by key, loaded and so checked; without what tells of where and when."""
    store, found = job.store, {}
    for key in store.keys():
        record = store.record(key)
        assert store.load(key, STEPS[record["function"]].result).key == key
        header = {name: value for name, value in record["header"].items() if name != "cost"}
        numbers = {name: value for name, value in record["numbers"].items() if name not in TOOK}
        told = {name: record[name] for name in ("call", "arguments", "inputs", "checks", "files", "groups")}
        found[key] = {**told, "header": header, "numbers": numbers}
    return found


def check(tmp_path: pathlib.Path, *, kills: int, steps: int, seed: int) -> None:
    (tmp_path / "tickets.py").write_text(STUDY)
    study = f"{tmp_path / 'tickets.py'}(steps={steps})"
    graph = graph_of(open_study(study).goals())
    functions = Counter(call.function.name for call in graph.calls.values())
    assert functions["train"] == len(graph.goals) == 60

    whole = Job(study, tmp_path / "whole")
    assert whole.start().wait(timeout=SLOWEST) == 0, whole.said()
    broken = Job(study, tmp_path / "broken")
    hits, witness = killed_and_restarted(broken, kills=kills, calls=len(graph), seed=seed)

    assert hits.total() == kills and min(hits["driver"], hits["worker"]) > 0
    witness.nothing_ran_twice()
    assert not (broken.store.folder / "damaged").exists()
    assert set(broken.store.keys()) == set(graph.calls)
    expected = contents(whole)
    for key, found in contents(broken).items():
        assert found == expected[key], key
    events = list(read_events(broken.log))
    runs = [one for one in events if one["event"] == "run"]
    assert len(runs) > hits["driver"] > 0 and runs[0]["stored"] == 0 and events[-1]["outcome"] == "complete"
    assert [one["stored"] for one in runs] == sorted(one["stored"] for one in runs)
    assert len({json.dumps(one["labels"]) for one in events if one["event"] == "row"}) == 60


def test_a_study_killed_eight_times_ends_as_if_it_had_not_been(tmp_path: pathlib.Path):
    check(tmp_path, kills=8, steps=160, seed=8)


@pytest.mark.slow
def test_a_study_killed_thirty_times_ends_as_if_it_had_not_been(tmp_path: pathlib.Path):
    check(tmp_path, kills=30, steps=1500, seed=30)
