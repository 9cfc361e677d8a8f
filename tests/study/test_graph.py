"""The graph: each call once, inputs first, and what must run when some results are there."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.toys import RUNS, add, gather
from tombola.core.call import Call
from tombola.core.errors import Refused
from tombola.study.deferred import Deferred, defer
from tombola.study.goals import Goal, row
from tombola.study.graph import Graph, graph_of, resolve

Shape = list[list[int]]


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Shape, list[int]]:
    """The inputs of each of a few calls, all of them earlier ones, and which of the calls are goals."""
    size = draw(st.integers(1, 12))
    inputs = [draw(st.lists(st.integers(0, n - 1), max_size=3)) if n else [] for n in range(size)]
    goals = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4, unique=True))
    return inputs, goals


def built(inputs: Shape, goals: list[int]) -> tuple[Graph, list[Deferred]]:
    calls: list[Deferred] = []
    for number, behind in enumerate(inputs):
        calls.append(defer(gather, tuple(calls[n] for n in behind), number=float(number)))
    return graph_of(row(calls[n], goal=n) for n in goals), calls


def behind(inputs: Shape, goals: list[int]) -> set[int]:
    """The goals and all that they need, by the definition."""
    found = set(goals)
    while more := {n for one in found for n in inputs[one]} - found:
        found |= more
    return found


@given(shapes())
def test_every_call_behind_the_goals_once_and_after_its_inputs(shape: tuple[Shape, list[int]]):
    inputs, goals = shape
    graph, calls = built(inputs, goals)
    assert set(graph.calls) == {calls[n].key for n in behind(inputs, goals)}
    assert len(graph) == len(behind(inputs, goals))
    place = {key: number for number, key in enumerate(graph.calls)}
    for key, call in graph.calls.items():
        assert call.key == key and set(graph.inputs[key]) == {one.key for one in call.inputs}
        assert all(place[one] < place[key] for one in graph.inputs[key])
        assert len(set(graph.inputs[key])) == len(graph.inputs[key])
        assert all(key in graph.dependants[one] for one in graph.inputs[key])
    assert sum(map(len, graph.dependants.values())) == sum(map(len, graph.inputs.values()))


@given(shapes())
def test_heights_count_the_longest_way_to_an_end(shape: tuple[Shape, list[int]]):
    inputs, goals = shape
    graph, calls = built(inputs, goals)
    there = behind(inputs, goals)

    def height(n: int) -> int:
        return 1 + max((height(other) for other in there if n in inputs[other]), default=0)

    assert dict(graph.heights) == {calls[n].key: height(n) for n in there}


@given(shapes(), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_needed_by_its_definition(shape: tuple[Shape, list[int]], present: set[int], noted: set[int]):
    """A goal whose numbers are known needs nothing; a call that runs needs the results of its inputs."""
    inputs, goals = shape
    graph, calls = built(inputs, goals)
    must = {n for n in goals if n not in present and n not in noted}
    while more := {n for one in must for n in inputs[one] if n not in present} - must:
        must |= more
    keys = {"present": {calls[n].key for n in present if n < len(calls)}}
    keys["noted"] = {calls[n].key for n in noted if n < len(calls)}
    found = graph.needed(**keys)
    assert found == [key for key in graph.calls if key in {calls[n].key for n in must}]


@given(shapes())
def test_labels_are_those_of_a_nearest_goal(shape: tuple[Shape, list[int]]):
    inputs, goals = shape
    graph, calls = built(inputs, goals)

    def distance(n: int, goal: int) -> float:
        return (
            0
            if n == goal
            else 1
            + min(
                (
                    distance(one, goal)
                    for one in range(len(inputs))
                    if n in inputs[one] and one in behind(inputs, [goal])
                ),
                default=float("inf"),
            )
        )

    for n in behind(inputs, goals):
        given = graph.labels[calls[n].key]["goal"]
        assert isinstance(given, int)
        assert distance(n, given) == min(distance(n, goal) for goal in goals)


def test_labels_of_a_goal_are_its_own_and_those_of_the_rest_the_nearest():
    root = defer(add, 1.0)
    middle = defer(add, 2.0, to=root)
    near, far = defer(add, 3.0, to=middle), defer(add, 4.0, to=defer(add, 5.0, to=middle))
    graph = graph_of([row(far, name="far"), row(near, name="near"), row(root, name="root")])
    named = {graph.calls[key].call.arguments["number"]: labels["name"] for key, labels in graph.labels.items()}
    assert named == {1.0: "root", 2.0: "near", 3.0: "near", 4.0: "far", 5.0: "far"}


def test_resolve_makes_a_shared_ancestor_once():
    RUNS.clear()
    root = defer(add, 1.0)
    graph = graph_of(
        row(defer(add, 2.0, to=defer(add, 1.0)), arm=n) if n == 2 else row(defer(add, n, to=root), arm=n)
        for n in (2.0, 3.0)
    )
    results = resolve(graph)
    assert RUNS == [1.0, 2.0, 3.0] and [one.total for one in results.values()] == [1.0, 3.0, 4.0]
    assert list(results) == list(graph.calls)


def test_two_rows_of_the_same_labels_are_refused():
    one, two = defer(add, 1.0), defer(add, 2.0)
    with pytest.raises(Refused) as caught:
        graph_of([row(one, seed=0, name="a"), row(two, name="a", seed=0)])
    said = f"two rows have the same labels (name='a', seed=0): {one.key} and {two.key}. Give them a label that tells"
    assert str(caught.value).startswith(said)
    with pytest.raises(Refused, match=r"the same labels \(none\)"):
        graph_of([row(one), row(two)])


def test_labels_that_only_look_alike_are_two():
    calls = [defer(add, float(n)) for n in range(4)]
    values: list[Any] = [1, 1.0, True, "1"]
    assert len(graph_of(row(call, seed=value) for call, value in zip(calls, values, strict=True)).goals) == 4


def test_the_same_row_said_twice_is_one():
    """It would count as two seeds; the same result under other labels is another row."""
    call = defer(add, 1.0)
    graph = graph_of([row(call, seed=0), row(call, seed=0), row(call, seed=1)])
    assert [dict(goal.labels) for goal in graph.goals] == [{"seed": 0}, {"seed": 1}]


class Colliding(Deferred):
    """A call under a key that is another's: a collision cannot be had otherwise."""

    def __init__(self, number: float, key: str, **arguments: Any) -> None:
        super().__init__(add, Call("toy_add", 1, {"number": number, **arguments}))
        self._key = key


