"""The engines of this machine: this process and worker processes, what they survive, and what they leave behind."""

import json
import os
import pathlib
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import pytest

from tests.study.toys import RUNS, Sum, add, fail, gather, killed, slow, surroundings, wrong
from tombola.core import catalogue
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred, defer
from tombola.study.driver import Engine, run
from tombola.study.engines import local
from tombola.study.engines.engine import Lost, Told
from tombola.study.engines.here import Here
from tombola.study.engines.local import Local
from tombola.study.events import Event, read_events
from tombola.study.finished import Finished
from tombola.study.goals import Goal, row
from tombola.study.graph import Graph, graph_of, resolve
from tombola.study.module import open_study
from tombola.study.step import now, step
from tombola.study.store import Store, Unwritable

PATIENCE = 60.0  # Seconds that something may take on a machine that is busy with other things.

OWN = '''"""Steps and plug-ins of one's own."""
from tests.study.toys import Sum, add
from tombola.core.plugin import plugin
from tombola.study.deferred import defer
from tombola.study.goals import row
from tombola.study.step import now, step

@plugin("criterion", "toy_of_a_study")
class Twice:
    by: float = 2.0

@step("toy_of_a_study")
def scaled(of: Sum, how: Twice) -> Sum:
    return now(add, of.total * how.by)

def goals():
    yield row(defer(scaled, of=defer(add, 21.0), how=Twice(by=3.0)), name="own")
'''


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(catalogue, "FILES", {})
    RUNS.clear()
    yield
    for name in [one for one in sys.modules if one.startswith("tombola_use_")]:
        del sys.modules[name]


def wait_until(happened: Any) -> None:
    limit = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return pathlib.Path("/proc/self").exists() is False


def contents(store: Store, keys: Any = None) -> dict[str, Any]:
    """All that a store holds, by key, without what tells of where and when; loaded, so that it is known to be sound."""
    found: dict[str, Any] = {}
    for key in keys if keys is not None else store.keys():
        record = store.record(key)
        store.load(key, Sum)
        found[key] = {name: value for name, value in record.items() if name != "provenance"}
    return found


def sound_goals(folder: pathlib.Path) -> list[Goal]:
    """Goals that can be reached, with shared and nested inputs, some of a study's own file."""
    one = defer(add, 1.0)
    two = defer(add, 2.0, to=one, times=3)
    file = folder / "own.v2.py"
    if not file.exists():
        file.write_text(OWN)
    nested = defer(gather, (one, {"a": [two]}), number=0.5)
    return [row(nested, name="nested"), row(defer(add, 3.0, to=two), name="sum"), *open_study(str(file)).goals()]


def expected(graph: Graph, folder: pathlib.Path) -> dict[str, Any]:
    """The contents of a store in which every call was made by the store itself; results equal those without one."""
    store = Store(folder)
    kept, at_once = resolve(graph, store), resolve(graph, now)
    assert {key: one.total for key, one in kept.items()} == {key: one.total for key, one in at_once.items()}
    assert all(kept[key].values.equal(at_once[key].values) and kept[key].rows == at_once[key].rows for key in kept)
    return contents(store)


def test_in_this_process(tmp_path: pathlib.Path):
    """The same keys and contents as with a store and with `now`; what a call says is heard at once."""
    told: list[Told] = []
    events: list[Event] = []
    log = tmp_path / "log"

    def hear(one: Told) -> None:
        told.append(one)
        assert [e["event"] for e in events][-1] == "start"

    talking = row(defer(slow, str(log), seconds=0.0), name="slow")
    graph = graph_of([*sound_goals(tmp_path), talking])
    store = Store(tmp_path / "runs")
    finished = run(graph, store, Here(hear), events.append)
    assert finished.ok and finished.done == len(graph) == 7
    assert contents(store) == expected(graph, tmp_path / "other")
    assert told == [Told(talking.of.key, "progress", {"step": 1, "steps": 2})]
    assert {one["worker"] for one in events if one["event"] == "start"} == {"here"}
    assert run(graph, store, Here(hear), events.append).stored == 7


