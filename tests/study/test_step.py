"""Steps: how a call is bound, what is in it, who hears of it."""

import importlib
import inspect
import pathlib
from typing import Any

import pytest

from tests.study.toys import RUNS, Sum, add, slow
from tombola.core.call import Call
from tombola.core.errors import Refused
from tombola.core.plugin import LOADED, plugin
from tombola.core.text import references
from tombola.study.keeper import Keeper
from tombola.study.step import Context, Step, now, step
from tombola.study.store import Store


def test_arguments_at_their_defaults_are_left_out():
    assert add.call(2.5).text == add.call(number=2.5, to=None, times=1).text == "toy_add(number=2.5)"
    assert add.call(2.5).key == add.call(number=2.5, times=1).key != add.call(2.5, times=2).key
    assert add.call(2.5, times=2).arguments == {"number": 2.5, "times": 2}


def test_a_value_that_only_equals_the_default_is_another():
    assert add.call(1.0, times=True).arguments == {"number": 1.0, "times": True}  # type: ignore[arg-type]
    assert add.call(1.0, times=True).key != add.call(1.0).key
    assert add.call(1.0).key != add.call(1).key


def test_a_default_of_a_later_version_is_in_the_call_named_or_not():
    def made(version: int) -> Step:
        @plugin("example", "ruler_of_step", version=version)
        class Ruler:
            length: int = 1

        @step("toy_measured")
        def measured(number: float, by: Ruler = Ruler()) -> Sum:
            return add(number, times=by.length)

        return measured

    try:
        old, new = made(1), made(2)
        by = inspect.signature(new.function).parameters["by"].default
        assert old.call(1.0).text == "toy_measured(number=1.0)"
        assert new.call(1.0).text == new.call(1.0, by=by).text == "toy_measured(number=1.0, by=ruler_of_step())"
        assert new.call(1.0).key == new.call(1.0, by=by).key != old.call(1.0).key
        assert new(2.0).total == 2.0
    finally:
        del LOADED["example", "ruler_of_step"]


def test_a_result_enters_as_its_key():
    one = now(add, 1.0)
    call = add.call(2.0, to=one)
    assert call.inputs == [one.key] == [add.call(1.0).key]
    assert call.text == f"toy_add(number=2.0, to={one.key})"
    assert now(add, 2.0, to=one).total == 3.0


def test_name_and_version_are_in_the_key():
    def double(number: float) -> Sum:
        return add(number, times=2)

    keys = {step(name, version=version)(double).call(1.0).key for name in ("a", "b") for version in (1, 2)}
    assert len(keys) == 4 and {key.partition(":")[0] for key in keys} == {"a", "b"}


def test_arguments_are_prepared_before_the_key_is_made():
    def halve(number: float, of: float = 2.0) -> dict[str, Any]:
        return {"number": number / of, "of": 2.0}

    @step("toy_prepared", prepare=halve)
    def half(number: float, of: float = 2.0) -> Sum:
        return add(number)

    assert half.call(8.0).arguments == half.call(16.0, of=4.0).arguments == {"number": 4.0}
    assert half(8.0).total == 4.0


def test_a_wrong_call_is_refused_and_nothing_runs():
    before = len(RUNS)
    with pytest.raises(
        Refused, match=r"^toy_add: missing a required argument: 'number'\. It takes number, to, times\.$"
    ):
        add()
    with pytest.raises(
        Refused, match=r"^no argument of toy_add called 'numbr'\. Did you mean 'number'\? Known: number, times, to\."
    ):
        add(1.0, numbr=1)
    with pytest.raises(Refused, match="^toy_slow: 'context' is given by whoever runs the call, not by the call"):
        slow("x", context=Context())
    assert len(RUNS) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), lambda x: x, object(), {1, 2}, {1: 2}, b"x"])
def test_what_has_no_stable_form_has_no_key(value: Any):
    with pytest.raises(Refused, match=r"cannot fingerprint .*argument 'number' of toy_add"):
        _ = add.call(value).key


def test_context_and_listener(tmp_path: pathlib.Path):
    heard: list[tuple[str, str, dict[str, Any]]] = []

    def listen(happening: str, call: Call, **facts: Any) -> None:
        heard.append((happening, call.key, facts))

    call = slow.call(str(tmp_path / "log"), seconds=0.0)
    result = slow.run(call, Context(listen=listen))
    assert [(what, key) for what, key, _ in heard] == [(w, call.key) for w in ("start", "progress", "done")]
    assert heard[1][2] == {"step": 1, "steps": 2} and heard[2][2]["result"] is result
    Context().tell(step=1)  # Without a call there is nobody to tell of.
    assert repr(slow) == "step toy_slow" and slow.__doc__ is not None


def test_what_a_step_gives_must_be_what_it_declares():
    @step("toy_liar")
    def liar() -> Sum:
        return 3  # type: ignore[return-value]

    with pytest.raises(Refused, match=r"^toy_liar gave a int; it is declared to give a Sum\.$"):
        Step.run(liar, liar.call(), Context())


@pytest.mark.parametrize("name", ["my-prune", "myPrune", "2cut", "", "cut é", "a:b", "../a", "a\n"])
def test_a_name_that_keys_cannot_bear_is_refused(name: str):
    with pytest.raises(Refused) as caught:
        step(name)(add.function)
    assert str(caught.value) == (
        f"no step can be called {name!r}: a name has letters a-z, digits after the first of them, and underscores, "
        "such as 'my_prune2'."
    )


def test_a_name_may_have_digits_in_every_place_where_keys_are_read(tmp_path: pathlib.Path):
    again = step("toy_add2")(add.function)
    store = Store(tmp_path)
    one = store(again, 1.0)
    two = store(again, 2.0, to=one)
    assert references(store.record(two.key)["call"]) == [one.key]
    keeper = Keeper(tmp_path)
    assert {key for key, _ in keeper.results()} == {one.key, two.key}
    assert [key for key, record in keeper.lineage(two.key) if record] == [one.key, two.key]


def test_the_names_of_our_own_steps_are_taken():
    importlib.import_module("tombola.find")
    with pytest.raises(Refused, match=r"^no step can be called 'cut': tombola has one \(tombola\.find\.cut\)"):

        @step("cut")
        def cut() -> Sum:
            raise NotImplementedError