@pytest.mark.parametrize(
    "rows",
    [
        lambda key: [row(Colliding(1.0, key), n=1), row(Colliding(2.0, key), n=2)],
        lambda key: [row(defer(gather, (Colliding(1.0, key), Colliding(2.0, key))))],
        lambda key: [row(Colliding(1.0, key, to=defer(add, 5.0, to=Colliding(2.0, key))))],
    ],
    ids=["side by side", "in one call", "one behind the other"],
)
def test_two_different_calls_under_one_key_are_refused(rows: Callable[[str], list[Goal]]):
    with pytest.raises(Refused, match=r"^two different calls have the key toy_add:00: toy_add\(number=\d") as caught:
        graph_of(rows("toy_add:00"))
    assert "number=1.0" in str(caught.value) and "number=2.0" in str(caught.value)


def chain(length: int) -> Graph:
    call = defer(add, 0.0)
    for number in range(1, length):
        call = defer(add, float(number), to=call)
    return graph_of([row(call)])


def test_deep_chains_neither_overflow_nor_slow_down():
    """Five thousand calls, one behind the other: everything that walks over the graph is a loop."""
    graph = chain(5_000)
    keys = list(graph.calls)
    assert len(graph) == 5_000
    assert graph.heights[keys[0]] == 5_000 and graph.heights[keys[-1]] == 1
    assert graph.labels[keys[0]] == {}
    assert graph.needed(present=set()) == keys and graph.needed(present={keys[2_999]}) == keys[3_000:]


def test_the_work_grows_with_the_length_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch):
    """Counted, not timed: how often a call's key is asked for."""
    asked = 0

    def key(self: Deferred) -> str:
        nonlocal asked
        asked += 1
        return self._key  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(Deferred, "key", property(key))

    def counted(length: int) -> int:
        nonlocal asked
        asked = 0
        graph = chain(length)
        graph.needed(present=set())
        assert graph.heights and graph.labels and graph.dependants
        return asked

    assert counted(800) < 2.2 * counted(400)