def test_in_this_process_any_step_will_do_and_a_failing_one_fails_alone(tmp_path: pathlib.Path):
    @step("toy_inner")
    def inner(number: float) -> Sum:
        return now(add, number)

    bad = [defer(fail, "no good"), defer(wrong, "key"), defer(wrong, "exit")]
    goals = [row(defer(inner, 1.0), name="inner"), *(row(one, n=n) for n, one in enumerate(bad))]
    goals.append(row(defer(gather, (bad[1], defer(add, 1.0))), name="blocked"))
    finished = run(graph_of(goals), Store(tmp_path), Here(lambda told: None), lambda event: None)
    assert sorted(finished.failed.values()) == ["LookupError: an odd key", "SystemExit: enough", "no good"]
    assert finished.blocked == {goals[-1].of.key: bad[1].key} and finished.done == 2


def test_worker_processes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Two workers and all that can happen to a call, in one run: starting processes is what takes time here."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    store, logs = Store(tmp_path / "runs"), tmp_path / "logs"
    goals = sound_goals(tmp_path)
    sound = set(graph_of(goals).calls)

    damaged = defer(add, 7.0)
    store(add, 7.0)
    tensors = store.home(damaged.key) / "values.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    on_damaged = [defer(add, 8.0 + n, to=damaged) for n in range(3)]

    struck = defer(killed, str(tmp_path / "struck"), times=1, to=defer(add, 1.0))
    places = [defer(surroundings, str(tmp_path / "places"), number=n) for n in range(6)]

    @step("toy_inner")
    def inner(number: float) -> Sum:
        return now(add, number)

    bad = {"fail": defer(fail, "no good"), "wrong": defer(wrong, "key"), "inner": defer(inner, 1.0)}
    bad["exit"] = defer(wrong, "exit", to=defer(add, 1.0))
    blocked = defer(gather, tuple(bad.values()))

    for one in (*on_damaged, struck, *places, *bad.values(), blocked):
        goals.append(row(one, n=len(goals)))
    graph = graph_of(goals)
    events: list[Event] = []
    finished = run(graph, store, Local(2, machine=store.machine, log=logs), events.append)

    def told(happening: str) -> dict[str, Event]:
        return {one["key"]: one for one in events if one["event"] == happening}

    # The same keys and contents as with a store.
    assert contents(store, sound) == expected(graph_of(goals[:3]), tmp_path / "other")
    assert told("row")[goals[2].of.key]["numbers"] == {} and store.load(goals[2].of.key, Sum).total == 63.0

    # Steps that raise fail alone, with their tracebacks; one that no worker can find is told of with the way out.
    assert {*finished.failed} == {one.key for one in bad.values()} and {*finished.blocked} == {blocked.key}
    assert finished.failed[bad["fail"].key] == "no good" and told("failed")[bad["fail"].key]["traceback"] == ""
    assert finished.failed[bad["exit"].key] == "SystemExit: enough"
    assert finished.failed[bad["wrong"].key] == "LookupError: an odd key"
    trace = told("failed")[bad["wrong"].key]["traceback"]
    assert "toys.py" in trace and trace.endswith("LookupError: an odd key\n")
    assert "cannot find the step 'toy_inner'" in finished.failed[bad["inner"].key]
    assert "or use --workers 1" in finished.failed[bad["inner"].key]

    # A worker that is killed in mid-call is replaced, and the call goes on from its scratch folder.
    assert [one["key"] for one in events if one["event"] == "lost"] == [struck.key]
    lost = told("lost")[struck.key]
    assert "was killed (signal 9)" in lost["why"] and lost["attempt"] == 1
    assert store.load(struck.key, Sum).total == 1.0 and not list(store.folder.glob("partial/*"))
    assert len(set((tmp_path / "struck").read_text().split())) == 2

    # What was damaged is set aside and made again, once, whoever noticed it.
    assert {*told("damaged")} == {damaged.key} and {*told("done")} >= {damaged.key, *(one.key for one in on_damaged)}
    assert len(list(store.folder.glob("damaged/*"))) == 1
    assert store.load(on_damaged[0].key, Sum).total == 15.0
    assert Counter(one["key"] for one in events if one["event"] == "done").most_common(1)[0][1] == 1

    # Two workers, one thread each, whatever is said here; what a step prints goes to the worker's file.
    seen = [json.loads(line) for line in (tmp_path / "places").read_text().splitlines()]
    assert {(one["threads"], one["OMP_NUM_THREADS"], one["MKL_NUM_THREADS"]) for one in seen} == {(1, "1", "1")}
    assert os.environ["OMP_NUM_THREADS"] == "2" and "MKL_NUM_THREADS" not in os.environ
    assert os.getpid() not in {one["pid"] for one in seen}
    assert {one["worker"] for one in events if one["event"] == "start"} == {"worker 1", "worker 2"}
    said = "".join(path.read_text() for path in logs.iterdir())
    assert {path.name for path in logs.iterdir()} == {"worker-1.log", "worker-2.log"}
    for words in ("spoken words", "complaints", "a warning of a step"):
        assert said.count(words) >= 1
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""

    # Nothing is left running.
    assert not any(alive(one["pid"]) for one in seen)
    assert (finished.done, events[-1]["outcome"]) == (len(graph) - 5, "failed")


