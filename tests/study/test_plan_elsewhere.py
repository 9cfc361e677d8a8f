"""Plans of stores that several environments write to: what counts, how it is told, whose seconds are believed."""

import pathlib
from typing import Any

import pytest

from tests.study.toys import Sum
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.study.deferred import Deferred, defer
from tombola.study.environment import environment, in_words
from tombola.study.goals import row
from tombola.study.graph import Graph, graph_of
from tombola.study.plan import LOOKED_AT, SAMPLE, Plan, plan
from tombola.study.provenance import processor
from tombola.study.record import seal
from tombola.study.step import step
from tombola.study.store import Store
from tombola.study.why import why

HERE, THERE = environment(Machine()), environment(Machine(threads=2))


@step("toy_planned")
def planned(seeds: Seeds = Seeds(), width: int = 3) -> Sum:
    raise AssertionError("a plan runs nothing")


@step("toy_planned_on")
def planned_on(of: Sum, seeds: Seeds = Seeds()) -> Sum:
    raise AssertionError("a plan runs nothing")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "runs"


def ends(number: int, first: int = 0) -> list[Deferred]:
    return [defer(planned, seeds=Seeds(n)) for n in range(first, first + number)]


def graph(*calls: Deferred) -> Graph:
    return graph_of(row(call, number=number) for number, call in enumerate(calls))


def keep(folder: pathlib.Path, *calls: Deferred, made_in: dict[str, str] = HERE, seconds: float = 1.0, **told: Any):
    store = Store(folder)
    store.prepare()
    store.enlist(made_in)
    for one in calls:
        call = one.call
        record = {
            "call": call.text, "key": call.key, "function": call.function, "version": call.version,
            "arguments": call.canonical, "inputs": call.inputs, "environment": made_in, "numbers": {},
            "provenance": {"seconds": seconds, "flops": 0.0, "bytes": 0, "processor": processor(), **told},
        }  # fmt: skip
        home = store.plain(call.key)
        home.mkdir(parents=True)
        (home / "record.json").write_bytes(seal(record))


def looked(folder: pathlib.Path, calls: list[Deferred], **options: Any) -> Plan:
    return plan(graph(*calls), Store(folder, **options))


def test_stored_steps_of_other_environments_are_counted(folder: pathlib.Path):
    calls = ends(6)
    keep(folder, *calls[:2])
    assert looked(folder, calls).elsewhere == {}
    keep(folder, *calls[2:5], made_in=THERE)
    found = looked(folder, calls)
    assert (found.stored, found.to_run, found.elsewhere) == (5, 1, {in_words(THERE): 3})
    found = looked(folder, calls, machine=Machine(threads=2))
    assert (found.stored, found.to_run, found.elsewhere) == (5, 1, {in_words(HERE): 2})
    third = {**HERE, "torch": "1.0"}
    keep(folder, calls[5], made_in=third)
    assert looked(folder, calls).elsewhere == {in_words(third): 1, in_words(THERE): 3}


def test_where_only_the_same_count_the_others_are_to_run(folder: pathlib.Path):
    calls = ends(6)
    keep(folder, *calls[:2])
    keep(folder, *calls[2:5], made_in=THERE)
    found = looked(folder, calls, reuse="same")
    assert (found.stored, found.known, found.to_run, found.elsewhere) == (2, 2, 4, {in_words(THERE): 3})


def test_what_is_not_of_the_study_is_not_counted(folder: pathlib.Path):
    keep(folder, *ends(2))
    keep(folder, *ends(3, first=10), made_in=THERE)
    assert looked(folder, ends(4)).elsewhere == {}


def test_seconds_of_this_environment_come_first(folder: pathlib.Path):
    calls = ends(5)
    keep(folder, calls[0], made_in=THERE, seconds=100.0)
    found = looked(folder, calls[:3])
    assert (found.seconds, found.afar, found.work[0].afar) == (200.0, 2, 2)  # Better than nothing, and said.
    keep(folder, calls[1], seconds=2.0)
    found = looked(folder, calls[:3])
    assert (found.seconds, found.afar, found.work[0].n) == (2.0, 0, 1)
    found = looked(folder, calls[:3], machine=Machine(threads=2))
    assert (found.seconds, found.afar) == (100.0, 0)


