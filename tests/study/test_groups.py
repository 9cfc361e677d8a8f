"""Which ready calls are handed out together."""

import pathlib
from collections.abc import Callable, Iterable, Sequence

import pytest

from tests.study.toys import Sum, add, beside
from tombola.core.machine import Machine
from tombola.study import driver
from tombola.study.deferred import Deferred, defer
from tombola.study.driver import run
from tombola.study.engines.engine import Lost, Told
from tombola.study.engines.here import Here
from tombola.study.execute import Outcome
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of
from tombola.study.groups import Groups
from tombola.study.step import step
from tombola.study.store import Store

ONE, TWO = defer(add, 1.0), defer(add, 2.0)


@step("toy_twin", together=beside.together)
def twin(of: Sum, number: float) -> Sum:
    """Asks for the same as its twin, and is another step all the same."""
    raise NotImplementedError


class Handed:
    """An engine that takes note of what is handed out together; what is waited for is done, or lost the first time."""

    name = "handed"

    def __init__(self, slots: int = 1, *, losing: Iterable[str] = ()) -> None:
        self.slots, self.losing = slots, set(losing)
        self.groups: list[list[str]] = []
        self.open: list[list[str]] = []

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        keys = [call.key for call in calls]
        self.groups.append(keys)
        self.open.append(keys)
        return "worker"

    def wait(self, timeout: float) -> Iterable[Told | Outcome | Lost]:
        heard = self.open.pop(0)
        lost, self.losing = self.losing & set(heard), self.losing - set(heard)
        return [Lost(key, "was killed") if key in lost else Outcome(key, "done") for key in heard]

    def close(self, *, stop: bool) -> None:
        assert not self.open


def stored(folder: pathlib.Path, *, fleet: int) -> Store:
    """A store with the inputs of the calls below."""
    store = Store(folder, machine=Machine(fleet=fleet))
    assert store(add, 1.0).total == 1.0 and store(add, 2.0).total == 2.0
    return store


def beside_of(of: Deferred, *numbers: float, kind: str = "a") -> list[Deferred]:
    return [defer(beside, of=of, number=number, kind=kind) for number in numbers]


def graph(calls: Iterable[Deferred]) -> Graph:
    return graph_of([row(call, n=n) for n, call in enumerate(calls)])


def keys(calls: Iterable[Deferred]) -> list[str]:
    return [call.key for call in calls]


def handed(calls: Sequence[Deferred], store: Store, *, slots: int = 1) -> list[list[int]]:
    """Which calls are handed out together, by their place in the list."""
    engine = Handed(slots)
    assert run(graph(calls), store, engine, lambda event: None).ok
    place = {call.key: n for n, call in enumerate(calls)}
    return [[place[key] for key in group] for group in engine.groups]


def never() -> list[str]:
    raise AssertionError("the others are asked for")


def test_with_one_place_nobody_is_asked_and_nothing_is_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    store = stored(tmp_path / "runs", fleet=1)
    calls = beside_of(ONE, 1.0, 2.0, 3.0)
    read: list[str] = []
    monkeypatch.setattr(store, "record", read.append)
    groups = Groups(graph(calls), store)
    assert groups.companions(calls[0].key, never, free=1) == [] and not read
    assert groups.companions(calls[0].key, never, free=8) == [] and not groups.kinds
    assert Machine().places == 1


