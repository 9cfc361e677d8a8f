"""The driver with an engine that follows a script: what is begun when, what becomes of it, and what is told of it."""

import dataclasses
import json
import pathlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from tests.study.toys import add, gather
from tombola.core.errors import Failed, Refused
from tombola.study import driver
from tombola.study.deferred import Deferred, defer
from tombola.study.driver import ATTEMPTS, run
from tombola.study.engines.engine import Lost, Told
from tombola.study.engines.here import Here
from tombola.study.events import Event, EventLog, read_events
from tombola.study.execute import Outcome
from tombola.study.finished import Finished, failure
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of
from tombola.study.plan import plan
from tombola.study.store import Store, Unwritable

Heard = Told | Outcome | Lost


class Scripted:
    """An engine that runs one call at a time, oldest first; what becomes of a call is its script, else it is done.

    A script is a list with an entry for each time that the call is begun: an outcome, several things that are heard,
    or an exception that is raised where the outcome is waited for.
    """

    name = "scripted"

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.script: dict[str, list[Any]] = {}
        self.begun: list[str] = []
        self.most = 0
        self.open: list[str] = []
        self.closed: list[bool] = []

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        (call,) = calls
        script = self.script.get(call.key)
        if script and isinstance(script[0], Refused):
            raise script.pop(0)
        self.begun.append(call.key)
        self.open.append(call.key)
        self.most = max(self.most, len(self.open))
        return f"worker {len(self.open)}"

    def wait(self, timeout: float) -> Iterable[Heard]:
        key = self.open.pop(0)
        script = self.script.get(key)
        told = script.pop(0) if script else done(key)
        if isinstance(told, BaseException):
            raise told
        return told if isinstance(told, list) else [told]

    def close(self, *, stop: bool) -> None:
        self.closed.append(stop)


def done(key: str, **numbers: float) -> Outcome:
    return Outcome(key, "done", 0.5, numbers)


@dataclasses.dataclass
class World:
    """Calls by name, and a run of them."""

    graph: Graph
    calls: dict[str, Deferred]
    store: Store
    engine: Scripted
    events: list[Event] = dataclasses.field(default_factory=list)

    def key(self, name: str) -> str:
        return self.calls[name].key

    def script(self, name: str, *told: Any) -> None:
        self.engine.script[self.key(name)] = list(told)

    def names(self, keys: Iterable[str]) -> list[str]:
        by_key = {call.key: name for name, call in self.calls.items()}
        return [by_key[key] for key in keys]

    def run(self, **facts: Any) -> Finished:
        return run(self.graph, self.store, self.engine, self.events.append, **facts)

    @property
    def begun(self) -> str:
        return " ".join(self.names(self.engine.begun))

    def told(self, happening: str) -> list[Event]:
        return [one for one in self.events if one["event"] == happening]


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    monkeypatch.setattr(driver, "AGAIN", 0.0)

    def make(wanted: str, *, slots: int = 1, **inputs: str) -> World:
        """The goals by name, and for each call the names of its inputs, such as c="a b"."""
        calls: dict[str, Deferred] = {}
        for number, (name, behind) in enumerate(inputs.items()):
            parts = tuple(calls[one] for one in behind.split())
            calls[name] = defer(gather, parts, number=float(number)) if parts else defer(add, float(number))
        graph = graph_of(row(calls[name], name=name) for name in wanted.split())
        return World(graph, calls, Store(tmp_path / "runs"), Scripted(slots))

    return make


def keep(world: World, *names: str) -> None:
    """Put real results into the store."""
    for name in names:
        call = world.calls[name]
        world.store.make(call.function, call.call.swapped(lambda one: world.store.load(one.key, add.result)))


def test_inputs_first_and_what_most_waits_for_before_the_rest(world: Callable[..., World]):
    w = world("lone end", lone="", a="", b="a", c="b", end="c a")
    assert w.run() == dataclasses.replace(Finished(0, 5, {}, {}, 0.0), seconds=w.events[-1]["seconds"])
    assert w.begun == "a b c lone end"  # `lone` and `end` are equally high, and `lone` is named first.
    assert w.engine.closed == [False]