def test_seconds_of_this_processor_come_first(folder: pathlib.Path):
    calls = ends(4)
    keep(folder, calls[0], seconds=100.0, processor="Abacus 3000")
    assert (looked(folder, calls[:2]).seconds, looked(folder, calls[:2]).afar) == (100.0, 1)
    keep(folder, calls[1], seconds=2.0)
    found = looked(folder, calls)
    assert (found.seconds, found.afar, found.work[0].n) == (4.0, 0, 2 - 1)


def test_seconds_of_two_other_machines_are_not_put_together(folder: pathlib.Path):
    calls = ends(5)
    keep(folder, calls[0], seconds=100.0, processor="Abacus 3000")
    keep(folder, calls[1], seconds=10.0, processor="Slide rule")
    found = looked(folder, calls[:3])
    assert (found.seconds, found.work[0].n) == (100.0, 1)


def test_those_of_other_studies_here_come_before_those_of_this_one_elsewhere(folder: pathlib.Path):
    """A call of the same kind with another seed, which the study at hand does not name."""
    keep(folder, *ends(1), made_in=THERE, seconds=100.0)
    keep(folder, *ends(1, first=10), seconds=3.0)
    found = looked(folder, ends(2))
    assert (found.seconds, found.afar) == (3.0, 0)


def test_enough_of_this_machine_are_found_behind_many_of_others(folder: pathlib.Path):
    calls = ends(LOOKED_AT + 1)
    keep(folder, *calls[:100], made_in=THERE, seconds=100.0)
    keep(folder, *calls[100 : 100 + SAMPLE + 5], seconds=2.0)
    found = looked(folder, calls[: 100 + SAMPLE + 6])
    assert (found.seconds, found.work[0].n, found.afar) == (2.0, SAMPLE, 0)


def test_those_of_the_same_root_here_are_found_behind_many_of_others(folder: pathlib.Path):
    small, large = defer(planned), defer(planned, width=300)
    first, *rest = (defer(planned_on, of=small, seeds=Seeds(n)) for n in range(SAMPLE + 2))
    keep(folder, *rest[:-1], made_in=THERE, seconds=100.0)
    keep(folder, rest[-1], seconds=2.0)
    keep(folder, defer(planned_on, of=large), seconds=50.0)
    keep(folder, small, large)
    assert looked(folder, [*rest, first]).seconds == 2.0


def test_with_one_environment_no_record_is_read_to_know_it(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    keep(folder, *ends(2))
    monkeypatch.setattr(Store, "made_in", lambda self, key: pytest.fail("a record is read"))
    assert looked(folder, ends(2)).stored == 2


def test_costs_are_known_from_elsewhere_though_nothing_there_counts(folder: pathlib.Path):
    keep(folder, *ends(1), made_in=THERE, seconds=100.0)
    found = looked(folder, ends(1), reuse="same")
    assert (found.to_run, found.seconds, found.afar, found.unknown) == (1, 100.0, 1, 0)


def test_a_strange_environment_stops_no_plan(folder: pathlib.Path):
    calls = ends(3)
    keep(folder, *calls[1:2])
    keep(folder, calls[0], made_in=THERE)
    path = Store(folder).plain(calls[0].key) / "record.json"
    path.write_bytes(seal({**Store(folder).record(calls[0].key), "environment": 5}))
    found = looked(folder, calls)
    assert (found.stored, found.to_run, found.elsewhere, found.seconds) == (2, 1, {}, 1.0)


def test_why_names_the_environment(folder: pathlib.Path):
    (call,) = ends(1)
    keep(folder, call, made_in=THERE)
    assert why(graph(call), Store(folder)) == []
    (reason,) = why(graph(call), Store(folder, reuse="same"))
    assert str(reason) == (
        f"{call.key}: the environment is {in_words(HERE)}; in {call.key}, the nearest that is stored, "
        f"{in_words(THERE)}."
    )
