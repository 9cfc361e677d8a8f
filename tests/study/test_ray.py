"""A Ray cluster: refusals that come at once, and, on two real nodes, the same results as everywhere else."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tombola.core.errors import Refused
from tombola.study.engines.ray import Ray
from tombola.study.events import read_events
from tombola.study.graph import graph_of, resolve
from tombola.study.module import open_study
from tombola.study.step import now
from tombola.study.store import Store

HERE = pathlib.Path(__file__).parent
SMALL = HERE / "small_study.py"
COSTS = ("seconds", "device_seconds", "images_per_second", "peak_memory")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "127.0.0.1:9",
            "no Ray cluster answers at 127.0.0.1:9 (Connection refused). Start one there (ray start --head)",
        ),
        ("head.invalid:6379", "no Ray cluster answers at head.invalid:6379"),
        ("6379", "--address is '6379'. It is HOST:PORT of the cluster's head, or auto."),
        ("ray://head:10001", "run tombola on a node of the cluster, with --address auto or HOST:PORT."),
    ],
)
def test_an_address_where_no_cluster_answers_is_refused_at_once(address: str, message: str):
    started = time.monotonic()
    with pytest.raises(Refused) as caught:
        Ray(address)
    assert message in str(caught.value)
    assert time.monotonic() - started < 60  # Ray itself would try for minutes.


def test_without_ray_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Refused, match=r"--engine ray needs Ray, which is not installed: pip install 'tombola\[ray\]'"):
        Ray()


class Nodes:
    """Two nodes in processes of their own."""

    def __init__(self) -> None:
        words = [sys.executable, str(HERE / "two_nodes.py")]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self.address = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self._line() == "killed"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    found = Nodes()
    try:
        assert found.address, "no cluster came up"
        yield found
    finally:
        found.close()


def tombola(*words: str) -> subprocess.Popen[str]:
    code = "import sys; from tombola.cli import main; sys.exit(main())"
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=pipe,
        stderr=pipe,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def trained_on(folder: pathlib.Path) -> set[str]:
    """The trainings that are under way, by the log."""
    running: set[str] = set()
    for log in folder.glob("studies/*/events.jsonl"):
        for one in read_events(log):
            if one["event"] == "progress" and one["function"] == "train":
                running.add(one["key"])
            elif one["event"] == "done":
                running.discard(one["key"])
    return running


def contents(folder: pathlib.Path) -> dict[str, Any]:
    """What a store holds, without what differs from run to run."""
    store, found = Store(folder), {}
    for key in store.keys():
        record = store.record(key)
        numbers = {name: value for name, value in record["numbers"].items() if name not in COSTS}
        found[key] = (record["call"], record["files"], numbers, record["checks"])
    return found


@pytest.mark.slow
def test_a_study_gives_the_same_everywhere_and_survives_the_death_of_a_node(nodes: Nodes, tmp_path: pathlib.Path):
    """`now`, a `Store`, this process, worker processes, and a Ray cluster that loses one of its two nodes."""
    text = f"{SMALL}(steps=1500)"
    study = open_study(text)
    graph = graph_of(study.goals())
    made = resolve(graph, now)
    stored = resolve(graph, Store(tmp_path / "store"))
    assert list(made) == list(stored) == list(graph.calls)
    assert {key: one.numbers() for key, one in made.items() if not key.startswith("train:")} == {
        key: one.numbers() for key, one in stored.items() if not key.startswith("train:")
    }
    assert {key: getattr(one, "digest", "") for key, one in made.items()} == {
        key: getattr(one, "digest", "") for key, one in stored.items()
    }
    for name, words in {"here": ("--workers", "1"), "local": ("--workers", "2")}.items():
        finish(tombola("run", text, "--store", str(tmp_path / name), *words))

    process = tombola("run", text, "--store", str(tmp_path / "ray"), "--engine", "ray", "--address", nodes.address)
    limit = time.monotonic() + 300
    while len(trained_on(tmp_path / "ray")) < 2:  # Both nodes must be at work when one is killed.
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.05)
    nodes.kill()
    finish(process)

    expected = contents(tmp_path / "store")
    assert set(expected) == set(graph.calls)
    for name in ("here", "local", "ray"):
        assert contents(tmp_path / name) == expected, name
    (log,) = (tmp_path / "ray").glob("studies/*/events.jsonl")
    events = list(read_events(log))
    assert [one["why"] for one in events if one["event"] == "lost"] == ["was lost with its process or its node"]
    done = [one["key"] for one in events if one["event"] == "done"]
    assert len(done) == len(set(done)) == len(graph)
    assert any(one["event"] == "progress" for one in events)
    assert events[0]["engine"] == "ray" and events[-1]["outcome"] == "complete"


@pytest.mark.slow
def test_without_an_address_a_cluster_is_started_here(tmp_path: pathlib.Path):
    process = tombola("run", f"{SMALL}(seeds=(0,))", "--store", str(tmp_path), "--engine", "ray", "--json")
    told = json.loads(finish(process))
    assert told["done"] == len(graph_of(open_study(f"{SMALL}(seeds=(0,))").goals())) and not told["failed"]


WHERE = """
import sys
from tombola.study.engines.ray import Ray

print(Ray(*sys.argv[1:]).ray.get_runtime_context().gcs_address)
"""


@pytest.mark.slow
def test_another_cluster_of_this_machine_is_joined_only_if_it_is_named(nodes: Nodes):
    """Left to itself Ray joins the cluster that was last started, whosever it is."""

    def where(*words: str, **variables: str) -> str:
        named = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        found = [sys.executable, "-c", WHERE, *words]
        return subprocess.check_output(found, text=True, env={**named, **variables}, timeout=300).split()[-1]

    assert where() != nodes.address
    assert where("local", RAY_ADDRESS=nodes.address) != nodes.address
    assert where(RAY_ADDRESS=nodes.address) == where(nodes.address) == nodes.address


DEAF = """
import sys
from tombola.study import driver
from tombola.study.engines.ray import Ray
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.study.store import Store

engine = Ray()
engine.ray.kill(engine.ears)
study = open_study(sys.argv[1])
print(driver.run(graph_of(study.goals()), Store(sys.argv[2]), engine, lambda one: None).ok)
"""


@pytest.mark.slow
def test_a_run_outlives_what_carries_its_progress(tmp_path: pathlib.Path):
    words = [sys.executable, "-c", DEAF, f"{SMALL}(seeds=(0,), levels=0)", str(tmp_path)]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "True", done.stderr
