"""What a plan says: counts, costs that a person can add up, and the first thing that differs."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.study.toys import RUNS, Sum, add
from tombola.core.call import Call
from tombola.core.seeds import Seeds
from tombola.moves.controls import Shuffle
from tombola.study.deferred import Deferred, defer
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of
from tombola.study.plan import Plan, Work, plan
from tombola.study.record import read_record, seal
from tombola.study.step import step
from tombola.study.store import Store
from tombola.study.why import Reason, why
from tombola.tasks.digits import Digits
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe

FAST, SLOW = (Recipe(optimizer=Sgd(lr=rate)) for rate in (0.5, 0.25))


@step("toy_begin")
def begin(width: int, seeds: Seeds = Seeds()) -> Sum:
    raise AssertionError("a plan runs nothing")


@step("toy_learn")
def learn(
    of: Sum,
    recipe: Recipe = Recipe(),
    seeds: Seeds = Seeds(),
    by: Any = None,
    task: Any = None,
    names: tuple[str, ...] = (),
) -> Sum:
    raise AssertionError("a plan runs nothing")


@step("toy_learn", version=2)
def learn_anew(of: Sum, recipe: Recipe = Recipe(), seeds: Seeds = Seeds()) -> Sum:
    raise AssertionError("a plan runs nothing")


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    store = Store(tmp_path / "runs")
    store.prepare()
    return store


def keep(store: Store, *calls: Deferred, seconds: float = 1.0, flops: float = 0.0, size: int = 0, **numbers: Any):
    """Records as a run leaves them, with a provenance made up."""
    for one in calls:
        call: Call = one.call
        record = {
            "call": call.text,
            "key": call.key,
            "function": call.function,
            "version": call.version,
            "arguments": call.canonical,
            "inputs": call.inputs,
            "numbers": numbers,
            "provenance": {"seconds": seconds, "flops": flops, "bytes": size},
        }
        store.home(call.key).mkdir(parents=True)
        (store.home(call.key) / "record.json").write_bytes(seal(record))


def graph(*calls: Deferred) -> Graph:
    return graph_of(row(call, number=number) for number, call in enumerate(calls))


def work(found: Plan) -> dict[str, Work]:
    return {one.function: one for one in found.work}


@pytest.fixture
def reason(store: Store) -> Iterator[Any]:
    """The only reason why a call would run that is stored with other arguments; the root is stored."""
    root = defer(begin, width=3)
    keep(store, root)

    def reason(here: Deferred, *stored: Deferred) -> tuple[str, str, str]:
        keep(store, *stored)
        (found,) = why(graph(here), store)
        assert found.key == here.key and found.call == here.call.text
        assert found.nearest == (stored[0].key if stored else "")
        return found.argument, found.here, found.there

    yield reason


# What there is and what there is not.


def test_an_empty_store_knows_nothing(tmp_path: pathlib.Path):
    root = defer(begin, width=3)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(2)]
    before = len(RUNS)
    found = plan(graph(*ends, defer(add, 1.0)), Store(tmp_path / "runs"))
    assert (found.steps, found.stored, found.rows, found.known, found.to_run, found.unknown) == (4, 0, 3, 0, 4, 4)
    assert work(found)["toy_learn"] == Work("toy_learn", 2, 2, 0, 0, 0, n=0)
    assert (found.seconds, found.flops, found.bytes) == (0, 0, 0)
    assert len(RUNS) == before and not (tmp_path / "runs").exists()


def test_stored_steps_do_not_run_and_those_behind_a_known_row_need_not_be_there(store: Store):
    root, swept = defer(begin, width=3), defer(begin, width=4)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(3)]
    known = defer(learn, of=swept)
    keep(store, root, ends[0], known)
    noted = store.folder / "noted" / "toy_learn" / f"{ends[1].key.partition(':')[2]}.json"
    noted.parent.mkdir(parents=True)
    noted.write_bytes(seal({"key": ends[1].key}))
    found = plan(graph(*ends, known), store)
    assert (found.steps, found.stored, found.rows, found.known, found.to_run) == (6, 4, 4, 3, 1)
    assert list(work(found)) == ["toy_learn"]


def test_a_row_that_is_noted_runs_again_where_others_are_made_of_it(store: Store):
    root = defer(begin, width=3)
    end = defer(learn, of=root)
    noted = store.folder / "noted" / "toy_begin" / f"{root.key.partition(':')[2]}.json"
    noted.parent.mkdir(parents=True)
    noted.write_bytes(seal({"key": root.key}))
    found = plan(graph(root, end), store)
    assert (found.steps, found.stored, found.known, found.to_run) == (2, 0, 1, 2)


def test_a_plan_writes_nothing(store: Store):
    root = defer(begin, width=3)
    keep(store, root)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    plan(graph(defer(learn, of=root)), store)
    why(graph(defer(learn, of=root)), store)
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before


# Costs.


def test_costs_are_means_over_finished_calls_of_the_same_kind(store: Store):
    root = defer(begin, width=3)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(5)]
    keep(store, root)
    keep(store, ends[0], seconds=2.0, flops=10.0, size=100)
    keep(store, ends[1], seconds=4.0, flops=30.0, size=300)
    found = plan(graph(*ends), store)
    assert found.work == (Work("toy_learn", 3, 0, 9.0, 60.0, 600.0, n=2),)
    assert (found.seconds, found.flops, found.bytes, found.unknown) == (9.0, 60.0, 600.0, 0)


def test_a_record_that_does_not_tell_what_it_took_stops_no_plan(store: Store):
    """An imported row need not tell more than its seconds."""
    root = defer(begin, width=3)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(3)]
    keep(store, root, ends[1])
    keep(store, ends[0], seconds=2.0, flops=10.0, size=100)
    path = store.home(ends[1].key) / "record.json"
    path.write_bytes(seal(read_record(path) | {"provenance": {"seconds": 4.0, "flops": "many"}}))
    assert plan(graph(*ends), store).work == (Work("toy_learn", 1, 0, 3.0, 10.0, 100.0, n=2),)


def test_a_call_that_went_on_from_half_done_work_took_longer_than_its_last_process(store: Store):
    root = defer(begin, width=3)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(2)]
    keep(store, root)
    keep(store, ends[0], seconds=2.0)
    assert plan(graph(*ends), store).seconds == 2.0
    path = store.home(ends[0].key) / "record.json"
    path.write_bytes(seal({**store.record(ends[0].key), "numbers": {"seconds": 50.0}}))
    assert plan(graph(*ends), store).seconds == 50.0


def test_other_settings_are_another_kind(store: Store):
    root = defer(begin, width=3)
    keep(store, root, defer(learn, of=root, recipe=Recipe(steps=10)), seconds=2.0)
    found = plan(graph(defer(learn, of=root, recipe=Recipe(steps=20)), defer(learn, of=root, recipe=Recipe(steps=10),
                                                                            seeds=Seeds(1))), store)  # fmt: skip
    assert found.work == (Work("toy_learn", 2, 1, 2.0, 0.0, 0.0, n=1),)
    assert (found.to_run, found.unknown, found.seconds) == (2, 1, 2.0)


def test_seeds_of_plug_ins_make_no_other_kind_wherever_they_stand(store: Store):
    root = defer(begin, width=3)
    keep(store, root, defer(learn, of=root, by=Shuffle(seed=1)), seconds=3.0)
    keep(store, defer(learn, of=root, by=(Shuffle(seed=1),)), seconds=5.0)
    assert plan(graph(defer(learn, of=root, by=Shuffle(seed=2))), store).seconds == 3.0
    assert plan(graph(defer(learn, of=root, by=(Shuffle(seed=2),))), store).seconds == 5.0
    assert plan(graph(defer(learn, of=root, by=Shuffle(seed=2, of="weights"))), store).unknown == 1


def test_what_stands_at_the_root_tells_costs_apart(store: Store):
    """The training of a ticket does not name its network: that stands where the ticket was drawn."""
    small, large = [[defer(begin, width=width, seeds=Seeds(n)) for n in range(2)] for width in (3, 300)]
    ends = [[defer(learn, of=root, seeds=Seeds(n)) for n, root in enumerate(roots)] for roots in (small, large)]
    keep(store, *small, *large)
    keep(store, ends[0][0], seconds=1.0)
    keep(store, ends[1][0], seconds=100.0)
    assert plan(graph(*ends[0], *ends[1]), store).work == (Work("toy_learn", 2, 0, 101.0, 0.0, 0.0, n=1),)
    assert plan(graph(ends[1][0], ends[1][1]), store).seconds == 100.0


def test_without_any_of_its_own_a_study_takes_those_of_others(store: Store):
    keep(store, defer(learn, of=defer(begin, width=3)), seconds=7.0)
    found = plan(graph(defer(learn, of=defer(begin, width=4), seeds=Seeds(1))), store)
    assert work(found)["toy_learn"].seconds == 7.0 and work(found)["toy_begin"].unknown == 1


def test_a_damaged_record_stops_no_plan(store: Store):
    root = defer(begin, width=3)
    ends = [defer(learn, of=root, seeds=Seeds(n)) for n in range(3)]
    keep(store, root, ends[0], ends[1], seconds=2.0)
    path = store.home(ends[0].key) / "record.json"
    path.write_bytes(path.read_bytes().replace(b"2.0", b"9.0"))
    assert plan(graph(*ends), store).work == (Work("toy_learn", 1, 0, 2.0, 0.0, 0.0, n=1),)
    assert why(graph(*ends), store)[0].nearest == ends[1].key


# Why.


def test_why_names_the_first_argument_that_differs(reason: Any):
    root = defer(begin, width=3)
    here = defer(learn, of=root, recipe=Recipe(steps=20, batch=64), seeds=Seeds(1))
    there = defer(learn, of=root, recipe=Recipe(steps=10, batch=64), seeds=Seeds(1))
    assert reason(here, there) == ("recipe.steps", "20", "10")


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ({"recipe": SLOW}, {"recipe": FAST}, ("recipe.optimizer.lr", "0.25", "0.5")),
        ({"recipe": Recipe(optimizer=Adam())}, {"recipe": FAST}, ("recipe.optimizer", "adam", "sgd")),
        ({"recipe": Recipe(steps=20)}, {}, ("recipe.steps", "20", "at its default")),
        ({"seeds": Seeds(3)}, {"seeds": Seeds(2)}, ("seeds.seed", "3", "2")),
        ({"seeds": Seeds(3)}, {}, ("seeds.seed", "3", "at its default")),
        ({}, {"seeds": Seeds(3)}, ("seeds.seed", "at its default", "3")),
        ({"by": Adam()}, {"by": Sgd()}, ("by", "adam", "sgd")),
        ({"by": 1}, {"by": 1.0}, ("by", "1", "1.0")),
        ({"by": 1}, {"by": True}, ("by", "1", "true")),
        ({"by": "1"}, {"by": 1}, ("by", '"1"', "1")),
        ({"names": ("a", "b")}, {"names": ("a",)}, ("names[1]", '"b"', "nothing")),
        ({"names": ("b",)}, {"names": ("a",)}, ("names[0]", '"b"', '"a"')),
        ({"names": ()}, {"names": ("a",)}, ("names", "()", "(...)")),
        ({"by": ()}, {"by": None}, ("by", "()", "null")),
        ({"by": ()}, {"by": {}}, ("by", "()", "{}")),
        ({"by": {"a": 1}}, {"by": {"a": 2}}, ("by['a']", "1", "2")),
    ],
    ids=str,
)  # fmt: skip
def test_why_names_the_field(reason: Any, here: dict[str, Any], there: dict[str, Any], said: tuple[str, str, str]):
    root = defer(begin, width=3)
    assert reason(defer(learn, of=root, **here), defer(learn, of=root, **there)) == said


def test_why_names_the_data(store: Store, monkeypatch: pytest.MonkeyPatch):
    root = defer(begin, width=3)
    monkeypatch.setattr(Digits, "__identity__", lambda self: {"data": "aaaa"})
    there = defer(learn, of=root, task=Digits())
    keep(store, root, there)
    monkeypatch.setattr(Digits, "__identity__", lambda self: {"data": "bbbb"})
    (found,) = why(graph(defer(learn, of=root, task=Digits())), store)
    assert (found.argument, found.here, found.there) == ("the data of task", '"bbbb"', '"aaaa"')


def test_why_names_the_version_of_the_step(reason: Any):
    root = defer(begin, width=3)
    assert reason(defer(learn_anew, of=root), defer(learn, of=root)) == ("the version of the step", "2", "1")


def test_why_names_another_input(store: Store):
    roots = [defer(begin, width=width) for width in (3, 4)]
    keep(store, *roots, defer(learn, of=roots[0]))
    (found,) = why(graph(defer(learn, of=roots[1])), store)
    assert (found.argument, found.here, found.there) == ("of", roots[1].key, roots[0].key)


def test_the_nearest_one_differs_least(reason: Any):
    root = defer(begin, width=3)
    here = defer(learn, of=root, recipe=Recipe(steps=20), seeds=Seeds(1), names=("a",))
    near = defer(learn, of=root, recipe=Recipe(steps=20), seeds=Seeds(2), names=("a",))
    far = [defer(learn, of=root, recipe=Recipe(steps=n), seeds=Seeds(n), names=("b",)) for n in range(3, 9)]
    assert reason(here, near, *far) == ("seeds.seed", "1", "2")


def test_why_says_only_what_the_rest_follows_from(store: Store):
    roots = [defer(begin, width=width) for width in (3, 4)]
    keep(store, roots[0], defer(learn, of=roots[0]))
    (found,) = why(graph(defer(learn, of=roots[0]), defer(learn, of=roots[1])), store)
    assert (found.key, found.argument, found.here, found.there) == (roots[1].key, "width", "4", "3")


def test_reasons_are_sentences(store: Store):
    root, other = defer(begin, width=3), defer(begin, width=4)
    (alone,) = why(graph(root), store)
    assert alone == Reason(root.key, "toy_begin(width=3)", "")
    assert str(alone) == f"{root.key}: no toy_begin is stored yet."
    keep(store, root)
    (found,) = why(graph(root, other), store)
    assert str(found) == f"{other.key}: width is 4; in {root.key}, the nearest that is stored, 3."
    keep(store, other)
    assert why(graph(root, other), store) == []