def test_a_step_that_runs_alone_asks_nobody(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    store = stored(tmp_path / "runs", fleet=4)
    calls = [defer(add, 3.0, to=ONE), defer(add, 4.0, to=ONE)]
    read: list[str] = []
    monkeypatch.setattr(store, "record", read.append)
    assert Groups(graph(calls), store).companions(calls[0].key, never, free=1) == [] and not read


@pytest.mark.parametrize(
    "others, free, expected",
    [(0, 1, 0), (1, 1, 1), (3, 1, 3), (9, 1, 3), (3, 2, 1), (4, 2, 2), (9, 2, 3), (3, 3, 1), (3, 4, 0), (3, 9, 0)],
)
def test_never_more_than_there_are_places_and_a_fair_share_for_each_free_slot(
    tmp_path: pathlib.Path, others: int, free: int, expected: int
):
    """Four places: of 4 calls and 2 free slots each slot has 2; of 5 the first has 3."""
    store = stored(tmp_path / "runs", fleet=4)
    first, *rest = beside_of(ONE, *map(float, range(others + 1)))
    found = Groups(graph([first, *rest]), store).companions(first.key, lambda: keys(rest), free=free)
    assert found == keys(rest)[:expected]


def test_only_what_shares_all_that_it_must_runs_together(tmp_path: pathlib.Path):
    """Of another kind, with an input of another total, of another step: apart; the order stays."""
    store = stored(tmp_path / "runs", fleet=8)
    same, other_kind = beside_of(ONE, 1.0, 2.0, 3.0), beside_of(ONE, 1.0, 2.0, kind="b")
    other_input, other_step = beside_of(TWO, 1.0, 2.0), [defer(add, 9.0), defer(twin, ONE, 1.0), defer(twin, ONE, 2.0)]
    mixed = [same[0], other_kind[0], *other_step[:2], same[1], other_input[0], other_kind[1], same[2], other_input[1]]
    mixed.append(other_step[2])
    groups = Groups(graph(mixed), store)

    def beside_the(first: Deferred) -> list[str]:
        return groups.companions(first.key, lambda: keys(one for one in mixed if one is not first), free=1)

    assert beside_the(same[0]) == keys(same[1:])
    assert beside_the(other_kind[1]) == keys(other_kind[:1])
    assert beside_the(other_input[0]) == keys(other_input[1:])
    assert beside_the(other_step[0]) == [] and beside_the(other_step[1]) == keys(other_step[2:])


def test_inputs_of_other_calls_that_are_alike_do(tmp_path: pathlib.Path):
    """What counts is what the header says, not which result it is of."""
    store = stored(tmp_path / "runs", fleet=8)
    store(add, 1.0, times=2)
    calls = [defer(beside, of=TWO, number=5.0), defer(beside, of=defer(add, 1.0, times=2), number=5.0)]
    assert store.load(calls[1].inputs[0].key, Sum).total == 2.0
    assert Groups(graph(calls), store).companions(calls[0].key, lambda: keys(calls[1:]), free=1) == keys(calls[1:])


def test_the_driver_hands_them_out_in_the_order_of_urgency(tmp_path: pathlib.Path):
    """First what most waits for, then what is named first; whatever a group leaves follows in that order."""
    store = stored(tmp_path / "runs", fleet=3)
    calls = beside_of(ONE, *map(float, range(5)))
    high = defer(add, 1.0, to=defer(add, 2.0, to=calls[3]))
    middle = defer(add, 1.0, to=calls[1])
    everything = [*calls, high.inputs[0], high, middle]
    assert handed(everything, store) == [[3, 1, 0], [5], [2, 4], [6], [7]]


def test_the_driver_fills_all_slots_before_it_fills_one(tmp_path: pathlib.Path):
    store = stored(tmp_path / "runs", fleet=8)
    calls = beside_of(ONE, *map(float, range(7)))
    assert handed(calls, store, slots=3) == [[0, 1, 2], [3, 4], [5, 6]]
    assert handed(calls, Store(store.folder, machine=Machine(fleet=2)), slots=3) == [[0, 1], [2, 3], [4, 5], [6]]
    assert handed(calls, Store(store.folder), slots=3) == [[n] for n in range(7)]


def test_calls_of_two_studies_run_together(tmp_path: pathlib.Path):
    """In one graph, with an input that both of them name."""
    store = stored(tmp_path / "runs", fleet=8)
    mine, theirs = beside_of(ONE, 1.0, 2.0), beside_of(ONE, 2.0, 3.0)
    goals = [row(call, study="mine", n=n) for n, call in enumerate(mine)]
    goals += [row(call, study="theirs", n=n) for n, call in enumerate(theirs)]
    engine = Handed()
    assert run(graph_of(goals), store, engine, lambda event: None).done == 3
    assert engine.groups == [[*keys(mine), theirs[1].key]]


def test_what_was_lost_together_begins_again_each_once(tmp_path: pathlib.Path):
    """However often a call was ready in the meantime."""
    store = stored(tmp_path / "runs", fleet=6)
    calls = beside_of(ONE, *map(float, range(4)))
    engine = Handed(losing=keys(calls[1:]))
    assert run(graph(calls), store, engine, lambda event: None).ok
    assert engine.groups == [keys(calls), keys(calls[1:])]
    others = keys([*calls, *calls])
    assert Groups(graph(calls), store).companions(calls[1].key, lambda: others, free=2) == keys([calls[0]])
    assert Groups(graph(calls), store).companions(calls[1].key, lambda: others, free=1) == keys(
        [calls[0], calls[2], calls[3]]
    )


def damaged(path: pathlib.Path) -> None:
    path.write_text(path.read_text().replace('"total": 2.0', '"total": 1.0'))


def a_folder(path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [damaged, pathlib.Path.unlink, a_folder], ids=["altered", "gone", "unreadable"])
def test_a_call_whose_input_cannot_be_read_runs_alone_and_finds_out_for_itself(
    tmp_path: pathlib.Path, harm: Callable[[pathlib.Path], None]
):
    store = stored(tmp_path / "runs", fleet=4)
    calls = [*beside_of(ONE, 1.0, 2.0), *beside_of(TWO, 3.0, 4.0)]
    harm(store.home(TWO.key) / "record.json")
    engine = Handed()
    run(graph(calls), store, engine, lambda event: None)
    again = [] if harm is damaged else [[TWO.key]]  # A folder without a record is none, and made again first.
    assert engine.groups == [*again, keys(calls[:2]), [calls[2].key], [calls[3].key]]
    finished = run(graph(calls), store, Here(lambda told: None), lambda event: None)
    assert finished.ok and finished.done == 5 and store.load(calls[3].key, Sum).total == 6.0


def test_ten_thousand_ready_calls_are_not_sorted_again_and_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def others(self: object) -> list[str]:
        asked.append("once more")
        return []

    monkeypatch.setattr(driver._Driver, "_others", others)  # pyright: ignore[reportPrivateUsage]
    store, engine = Store(tmp_path / "runs"), Handed(slots=2)
    calls = [defer(add, float(n)) for n in range(10_000)]
    assert run(graph(calls), store, engine, lambda event: None).done == 10_000
    assert not asked and engine.groups == [[key] for key in keys(calls)]