def test_every_slot_is_filled_and_no_more(world: Callable[..., World]):
    w = world("a b c d e", slots=3, a="", b="", c="", d="", e="")
    w.run()
    assert w.engine.most == 3 and w.begun == "a b c d e"


def test_what_is_stored_does_not_run(world: Callable[..., World]):
    w = world("c", a="", b="a", c="b a")
    keep(w, "a")
    finished = w.run()
    assert w.begun == "b c" and (finished.stored, finished.done) == (1, 2)
    assert w.events[0]["stored"] == 1 and w.events[0]["todo"] == {"toy_gather": 2}
    keep(w, "b", "c")
    again = World(w.graph, w.calls, w.store, Scripted())
    assert again.run().stored == 3 and again.begun == "" and again.events[-1]["outcome"] == "complete"


def test_a_failing_call_fails_alone(world: Callable[..., World]):
    w = world("far other", bad="", next="bad", far="next", fine="", other="fine")
    w.script("bad", Outcome(w.key("bad"), "failed", 1.0, error="no good", trace="Traceback ..."))
    finished = w.run()
    assert w.begun == "bad fine other" and not finished.ok
    assert finished.failed == {w.key("bad"): "no good"} and finished.done == 2
    assert finished.blocked == {w.key("next"): w.key("bad"), w.key("far"): w.key("bad")}
    (failed,) = w.told("failed")
    assert (failed["key"], failed["error"], failed["traceback"]) == (w.key("bad"), "no good", "Traceback ...")
    assert failed["call"] == "toy_add(number=0.0)" and failed["function"] == "toy_add"
    assert [(one["key"], one["because"]) for one in w.told("blocked")] == list(finished.blocked.items())
    end = w.events[-1]
    assert (end["event"], end["outcome"], end["done"], end["failed"], end["blocked"]) == ("end", "failed", 2, 1, 2)
    assert w.engine.closed == [False]
    said = str(failure(finished, command="tombola run depth.py", log="runs/events.jsonl"))
    assert said == (
        f"1 step failed:\n  {w.key('bad')}: no good\n2 that needed it were not tried. What was finished is kept. The "
        "same command tries the rest again: tombola run depth.py\nTracebacks are in runs/events.jsonl."
    )


def test_what_two_failures_block_is_told_of_once(world: Callable[..., World]):
    w = world("end", slots=2, a="", b="", end="a b")
    for name in "ab":
        w.script(name, Outcome(w.key(name), "failed", error="no good"))
    finished = w.run()
    assert list(finished.failed) == [w.key("a"), w.key("b")] and finished.blocked == {w.key("end"): w.key("a")}
    said = str(failure(finished, command="x", log="y"))
    assert said.startswith("2 steps failed:") and "\n1 that needed them was not tried. What was" in said


def test_what_an_engine_refuses_has_failed(world: Callable[..., World]):
    w = world("b c", a="", b="a", c="")
    w.script("a", Refused("cannot be sent there"))
    finished = w.run()
    assert finished.failed == {w.key("a"): "cannot be sent there"} and list(finished.blocked) == [w.key("b")]
    assert w.begun == "c" and [one["key"] for one in w.told("start")] == [w.key("c")]


def test_a_lost_call_is_begun_again(world: Callable[..., World]):
    w = world("b", a="", b="a")
    w.script("a", Lost(w.key("a"), "was killed", "worker 1"))
    assert w.run().ok and w.begun == "a a b"
    (lost,) = w.told("lost")
    expected = {"key": w.key("a"), "function": "toy_add", "worker": "worker 1", "why": "was killed", "attempt": 1}
    assert expected.items() <= lost.items()


def test_a_call_that_is_lost_thrice_has_failed(world: Callable[..., World]):
    w = world("b c", a="", b="a", c="")
    w.script("a", *(Lost(w.key("a"), "was killed (signal 9)", "worker 1") for _ in range(ATTEMPTS)))
    finished = w.run()
    assert finished.failed == {w.key("a"): "the process that ran it was killed (signal 9), 3 times in turn."}
    assert [one["attempt"] for one in w.told("lost")] == [1, 2, 3]
    assert w.engine.begun.count(w.key("a")) == ATTEMPTS == 3 and list(finished.blocked) == [w.key("b")]
    assert w.key("c") in w.engine.begun


