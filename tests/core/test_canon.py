import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core.canon import Keyed, canonical, digest_of, encoded, fingerprint
from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds


class Stub(Keyed):
    """Something with a key."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def key(self) -> str:
        return self._key


DIFFERENT: list[Any] = [
    None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 1.5, "", "1", "1.0", "True", "None", "null",
    (), [], {}, (1,), [1], (1.0,), [1.0], ((1,),), [[1]], (1, 2), (2, 1), "(1,)", "[1]", "{}",
    {"a": 1}, {"a": 1.0}, {"a": [1]}, {"a": (1,)}, {"a": None}, {"b": 1},
    {"tuple": [1]}, {"float": "1.0"}, {"float": "1.5"}, {"dict": {}}, {"ref": "train:0123456789abcdef"},
    Stub("train:0123456789abcdef"), "train:0123456789abcdef", Stub("train:0123456789abcdee"),
    Seeds(), Seeds(1), Seeds(data=1), "seeds()", {"plugin": "seeds/seeds", "version": 1, "fields": {}},
]  # fmt: skip


def test_what_differs_in_meaning_differs_in_form():
    forms = [encoded(canonical(value)) for value in DIFFERENT]
    assert len(set(forms)) == len(DIFFERENT)
    assert len({fingerprint(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_the_order_of_a_dict_says_nothing():
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})


def test_forms_are_plain_json():
    assert canonical({"a": (1, 2.5, [Seeds(3), None])}, where="x") == {
        "dict": {
            "a": {
                "tuple": [
                    1,
                    {"float": "2.5"},
                    [{"plugin": "seeds/seeds", "version": 1, "fields": {"seed": 3}}, None],
                ]
            }
        }
    }
    assert all(json.loads(encoded(canonical(value))) == canonical(value) for value in DIFFERENT)


def test_golden_fingerprints():
    """If these change, no result that was ever stored is found again."""
    assert fingerprint(None) == "74234e98afe7498f"
    assert fingerprint(("a", 1, 1.0, True)) == "16c5069fa9829ebf"
    assert fingerprint({"seeds": Seeds(3), "keep": 0.8, "name": "é"}) == "256704a7e9338dd8"
    assert digest_of({"b": 1, "a": [True, None]}) == "51705a2c9eb3e7e4"


@pytest.mark.parametrize(
    "value, message",
    [
        (
            math.sin,
            "cannot fingerprint a builtin_function_or_method (argument 'schedule' of train). Everything that decides a "
            "result must be a plain value, a plug-in or a deferred step. Where-it-runs choices belong to Machine.",
        ),
        (
            lambda x: x,
            "cannot fingerprint a function (argument 'schedule' of train). Everything that decides a result must be a "
            "plain value, a plug-in or a deferred step. Where-it-runs choices belong to Machine.",
        ),
        (
            object(),
            "cannot fingerprint a object (argument 'schedule' of train). Everything that decides a result must be a "
            "plain value, a plug-in or a deferred step. Where-it-runs choices belong to Machine.",
        ),
        (math.nan, "cannot fingerprint nan (argument 'schedule' of train). Keys are made of finite numbers."),
        (-math.inf, "cannot fingerprint -inf (argument 'schedule' of train). Keys are made of finite numbers."),
        ({1: 2}, "cannot fingerprint a dict with keys that are not text (argument 'schedule' of train)."),
    ],
)
def test_refusals(value: Any, message: str):
    for nested in (value, (value,), [1, value], {"a": value}):
        with pytest.raises(Refused) as caught:
            fingerprint(nested, where="argument 'schedule' of train")
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "value",
    [np.float64(0.5), np.float32(0.5), np.int64(1), np.bool_(True), np.str_("a"), np.ones(1), b"a", {1}, 1j, ..., Seeds,
     Ellipsis, range(3)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_what_only_looks_plain_is_refused(value: Any):
    with pytest.raises(Refused, match="cannot fingerprint a"):
        canonical(value)


def test_the_refusal_names_the_field_of_the_plug_in(scratch: None):
    @plugin("example", "holder_of_anything")
    class Holder:
        what: Any = None

    with pytest.raises(Refused, match=r"cannot fingerprint a function \(field 'what' of holder_of_anything\)"):
        fingerprint(Holder(what=lambda: 0))


def test_an_identity_is_part_of_the_form(scratch: None):
    @plugin("example", "reads_data")
    class Reads:
        path: str = "a"

        def __identity__(self) -> dict[str, Any]:
            return {"data": DATA[self.path]}

    DATA = {"a": "00"}
    before = fingerprint(Reads())
    DATA["a"] = "01"
    assert fingerprint(Reads()) != before
    assert canonical(Reads())["identity"] == {"dict": {"data": "01"}}


def test_new_defaults_leave_old_keys_alone_and_versions_change_them(scratch: None):
    def made(*, extra: bool = False, version: int = 1, default: int = 2) -> type[Any]:
        namespace = {"__annotations__": {"batches": int}, "batches": default, "__qualname__": "Toy"}
        if extra:
            namespace["__annotations__"]["shape"], namespace["shape"] = tuple[int, ...], (3,)
        return plugin("example", "toy_of_versions", version=version)(type("Toy", (), namespace))

    old, grown, bumped = made(), made(extra=True), made(version=2)
    assert fingerprint(old()) == fingerprint(grown()) == fingerprint(grown(shape=(3,)))
    assert fingerprint(old(batches=5)) == fingerprint(grown(batches=5))
    assert fingerprint(grown(shape=(4,))) != fingerprint(grown())
    assert fingerprint(old()) != fingerprint(bumped())
    assert fingerprint(old(batches=5)) != fingerprint(bumped(batches=5))


@pytest.fixture
def wheels(scratch: None) -> Callable[..., Any]:
    """Plug-ins that hold each other by default: a cart has wheels, a wheel has a tyre."""

    def made(*, version: int = 1, identity: str = "", told: str = "") -> Any:
        @plugin("example", "tyre_of_canon", version=version)
        class Tyre:
            width: int = 1

            def __identity__(self) -> dict[str, Any]:
                return {"data": identity} if identity else {}

        @plugin("example", "wheel_of_canon")
        class Wheel:
            tyres: tuple[Tyre, ...] = (Tyre(),)
            spokes: int = 8

        @plugin("example", "cart_of_canon")
        class Cart:
            wheel: Wheel = Wheel()
            color: str = "red"

            def __identity__(self) -> dict[str, Any]:
                return {"data": told} if told else {}

        return Cart()

    return made


def test_a_default_that_came_to_mean_something_else_is_in_the_key(wheels: Callable[..., Any]):
    assert canonical(wheels())["fields"] == {}
    forms = [wheels(), wheels(version=2), wheels(version=3), wheels(identity="00"), wheels(identity="01")]
    assert len({fingerprint(one) for one in forms}) == len(forms)
    tyre = {"plugin": "example/tyre_of_canon", "version": 2, "fields": {}}
    wheel = {"plugin": "example/wheel_of_canon", "version": 1, "fields": {"tyres": {"tuple": [tyre]}}}
    assert canonical(wheels(version=2))["fields"] == {"wheel": wheel}


def test_data_that_a_plug_in_tells_of_its_default_are_told_once(wheels: Callable[..., Any]):
    assert canonical(wheels(identity="00", told="00"))["fields"] == {}
    assert set(canonical(wheels(identity="00", told="01"))["fields"]) == {"wheel"}
    assert set(canonical(wheels(identity="00", told="00", version=2))["fields"]) == {"wheel"}


def test_a_field_left_out_is_the_field_at_its_default():
    assert fingerprint(Seeds(3, data=-1)) == fingerprint(Seeds(3))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé1\"'\\"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """The value with its types spelled out, so that equal means the same."""
    if isinstance(value, tuple | list):
        return type(value).__name__, tuple(typed(item) for item in value)
    if isinstance(value, dict):
        return "dict", frozenset((key, typed(item)) for key, item in value.items())
    return type(value).__name__, repr(value)


@given(PLAIN, PLAIN)
def test_equal_forms_exactly_when_equal(a: Any, b: Any):
    assert (encoded(canonical(a)) == encoded(canonical(b))) == (typed(a) == typed(b))


SCRIPT = """
import sys
from tombola.core.call import Call
from tombola.core.seeds import Seeds, fold
settings = {name: len(name) for name in set(("alpha", "beta", "gamma", "delta"))}
call = Call("cut", 1, {"seeds": Seeds(3), "settings": settings, "keep": 0.5})
assert "torch" not in sys.modules  # So that asking for a key is cheap.
print(call.key, fold("init", 0, *sorted(settings)))
"""


def test_keys_are_the_same_in_every_process():
    answers = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert answers == {"cut:1cf23b110951e22d 328096680221150009221989254294710671963\n"}
