import dataclasses
import itertools
import json
from typing import Any

import pytest

from tombola.core.call import Call, key_of
from tombola.core.canon import Keyed
from tombola.core.errors import Refused
from tombola.core.seeds import Seeds
from tombola.core.text import parse, parse_call, references


@dataclasses.dataclass(frozen=True)
class Stub(Keyed):
    """Something with a key."""

    name: str

    @property
    def key(self) -> str:
        return f"train:{self.name * 16}"


ARGUMENTS: dict[str, Any] = {"trained": Stub("a"), "keep": 0.5, "seeds": Seeds(3), "names": ("x", "y")}


def test_the_order_of_arguments_says_nothing():
    keys = {Call("cut", 1, dict(order)).key for order in itertools.permutations(ARGUMENTS.items())}
    assert keys == {"cut:6d4c6b566ab8ac25"}


@pytest.mark.parametrize(
    "other",
    [
        Call("cut", 2, ARGUMENTS),
        Call("carve", 1, ARGUMENTS),
        Call("cut", 1, {**ARGUMENTS, "keep": 0.25}),
        Call("cut", 1, {**ARGUMENTS, "keep": "0.5"}),
        Call("cut", 1, {**ARGUMENTS, "trained": Stub("b")}),
        Call("cut", 1, {**ARGUMENTS, "trained": "train:aaaaaaaaaaaaaaaa"}),
        Call("cut", 1, {**ARGUMENTS, "names": ["x", "y"]}),
        Call("cut", 1, {**ARGUMENTS, "more": None}),
        Call("cut", 1, {name: value for name, value in ARGUMENTS.items() if name != "keep"}),
    ],
    ids=lambda call: call.text,
)
def test_everything_counts(other: Call):
    assert other.key != Call("cut", 1, ARGUMENTS).key


def test_text_and_back():
    call = Call("cut", 1, ARGUMENTS)
    assert call.text == "cut(trained=train:aaaaaaaaaaaaaaaa, keep=0.5, seeds=seeds(seed=3), names=('x', 'y'))"
    name, arguments = parse_call(call.text, lambda key: Stub(key[-1]))
    assert (name, arguments) == ("cut", ARGUMENTS)
    assert Call(name, 1, arguments).key == call.key


def test_inputs_are_found_in_tuples_too():
    call = Call("barrier", 1, {"a": Stub("a"), "rest": (Stub("b"), Stub("c")), "one": (Stub("d"),)})
    keys = [f"train:{letter * 16}" for letter in "abcd"]
    assert call.inputs == references(call.text) == keys
    _, arguments = parse_call(call.text, lambda key: Stub(key[-1]))
    assert arguments == call.arguments


def test_a_key_in_quotes_is_no_input():
    call = Call("note", 1, {"text": "see train:aaaaaaaaaaaaaaaa, '\" and \\"})
    assert call.inputs == references(call.text) == []
    assert parse_call(call.text, Stub) == ("note", call.arguments)


def test_what_cannot_be_part_of_a_key_is_named():
    with pytest.raises(Refused, match=r"cannot fingerprint a function \(argument 'schedule' of train\)"):
        _ = Call("train", 1, {"schedule": lambda step: 0.1}).key


@pytest.mark.parametrize(
    "text",
    ["cut(trained=_key_())", "cut(trained=_key_(x))", "cut(trained=_key_('train:aaaaaaaaaaaaaaaa'))", "_key_",
     "cut(trained=_key_(1))", "cut(x=seeds(seed=_key_(y=1)))", "cut(train:aaaaaaaaaaaaaaaa)", "train:aaaaaaaaaaaaaaaa",
     "cut(x=train:aaaaaaaaaaaaaaa)", "cut(x=train:aaaaaaaaaaaaaaaaa)", "cut(x={'a': train:aaaaaaaaaaaaaaaa})", "1", ""],
)  # fmt: skip
def test_texts_that_are_no_call(text: str):
    with pytest.raises(Refused):
        parse_call(text, lambda key: pytest.fail(f"asked for {key}"))


def test_a_name_may_hold_the_mark_of_keys(scratch: None):
    assert parse_call("cut(some_key_name=1)", Stub) == ("cut", {"some_key_name": 1})
    assert parse("seeds", "seeds(seed=1)") == Seeds(1)


def test_keyed_arguments_are_found_wherever_they_lie():
    a, b, c, d = (Stub(letter) for letter in "abcd")
    call = Call("gather", 1, {"one": a, "rest": (b, [c, 1], {"x": d, "y": "train:aaaaaaaaaaaaaaaa"}), "more": None})
    assert call.text == (
        f"gather(one={a.key}, rest=({b.key}, [{c.key}, 1], {{'x': {d.key}, 'y': 'train:aaaaaaaaaaaaaaaa'}}), more=None)"
    )
    assert call.keyed == [a, b, c, d] and call.inputs == [one.key for one in (a, b, c, d)]
    assert Call("gather", 1, {"x": 1, "y": ((), [], {})}).keyed == []


def test_what_is_swapped_leaves_the_rest_as_it_is():
    a, b = Stub("a"), Stub("b")
    call = Call("gather", 3, {"one": a, "rest": (b, [a, 1.5], {"x": b, "y": "b"}), "seeds": Seeds(3)})
    swapped = call.swapped(lambda one: Stub({"a": "c", "b": "d"}[one.key[-1]]))
    assert (swapped.function, swapped.version) == ("gather", 3)
    c, d = Stub("c"), Stub("d")
    assert swapped.arguments == {"one": c, "rest": (d, [c, 1.5], {"x": d, "y": "b"}), "seeds": Seeds(3)}
    assert call.arguments["one"] is a and call.key != swapped.key
    assert call.swapped(lambda one: one) == call and call.swapped(lambda one: Stub(one.key[-1])).key == call.key


def test_a_key_can_be_made_of_what_a_record_holds():
    call = Call("cut", 2, ARGUMENTS)
    assert key_of("cut", 2, call.canonical) == call.key
    assert key_of("cut", 1, call.canonical) != call.key
    assert key_of("cut", 2, json.loads(json.dumps(call.canonical))) == call.key
