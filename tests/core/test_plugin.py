import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import pytest

from tombola.core.errors import Refused
from tombola.core.plugin import fit, is_plugin, plugin, registration, text_of
from tombola.core.seeds import Seeds


class Ramp(Protocol):
    """A protocol with a method, a property and a call."""

    slope: float

    @property
    def ends(self) -> int:
        """Computed, at a cost."""
        ...

    def at(self, step: int) -> float:
        """A value."""
        ...


class Callme(Protocol):
    """A protocol with nothing but a call."""

    def __call__(self, ticket: int) -> int:
        """Something."""
        ...


class Good:
    def __init__(self) -> None:
        self.slope = 1.0

    @property
    def ends(self) -> int:
        raise AssertionError("this must not be computed")

    def at(self, step: int) -> float:
        return 0.0


@pytest.mark.parametrize(
    "value, hint, fitted",
    [
        (1, int, 1), (1, float, 1.0), (1.5, float, 1.5), ("a", str, "a"), (True, bool, True), (None, int | None, None),
        (1, int | str, 1), ("2ep", int | str, "2ep"), ("a", Literal["a", "b"], "a"), (3, Literal[1, 3], 3),
        ([1, 2], tuple[int, ...], (1, 2)), ((1, 2), tuple[float, ...], (1.0, 2.0)), ((), tuple[int, ...], ()),
        ((1, 0.5), tuple[float, float], (1.0, 0.5)), ([["a"]], tuple[tuple[str, ...], ...], (("a",),)),
        (2, float | None, 2.0), (2**62, float, 2.0**62), (Seeds(1), Seeds, Seeds(1)), (object, Any, object),
        (len, Callable[..., Any], len), (Good, type, Good), (print, Callme, print),
    ],
)  # fmt: skip
def test_fit(value: Any, hint: Any, fitted: Any):
    result = fit(value, hint, where="x")
    assert result == fitted
    assert repr(result) == repr(fitted)  # 1 and 1.0 are equal, but not the same.


@pytest.mark.parametrize(
    "value, hint, message",
    [
        (1.0, int, "x is 1.0 (float). It must be of type int."),
        (True, int, "x is True (bool). It must be of type int."),
        (True, float, "x is True (bool). It must be of type float."),
        (1, bool, "x is 1 (int). It must be of type bool."),
        (1, str, "x is 1 (int). It must be of type str."),
        ("1", int, "x is '1' (str). It must be of type int."),
        (None, int, "x is None (NoneType). It must be of type int."),
        (np.float64(1), float, "x is np.float64(1.0) (float64). It must be of type float."),
        (math.nan, float, "x is nan. It must be a finite number."),
        (-math.inf, float, "x is -inf. It must be a finite number."),
        ("c", Literal["a", "b"], "x is 'c'. It must be one of: 'a', 'b'."),
        (True, Literal[1, 3], "x is True. It must be one of: 1, 3."),
        ((1, "a"), tuple[int, ...], "x is 'a' (str). It must be of type int."),
        (5, tuple[int, ...], "x is 5 (int). It must be of type tuple[int, ...]."),
        ("ab", tuple[str, ...], "x is 'ab' (str). It must be of type tuple[str, ...]."),
        ((0.5,), tuple[float, float], "x is (0.5,) (tuple). It must be of type tuple[float, float]."),
        (0.5, int | str, "x is 0.5 (float). It must be of type int | str."),
        (5, Seeds, "x is 5 (int). It must be of type Seeds."),
        (Seeds(), Ramp, "x is seeds() (Seeds). It must be of type Ramp."),
        (5, Callme, "x is 5 (int). It must be of type Callme."),
    ],
)
def test_misfits(value: Any, hint: Any, message: str):
    with pytest.raises(Refused) as caught:
        fit(value, hint, where="x")
    assert str(caught.value) == message


def test_an_int_too_large_for_a_float_is_refused():
    with pytest.raises(Refused, match=r"\(int\). It must be of type float."):
        fit(10**400, float, where="x")


def test_protocols_are_judged_without_computing_anything():
    good = Good()
    assert fit(good, Ramp, where="x") is good


def test_a_plug_in_is_a_frozen_keyword_only_dataclass(scratch: None):
    @plugin("example", "frozen_one", version=3)
    class Frozen:
        a: int
        b: float = 1

    with pytest.raises(TypeError):
        Frozen(1)  # type: ignore[misc]
    made = Frozen(a=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.a = 2  # type: ignore[misc]
    assert (made, hash(made), str(made), repr(made)) == (Frozen(a=1), hash(Frozen(a=1)), "frozen_one(a=1)", str(made))
    assert repr(made.b) == "1.0"
    assert is_plugin(made) and not is_plugin(Frozen) and not is_plugin(object())
    assert dataclasses.astuple(registration(Frozen)) == ("example", "frozen_one", 3)
    with pytest.raises(Refused, match="frozen_one: field 'a' is 'x'"):
        Frozen(a="x")


def test_checks_of_the_plug_in_come_after_ours(scratch: None):
    seen: list[Any] = []

    @plugin("example", "parent_of_checks")
    class Parent:
        a: tuple[int, ...] = ()

        def __post_init__(self) -> None:
            seen.append(("parent", self.a))

    @plugin("example", "child_of_checks")
    class Child(Parent):
        b: int = 1

    @plugin("example", "grandchild_of_checks")
    class Grandchild(Child):
        def __post_init__(self) -> None:
            seen.append(("grandchild", self.a))
            super().__post_init__()

    Child(a=[1])  # type: ignore[arg-type]
    Grandchild(a=[2])  # type: ignore[arg-type]
    assert seen == [("parent", (1,)), ("grandchild", (2,)), ("parent", (2,))]
    assert str(Grandchild(b=3)) == "grandchild_of_checks(b=3)"


def test_two_plug_ins_of_one_name_are_refused(scratch: None):
    @plugin("example", "twice")
    class First:
        pass

    with pytest.raises(Refused, match=r"two plug-ins are called example 'twice': .*First and .*Second. Rename one."):

        @plugin("example", "twice")
        class Second:
            pass

    assert is_plugin(First())


def test_texts_of_values(scratch: None):
    @plugin("example", "nester")
    class Nester:
        inner: Any = None
        words: tuple[Any, ...] = ()

    assert text_of(Nester(inner=Seeds(1))) == "nester(inner=seeds(seed=1))"
    assert text_of(Nester(words=(Seeds(), "a"))) == "nester(words=(seeds(), 'a'))"
    assert text_of((Seeds(),)) == "(seeds(),)"
    assert text_of(("a", 1.0, -1, None, True)) == "('a', 1.0, -1, None, True)"