def driver_of(code: str, *words: Any) -> subprocess.Popen[bytes]:
    """A process that runs a study: `code` says which, as `goals`, and by which `engine`."""
    script = (
        "import pathlib, sys\n"
        "from tests.study.toys import add, gather, slow\n"
        "from tombola.core.machine import Machine\n"
        "from tombola.study.deferred import defer\n"
        "from tombola.study.driver import run\n"
        "from tombola.study.engines.here import Here\n"
        "from tombola.study.engines.local import Local\n"
        "from tombola.study.events import EventLog\n"
        "from tombola.study.goals import row\n"
        "from tombola.study.graph import graph_of\n"
        "from tombola.study.store import Store\n"
        "if __name__ == '__main__':\n"
        "    import signal\n"  # Tests that run in the background of a shell ignore Ctrl-C, and children inherit that.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    folder, name, *words = sys.argv[1:]\n"
        "    folder = pathlib.Path(folder)\n"
        "    local = lambda workers: Local(workers, log=folder / f'workers-{name}')\n"
        f"    {code}\n"
        "    watch = EventLog(folder / f'{name}.jsonl')\n"
        "    finished = run(graph_of(goals), Store(folder / 'runs'), engine, watch)\n"
        "    sys.exit(not finished.ok)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)], start_new_session=True, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("how, workers", [(signal.SIGKILL, 2), (signal.SIGINT, 1)], ids=["killed", "ctrl-c"])
def test_workers_end_with_the_driver(tmp_path: pathlib.Path, how: signal.Signals, workers: int):
    """Within seconds, also in the middle of a call. Ctrl-C reaches the whole group, as on a terminal, and stops it."""
    code = (
        f"engine = local({workers}); "
        f"goals = [row(defer(slow, str(folder / f'log-{{n}}'), seconds=100.0), n=n) for n in range({workers})]"
    )
    driver = driver_of(code, tmp_path, "first")
    logs = [tmp_path / f"log-{n}" for n in range(workers)]
    try:
        wait_until(lambda: driver.poll() is not None or all(one.exists() and one.read_text() for one in logs))
        assert driver.poll() is None, driver.stderr and driver.stderr.read()
        pids = [int(one.read_text()) for one in logs]
        assert len({driver.pid, *pids}) == workers + 1 and all(map(alive, pids))
        started = time.monotonic()
        if how == signal.SIGINT:
            os.kill(pids[0], how)
            time.sleep(1.0)  # A worker is deaf to it: what happens is the driver's to decide.
            assert alive(pids[0]) and "Interrupt" not in (tmp_path / "workers-first" / "worker-1.log").read_text()
            os.killpg(driver.pid, how)
        else:
            driver.kill()
        driver.wait(timeout=PATIENCE)
        wait_until(lambda: not any(map(alive, pids)))
        assert time.monotonic() - started < 30
    finally:
        driver.kill()
        driver.communicate()
    happened = [one["event"] for one in read_events(tmp_path / "first.jsonl")]
    end = list(read_events(tmp_path / "first.jsonl"))[-1]
    assert (end["event"], end.get("outcome")) == (("end", "stopped") if how == signal.SIGINT else (happened[-1], None))
    assert "lost" not in happened and "failed" not in happened


def test_two_drivers_on_one_store(tmp_path: pathlib.Path):
    """No call is made twice, and each driver ends with everything."""
    code = (
        "engine = {}; slow_ones = [defer(slow, str(folder / f'log-{{n}}'), seconds=0.08) for n in range(10)]; "
        "goals = [row(defer(gather, tuple(slow_ones[n:n + 2]), number=float(n)), n=n) for n in range(9)]"
    )
    drivers = [driver_of(code.format("local(1)"), tmp_path, "a"), driver_of(code.format("Here(print)"), tmp_path, "b")]
    for driver in drivers:
        said = driver.communicate(timeout=PATIENCE)[1]
        assert driver.returncode == 0, said
    assert [len((tmp_path / f"log-{n}").read_text().split()) for n in range(10)] == [1] * 10
    events = [list(read_events(tmp_path / f"{name}.jsonl")) for name in "ab"]
    made = Counter(one["key"] for log in events for one in log if one["event"] == "done")
    assert len(made) == 19 and set(made.values()) == {1}
    for log in events:
        assert log[-1]["outcome"] == "complete"
        assert {one["labels"]["n"] for one in log if one["event"] == "row"} == set(range(9))
        there = {one["key"] for one in log if one["event"] in ("done", "loaded")}
        assert len(there) + log[0]["stored"] == 19


def test_workers_that_cannot_start(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    resource_tracker.ensure_running()  # It is started in the same way.
    engine = Local(2, log=tmp_path / "logs")
    engine.context.set_executable(shutil.which("false"))
    goals = [row(defer(add, float(n)), n=n) for n in range(8)]
    events: list[Event] = []
    try:
        with pytest.raises(Failed) as caught:
            run(graph_of(goals), Store(tmp_path / "runs"), engine, events.append)
    finally:
        engine.context.set_executable(sys.executable)
    assert str(caught.value) == (
        f"worker processes do not start: 3 in turn ended with code 1. What they said is in {tmp_path / 'logs'}; "
        "--workers 1 runs the study in this process."
    )
    assert events[-1]["outcome"] == "failed" and not engine.workers


def test_a_worker_that_cannot_be_heard_is_ended_before_its_call_is_begun_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Else it would go on with the call, and keep its lock."""
    monkeypatch.setattr(local, "LAST_WORDS", 0.2)
    engine, store = Local(1, log=tmp_path / "logs"), Store(tmp_path / "runs")
    call = defer(slow, str(tmp_path / "log"), seconds=PATIENCE)
    engine.submit([call], store)
    process = engine.workers["worker 1"].process
    try:
        until = time.monotonic() + PATIENCE
        while not (tmp_path / "log").exists() and time.monotonic() < until:
            engine.wait(0.05)
        monkeypatch.setattr(Connection, "recv", torn)
        monkeypatch.setattr(Connection, "poll", lambda *_: True)
        monkeypatch.setattr(local, "wait", lambda pipes, timeout: pipes)
        (lost,) = engine.wait(0.05)
        assert isinstance(lost, Lost) and lost.key == call.key
        assert lost.why == "could not be heard any more, though it went on; it was ended"
        assert not process.is_alive() and engine.workers == {}
    finally:
        process.kill()


def torn(_: Connection) -> Any:
    raise pickle.UnpicklingError("pickle data was truncated")


def test_the_number_of_workers(tmp_path: pathlib.Path):
    for number in (0, -1):
        with pytest.raises(Refused, match=rf"^--workers is {number}\. It is 1 or more\.$"):
            Local(number, log=tmp_path)
    assert Local(3, log=tmp_path).slots == 3 and not list(tmp_path.iterdir())  # Nothing is started before it is needed.


def test_cuda_devices_are_dealt_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def devices(number: int, **facts: Any) -> list[str | None]:
        engine = Local(number, machine=Machine(**facts), log=tmp_path)
        found = [engine._variables(n) for n in range(1, number + 1)]  # pyright: ignore[reportPrivateUsage]
        assert all(one["OMP_NUM_THREADS"] == one["MKL_NUM_THREADS"] == str(facts.get("threads", 1)) for one in found)
        return [one.get("CUDA_VISIBLE_DEVICES") for one in found]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices(3) == [None] * 3 and devices(2, threads=4) == [None] * 2
    assert devices(5, device="cuda") == ["0", "1", "0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,GPU-ab")
    assert devices(4, device="cuda") == ["4", "6", "GPU-ab", "4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert devices(2, device="cuda") == ["", ""]


def stopped(engine: Engine, store: Store, goals: list[Goal]) -> tuple[str, list[Event]]:
    events: list[Event] = []
    with pytest.raises(Unwritable) as caught:
        run(graph_of(goals), store, engine, events.append)
    return str(caught.value), events


@pytest.mark.parametrize("workers", [0, 1], ids=["here", "local"])
def test_a_full_disk_stops_the_run_and_keeps_what_was_finished(tmp_path: pathlib.Path, workers: int):
    """Here no file may grow beyond 200 kB, and one result is larger."""
    store = Store(tmp_path / "runs")
    small = [defer(add, float(n)) for n in range(3)]
    large = defer(gather, (small[0], defer(add, 5.0, times=100_000)))
    goals = [*(row(defer(add, 1.0, to=one), n=n) for n, one in enumerate(small)), row(large, name="large")]
    goals.append(row(defer(add, 9.0), name="never"))
    engine: Engine = Local(1, log=tmp_path / "logs") if workers else Here(lambda told: None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        said, events = stopped(engine, store, goals)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    key = defer(add, 5.0, times=100_000).key
    assert said == (
        f"cannot keep {key} in {store.folder}: File too large. Free space there or name another store (--store); "
        "everything finished before is kept."
    )
    assert events[-1]["outcome"] == "failed" and goals[-1].of.key not in store.present()
    finished = {one["key"] for one in events if one["event"] == "done"}
    assert finished and set(contents(store)) == finished
    assert not list(store.folder.glob("tmp/*"))
    again: Finished = run(graph_of(goals), store, Here(lambda told: None), lambda event: None)
    assert again.ok and again.stored == len(finished)


def test_a_store_that_may_not_be_written(tmp_path: pathlib.Path):
    goals = [row(defer(add, 1.0), n=0)]
    said, events = stopped(Here(lambda told: None), Store("/proc/runs"), goals)
    assert said.startswith("cannot write the store /proc/runs: ") and said.endswith(". Name another (--store).")
    assert not events
    engine = Here(lambda told: None)
    closed: list[bool] = []
    engine.close = lambda *, stop: closed.append(stop)  # type: ignore[method-assign]
    stopped(engine, Store("/proc/runs"), goals)
    assert closed == [True]
    store = Store(tmp_path / "runs")
    store.prepare()
    shutil.rmtree(store.folder / "locks")
    (store.folder / "locks").symlink_to("/sys")  # A folder in which nobody can make a file.
    said, events = stopped(Local(1, log=tmp_path / "logs"), store, goals)
    assert said.startswith(f"cannot write the store {store.folder}: ") and said.endswith(". Name another (--store).")
    assert [one["event"] for one in events] == ["run", "start", "end"]


def test_deep_studies_pass_through_workers(tmp_path: pathlib.Path):
    """What is sent to a worker does not grow with what is behind a call."""
    call: Deferred = defer(add, 0.0)
    for number in range(1, 3_000):
        call = defer(add, float(number), to=call)
    graph = graph_of([row(call)])
    store = Store(tmp_path)
    store.present = lambda: set(list(graph.calls)[:-1])  # type: ignore[method-assign]
    engine = Local(1, log=tmp_path / "logs")
    sent: list[bytes] = []

    class Pipe:
        def send_bytes(self, data: bytes) -> None:
            sent.append(data)

    engine._start = lambda: type("Worker", (), {"name": "one", "keys": set(), "pipe": Pipe()})()  # type: ignore[method-assign]
    engine.submit([call], store)
    assert len(sent) == 1 and len(sent[0]) < 2_000