def test_what_another_process_is_at_is_looked_at_later(world: Callable[..., World]):
    w = world("a b", a="", b="")
    w.script("a", *[Outcome(w.key("a"), "busy")] * 5)
    assert w.run().ok
    assert Counter(w.names(w.engine.begun)) == {"a": 6, "b": 1}


def test_a_busy_call_waits_its_time(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    clock = iter(range(10_000))
    monkeypatch.setattr(driver, "AGAIN", 10.0)
    monkeypatch.setattr(driver.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(driver.time, "sleep", slept.append)
    w = world("a b", a="", b="")
    w.script("a", Outcome(w.key("a"), "busy"))
    assert w.run().ok and w.begun == "a b a"
    assert slept and 0 < max(slept) <= 10.0


def test_what_another_process_made_is_loaded(world: Callable[..., World]):
    w = world("a b", a="", b="a")

    def loaded() -> list[Outcome]:
        keep(w, "a")
        return [Outcome(w.key("a"), "loaded")]

    w.engine.wait = lambda timeout: loaded() if w.engine.open.pop(0) == w.key("a") else [done(w.key("b"))]  # type: ignore[method-assign]
    finished = w.run()
    assert (finished.done, finished.ok) == (1, True)
    assert [one["key"] for one in w.told("loaded")] == [w.key("a")]
    assert [one["key"] for one in w.told("done")] == [w.key("b")]
    assert [one["labels"] for one in w.told("row")] == [{"name": "a"}, {"name": "b"}]


def test_an_absent_input_is_made_again(world: Callable[..., World]):
    """Also when several calls report it, and what it was made of is gone too."""
    w = world("c d e", slots=2, root="", a="root", c="a", d="a", e="a")
    keep(w, "root", "a")
    w.script("c", Outcome(w.key("c"), "absent", missing=w.key("a")))
    w.script("d", Outcome(w.key("d"), "absent", missing=w.key("a")))
    w.script("a", Outcome(w.key("a"), "absent", missing=w.key("root")))
    finished = w.run()
    assert finished.ok and w.begun.startswith("c d a root a") and Counter(w.begun) == Counter("c d a root a c d e")
    assert finished.done == 5


def test_an_input_that_is_absent_ever_again_fails_what_needs_it(world: Callable[..., World]):
    w = world("c d", a="", c="a", d="")
    keep(w, "a")
    w.script("c", *(Outcome(w.key("c"), "absent", missing=w.key("a")) for _ in range(9)))
    finished = w.run()
    assert finished.failed == {w.key("c"): f"its input {w.key('a')} was lost 3 times in turn; look at the disk."}
    assert Counter(w.begun.split()) == {"c": 3, "a": 2, "d": 1}


def test_an_absent_input_that_cannot_be_made_again_blocks_all_that_need_it_and_is_tried_once(
    world: Callable[..., World],
):
    w = world("d e", slots=3, a="", b="a", c="a", d="b", e="c")
    keep(w, "a")
    w.script("b", Outcome(w.key("b"), "absent", missing=w.key("a")))
    w.script("a", Outcome(w.key("a"), "failed", error="no good"))
    begun = w.engine.begun

    def wait(timeout: float) -> list[Heard]:
        """`c` reports only when `a` has failed."""
        key = next((one for one in w.engine.open if one != w.key("c")), w.key("c"))
        w.engine.open.remove(key)
        if key == w.key("c"):
            return [Outcome(key, "absent", missing=w.key("a"))]
        return [w.engine.script[key].pop(0)]

    w.engine.wait = wait  # type: ignore[method-assign]
    finished = w.run()
    assert w.names(begun) == ["b", "c", "a"]
    assert finished.failed == {w.key("a"): "no good"}
    assert finished.blocked == {w.key(one): w.key("a") for one in "bcde"}


@pytest.mark.parametrize("fate", ["lost", "busy"])
def test_a_call_under_way_while_its_input_is_made_again_is_not_forgotten(world: Callable[..., World], fate: str):
    """`c` had loaded the input before it was found to be damaged."""
    w = world("b c", slots=3, a="", b="a", c="a")
    keep(w, "a")
    w.script("b", Outcome(w.key("b"), "absent", missing=w.key("a")))
    w.script("c", Lost(w.key("c"), "died") if fate == "lost" else Outcome(w.key("c"), "busy"))

    def wait(timeout: float) -> list[Heard]:
        key = next((one for one in w.engine.open if one != w.key("c")), w.key("c"))
        w.engine.open.remove(key)
        return [w.engine.script[key].pop(0) if w.engine.script.get(key) else done(key)]

    w.engine.wait = wait  # type: ignore[method-assign]
    finished = w.run()
    assert finished.ok and finished.done == 3
    assert sorted(w.names(w.engine.begun)) == ["a", "b", "b", "c", "c"]


@pytest.mark.parametrize("fate", ["lost", "busy"])
def test_a_call_that_comes_back_when_its_input_could_not_be_made_again_is_blocked(
    world: Callable[..., World], fate: str
):
    w = world("b c d", slots=3, a="", b="a", c="a", d="c")
    keep(w, "a")
    w.script("b", Outcome(w.key("b"), "absent", missing=w.key("a")))
    w.script("a", Outcome(w.key("a"), "failed", error="no good"))
    w.script("c", Lost(w.key("c"), "died") if fate == "lost" else Outcome(w.key("c"), "busy"))

    def wait(timeout: float) -> list[Heard]:
        """`c` comes back only when nothing else is under way."""
        key = next((one for one in w.engine.open if one != w.key("c")), w.key("c"))
        w.engine.open.remove(key)
        return [w.engine.script[key].pop(0)]

    w.engine.wait = wait  # type: ignore[method-assign]
    finished = w.run()
    assert w.names(w.engine.begun) == ["c", "b", "a"]  # `c` is higher.
    assert finished.failed == {w.key("a"): "no good"}
    assert finished.blocked == {w.key(one): w.key("a") for one in "bcd"}


def test_when_nothing_can_be_kept_nothing_goes_on(world: Callable[..., World]):
    w = world("c", slots=2, a="", b="", c="a b")
    w.script("a", Outcome(w.key("a"), "fatal", error="cannot keep it: No space left on device."))
    with pytest.raises(Unwritable, match="^cannot keep it: No space left on device"):
        w.run()
    assert w.begun == "a b" and w.engine.closed == [True]  # `b` was under way.
    assert (w.events[-1]["event"], w.events[-1]["outcome"], w.events[-1]["done"]) == ("end", "failed", 0)


def test_ctrl_c_stops(world: Callable[..., World]):
    w = world("c", a="", b="a", c="b")
    w.script("b", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        w.run()
    assert w.begun == "a b" and w.engine.closed == [True]
    assert (w.events[-1]["event"], w.events[-1]["outcome"], w.events[-1]["done"]) == ("end", "stopped", 1)


def test_an_engine_that_gives_up_ends_the_run_as_failed(world: Callable[..., World]):
    w = world("a", a="")
    w.script("a", Failed("worker processes do not start"))
    with pytest.raises(Failed, match="^worker processes do not start"):
        w.run()
    assert w.engine.closed == [True] and w.events[-1]["outcome"] == "failed"


SCHEMA = {
    "run": "study command engine workers steps stored todo seconds_left",
    "start": "key function call labels worker",
    "progress": "key function step steps loss",
    "done": "key function seconds numbers",
    "loaded": "key function",
    "failed": "key function call error traceback",
    "blocked": "key function because",
    "lost": "key function worker why attempt",
    "damaged": "key function error aside",
    "row": "key labels numbers checks",
    "end": "outcome done failed blocked seconds",
}


def test_events_are_as_they_are_said_to_be(world: Callable[..., World], tmp_path: pathlib.Path):
    """Every kind of event with exactly what belongs to it, in the log as it was told."""
    w = world("a c e here", slots=2, here="", a="", b="", c="b", d="", e="d")
    keep(w, "here", "d")
    a, e = w.key("a"), w.key("e")
    progress = Told(a, "progress", {"step": 1, "steps": 2, "loss": 0.5})
    damaged = Told(e, "damaged", {"key": w.key("d"), "function": "toy_add", "error": "bits", "aside": "there"})
    w.script("a", [progress, Outcome(a, "done", 0.5, {"total": 1.0}, {"sound": True})])
    w.script("b", Lost(w.key("b"), "died", "worker 1"), Outcome(w.key("b"), "failed", error="no good"))
    w.script("e", [damaged, Outcome(e, "absent", missing=w.key("d"))])
    w.script("d", Outcome(w.key("d"), "loaded"))
    log = EventLog(tmp_path / "events.jsonl")
    known = {"study": "depth.py", "command": "tombola run depth.py", "seconds_left": None}
    run(w.graph, w.store, w.engine, lambda one: (w.events.append(one), log(one)) and None, **known)
    log.close()
    for one in w.events:
        assert {*one} == {"time", "event", *SCHEMA[one["event"]].split()}, one
        assert isinstance(one["time"], float)
    assert {one["event"] for one in w.events} == {*SCHEMA}
    assert list(read_events(log.path)) == json.loads(json.dumps(w.events))
    first, last = w.events[0], w.events[-1]
    assert first["event"] == "run" and {**known, "engine": "scripted", "workers": 2}.items() <= first.items()
    assert (first["steps"], first["stored"], first["todo"]) == (6, 2, {"toy_add": 2, "toy_gather": 2})
    assert last["event"] == "end" and (last["outcome"], last["done"], last["failed"]) == ("failed", 2, 1)
    assert w.told("damaged")[0]["key"] == w.key("d")
    rows = {one["labels"]["name"]: one for one in w.told("row")}
    assert set(rows) == {"here", "a", "e"}
    assert (rows["a"]["key"], rows["a"]["numbers"], rows["a"]["checks"]) == (a, {"total": 1.0}, {"sound": True})


def test_rows_that_were_stored_before_are_told_of_first(world: Callable[..., World]):
    w = world("a b", a="", b="")
    keep(w, "a")
    w.run()
    assert [(one["event"], one.get("labels")) for one in w.events if one["event"] in ("run", "row", "start")] == [
        ("run", None),
        ("row", {"name": "a"}),
        ("start", {"name": "b"}),
        ("row", {"name": "b"}),
    ]


def test_a_goal_without_a_record_is_made_again(world: Callable[..., World]):
    """Whoever copied the store was interrupted, or the folder was emptied by hand."""
    w = world("a b", a="", b="a")
    keep(w, "a", "b")
    (w.store.home(w.key("b")) / "record.json").unlink()
    assert w.store.present() == {w.key("a")}
    found = plan(w.graph, w.store)
    assert (found.stored, found.to_run, found.known) == (1, 1, 1)
    events: list[Event] = []
    finished = run(w.graph, w.store, Here(lambda told: events.append(told.event())), events.append)
    assert finished.ok and (finished.done, finished.stored) == (1, 1)
    assert [one["key"] for one in events if one["event"] == "damaged"] == [w.key("b")]
    assert w.store.record(w.key("b"))["key"] == w.key("b")


class Chance:
    """An engine that does as chance will have it, knows what is really there, and checks each call that is begun.

    Of what the store is said to hold, some has vanished; some calls always fail, some are lost once, twice or thrice,
    some are for a while another process's, and outcomes come in any order.
    """

    name = "chance"

    def __init__(self, graph: Graph, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.graph, self.slots = graph, chance.randint(1, 4)
        keys = list(graph.calls)
        self.believed = {key for key in keys if chance.random() < 0.4}
        self.there = {key for key in self.believed if chance.random() < 0.6}
        self.failing = {key for key in keys if key not in self.there and chance.random() < 0.12}
        self.losses = {key: chance.choice([0, 0, 0, 1, 2, 3]) for key in keys if key not in self.believed}
        self.doomed = {key for key, times in self.losses.items() if times == ATTEMPTS}
        self.busy = {key: chance.choice([0, 0, 1, 2]) for key in keys}
        self.at_first = (frozenset(self.believed), frozenset(self.there))
        self.at_work: list[str] = []
        self.failed: set[str] = set()

    def submit(self, calls: Sequence[Deferred], store: Any) -> str:
        (key,) = (call.key for call in calls)
        assert len(self.at_work) < self.slots
        assert key not in self.at_work, "begun twice at once"
        assert key not in self.there, "begun again though it is done"
        assert key not in self.failed, "begun again though it has failed"
        assert all(one in self.believed for one in self.graph.inputs[key]), "begun before its inputs are there"
        self.at_work.append(key)
        return "worker"

    def wait(self, timeout: float) -> list[Heard]:
        heard: list[Heard] = []
        for _ in range(self.chance.randint(1, len(self.at_work))):
            key = self.at_work.pop(self.chance.randrange(len(self.at_work)))
            if self.chance.random() < 0.3:
                heard.append(Told(key, "progress", {"step": 1, "steps": 2}))
            heard.append(self.fate(key))
        return heard

    def fate(self, key: str) -> Outcome | Lost:
        if self.busy[key] and self.chance.random() < 0.5:
            self.busy[key] -= 1
            return Outcome(key, "busy")
        if missing := [one for one in self.graph.inputs[key] if one not in self.there]:
            self.believed.discard(missing[0])
            return Outcome(key, "absent", missing=missing[0])
        if self.losses.get(key):
            self.losses[key] -= 1
            if not self.losses[key] and key in self.doomed:
                self.failed.add(key)
            return Lost(key, "died")
        if key in self.failing:
            self.failed.add(key)
            return Outcome(key, "failed", error="no good")
        self.there.add(key)
        self.believed.add(key)
        return Outcome(key, self.chance.choice(["done", "done", "loaded"]))

    def close(self, *, stop: bool) -> None:
        assert not self.at_work and not stop


class Promises(Store):
    """A store that says what is there, and has nothing."""

    def __init__(self, engine: Chance) -> None:
        super().__init__("/nowhere")
        self.engine = engine

    def prepare(self) -> None: ...

    def present(self) -> set[str]:
        return set(self.engine.believed)

    def noted(self) -> set[str]:
        return set()

    def record(self, key: str) -> dict[str, Any]:
        return {"numbers": {}, "checks": {}}


def chance_graph(seed: int) -> Graph:
    chance = random.Random(-seed - 1)
    calls: list[Deferred] = []
    for number in range(chance.randint(1, 14)):
        behind = chance.sample(calls, min(len(calls), chance.choice([0, 1, 1, 2, 3])))
        calls.append(defer(gather, tuple(behind), number=float(number)))
    return graph_of(row(call, goal=n) for n, call in enumerate(chance.sample(calls, min(len(calls), 5))))


@pytest.mark.parametrize("seeds", [range(n, n + 250) for n in range(0, 1000, 250)], ids=str)
def test_whatever_happens_everything_ends_as_it_must(seeds: range, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "AGAIN", 0.0)
    endings: Counter[str] = Counter()
    for seed in seeds:
        graph = chance_graph(seed)
        engine = Chance(graph, seed)
        events: list[Event] = []
        finished = run(graph, Promises(engine), engine, events.append)
        believed, there = engine.at_first
        sound: dict[str, bool] = {}
        for key in graph.calls:  # In an order in which inputs come first.
            good = key not in engine.failing | engine.doomed and all(sound[one] for one in graph.inputs[key])
            sound[key] = key in there or good
        must = graph.needed(present=believed)
        for key in graph.calls:
            if sound[key]:
                expected = "done"
            else:
                expected = "failed" if all(sound[one] for one in graph.inputs[key]) else "blocked"
            found = [
                *["done"] * (key in engine.there),
                *["failed"] * (key in finished.failed),
                *["blocked"] * (key in finished.blocked),
            ]
            assert found == [expected] or (not found and key not in must), f"seed {seed}: {key} {found}, not {expected}"
            endings[expected] += bool(found)
        assert all(because in finished.failed for because in finished.blocked.values()), f"seed {seed}"
        told = Counter((one["event"], one["key"]) for one in events if one["event"] in ("failed", "blocked"))
        assert set(told.values()) <= {1} and len(told) == len(finished.failed) + len(finished.blocked)
        endings["absent"] += len(believed & engine.there) - len(there)
    assert min(endings[one] for one in ("done", "failed", "blocked", "absent")) > 20, endings
