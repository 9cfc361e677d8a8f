"""Deferred calls: the same keys as calls that happen, and the same refusals."""

import pathlib
from typing import Any

import pytest
import torch

from tests.study.toys import COMMON, RUNS, Sum, add, gather, slow
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.criteria.magnitude import Magnitude
from tombola.find import cut, draw, find
from tombola.study.deferred import Deferred, defer
from tombola.study.goals import row
from tombola.study.graph import graph_of, resolve
from tombola.study.step import now, step
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.optimizers import Adam
from tombola.train.recipe import Recipe


class Product(Sum):
    """A narrower kind of result."""


@step("toy_double")
def double(of: Product) -> Product:
    return Product(of.values, of.total * 2, of.common)


@step("toy_product")
def product(number: float) -> Product:
    return Product(torch.full((1,), number), number, COMMON)


def test_nothing_runs_and_the_key_is_that_of_the_call():
    before = len(RUNS)
    one = defer(add, 1.0)
    two = defer(add, 2.0, to=one, times=2)
    assert len(RUNS) == before
    assert one.key == add.call(number=1.0, times=1).key
    assert two.inputs == (one,) and two.call.inputs == [one.key] and two.function is add
    assert repr(two) == f"Deferred(toy_add(number=2.0, to={one.key}, times=2))"
    assert two.key == now(add, 2.0, to=now(add, 1.0), times=2).key


def test_now_store_and_defer_meet_at_the_same_keys(tmp_path: pathlib.Path):
    """Inputs anywhere in tuples, lists and dicts."""
    store = Store(tmp_path)

    def made(call: Any) -> Any:
        one, two = call(add, 1.0), call(add, 2.0)
        inner = call(gather, (one, [two, 3.0, {"a": one}], {"b": (two,)}), number=4.0)
        return call(gather, {"inner": inner, "words": "no sum"})

    late, at_once, kept = made(defer), made(now), made(store)
    assert late.key == at_once.key == kept.key and at_once.total == kept.total == 10.0
    (inner,) = late.inputs
    assert [one.call.text for one in inner.inputs] == [f"toy_add(number={n})" for n in (1.0, 2.0, 1.0, 2.0)]
    assert set(store.keys()) == set(graph_of([row(late)]).calls)


def test_a_real_find_has_the_same_keys_deferred_and_run(tmp_path: pathlib.Path):
    recipe = Recipe(steps=8, rewind=2, batch=30, optimizer=Adam())
    arch, task, store = Mlp(hidden=(8,)), Digits(), Store(tmp_path)

    def keys(call: Any) -> list[str]:
        ladder = list(find(arch, task, recipe, levels=2, keep=0.5, call=call))
        last = call(train, ticket=ladder[-1], task=task, recipe=recipe)
        return [one.key for one in (*ladder, last)]

    assert keys(defer) == keys(now) == keys(store)
    assert len(set(keys(defer))) == 4
    assert keys(defer)[0].startswith("draw:") and keys(defer)[3].startswith("train:")


def test_steps_are_prepared_when_they_are_deferred():
    recipe = Recipe(steps="2ep", rewind=2, batch=60, optimizer=Adam())
    late = defer(draw, Mlp(), Digits(), recipe)
    assert late.call.arguments["recipe"].steps == recipe.in_steps(Digits()).steps != "2ep"


def test_what_does_not_fit_is_refused():
    with pytest.raises(Refused, match=r"^cannot defer 'sorted': it is no step\. Put @step\(name\) on a function of a"):
        defer(sorted, [1])
    with pytest.raises(Refused, match=r"^cannot defer '3': it is no step"):
        defer("3")
    with pytest.raises(Refused, match=r"^toy_add: missing a required argument: 'number'"):
        defer(add)
    with pytest.raises(Refused, match="^cannot fingerprint a function .argument 'number' of toy_add.*a deferred step"):
        defer(add, lambda x: x)
    with pytest.raises(Refused, match="^toy_slow: 'context' is given by whoever runs the call"):
        defer(slow, "log", context=None)


def test_a_result_of_the_wrong_kind_is_refused():
    with pytest.raises(Refused, match=r"^toy_double: 'of' is what toy_add gives, a Sum\. It must be a Product\.$"):
        defer(double, of=defer(add, 1.0))
    assert defer(double, of=defer(product, 1.0)).inputs
    assert defer(add, 2.0, to=defer(product, 1.0)).inputs  # A product is a sum.
    dense = defer(draw, Mlp(), Digits(), Recipe(steps=8, rewind=2, batch=30, optimizer=Adam()))
    with pytest.raises(Refused, match=r"^cut: 'trained' is what draw gives, a Ticket\. It must be a Trained\.$"):
        defer(cut, trained=dense, criterion=Magnitude())


def test_an_optional_input_of_the_wrong_kind_is_refused():
    dense = defer(draw, Mlp(), Digits(), Recipe(steps=8, rewind=2, batch=30, optimizer=Adam()))
    with pytest.raises(Refused, match=r"^toy_add: 'to' is what draw gives, a Ticket\. It must be a Sum"):
        defer(add, 1.0, to=dense)


def test_results_and_deferred_calls_mix():
    """A call on a result that is there already has the key of the call on the deferred one."""
    there = now(add, 1.0)
    mixed = defer(gather, (there, defer(add, 2.0)))
    assert mixed.key == defer(gather, (defer(add, 1.0), defer(add, 2.0))).key
    assert [one.call.text for one in mixed.inputs] == ["toy_add(number=2.0)"]
    assert resolve(graph_of([row(mixed)]))[mixed.key].total == 3.0
    assert isinstance(mixed, Deferred)


@step("toy_seeded")
def seeded(seeds: Seeds = Seeds()) -> Sum:
    return Sum(torch.zeros(1), float(seeds.seed), COMMON)


def test_a_plug_in_of_the_wrong_class_is_refused_when_it_is_deferred():
    assert defer(seeded, seeds=Seeds(3)).call.arguments == {"seeds": Seeds(3)}
    with pytest.raises(Refused, match=r"^toy_seeded: 'seeds' is 3 \(int\)\. It must be a Seeds\.$"):
        defer(seeded, seeds=3)
