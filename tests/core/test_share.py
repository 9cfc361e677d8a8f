import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core.errors import Refused
from tombola.core.share import apportion, erk_wishes, igq_wishes


@pytest.mark.parametrize(
    "wishes, caps, total, counts",
    [
        ({"a": 1, "b": 1, "c": 2}, {"a": 100, "b": 100, "c": 100}, 8, {"a": 2, "b": 2, "c": 4}),
        ({"a": 1, "b": 1, "c": 2}, {"a": 100, "b": 2, "c": 100}, 14, {"a": 4, "b": 2, "c": 8}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 9, "b": 9, "c": 9}, 10, {"a": 4, "b": 3, "c": 3}),  # Ties by order.
        ({"a": 1, "b": 2}, {"a": 9, "b": 9}, 4, {"a": 1, "b": 3}),  # 1.33 and 2.67: the largest remainder.
        ({"a": 1, "b": 1}, {"a": 1, "b": 9}, 4, {"a": 1, "b": 3}),  # A share of exactly one above the cap.
        ({"a": 1, "b": 10, "c": 10}, {"a": 50, "b": 5, "c": 8}, 20, {"a": 7, "b": 5, "c": 8}),  # Filled in turn.
        ({"a": 1, "b": 1}, {"a": 3, "b": 4}, 7, {"a": 3, "b": 4}),
        ({"a": 1, "b": 1}, {"a": 3, "b": 4}, 0, {"a": 0, "b": 0}),
        ({"a": 0, "b": 1}, {"a": 3, "b": 4}, 6, {"a": 2, "b": 4}),  # What nobody wished for goes where there is room.
        ({"a": 0, "b": 0}, {"a": 3, "b": 4}, 3, {"a": 2, "b": 1}),
        ({}, {}, 0, {}),
    ],
)  # fmt: skip
def test_by_hand(wishes: dict[str, float], caps: dict[str, int], total: int, counts: dict[str, int]):
    assert apportion({name: float(wish) for name, wish in wishes.items()}, caps, total) == counts


def test_more_than_there_is():
    with pytest.raises(Refused, match="8 weights asked for, 7 are there."):
        apportion({"a": 1.0, "b": 1.0}, {"a": 3, "b": 4}, 8)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 200)), min_size=1, max_size=8), st.floats(0, 1))
def test_shares(tensors: list[tuple[float, int]], fraction: float):
    wishes = {str(i): wish for i, (wish, _) in enumerate(tensors)}
    caps = {str(i): cap for i, (_, cap) in enumerate(tensors)}
    total = round(fraction * sum(caps.values()))
    counts = apportion(wishes, caps, total)
    assert list(counts) == list(wishes)
    assert sum(counts.values()) == total
    assert all(0 <= counts[name] <= caps[name] for name in caps)
    open_ = [name for name in caps if counts[name] < caps[name] and wishes[name] > 0]
    rates = [(counts[name] / wishes[name], 1 / wishes[name]) for name in open_]
    for rate, unit in rates:  # Whatever is not full is in proportion, but for one weight of rounding each.
        assert all(rate <= other + 1.001 * (unit + step) for other, step in rates)


def test_erk_by_hand():
    """The densities of RigL, section 3: proportional to (n_in + n_out + h + w) / (n_in n_out h w)."""
    shapes = {"conv": (16, 3, 3, 3), "linear": (10, 64)}
    wishes = erk_wishes(shapes)
    assert wishes == {"conv": 25.0, "linear": 74.0}
    densities = {name: wishes[name] / math.prod(shape) for name, shape in shapes.items()}
    assert math.isclose(densities["conv"] / densities["linear"], (25 / 432) / (74 / 640))
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    assert apportion(wishes, sizes, 99) == {"conv": 25, "linear": 74}
    assert apportion(wishes, sizes, 990) == {"conv": 350, "linear": 640}  # The linear layer is full.


def test_igq_by_hand():
    """F = 1/10 makes 1 / (1/10 + 1/10) = 5 of 10 weights, and 1 / (1/10 + 1/90) = 9 of 90."""
    sizes = {"a": 10, "b": 90}
    assert igq_wishes(sizes, sizes, 14) == pytest.approx({"a": 5, "b": 9}, rel=1e-12)
    assert igq_wishes(sizes, sizes, 100) == pytest.approx({"a": 10, "b": 90}, rel=1e-12)
    assert igq_wishes(sizes, {"a": 3, "b": 90}, 14) == pytest.approx({"a": 3, "b": 11}, rel=1e-12)
    assert sum(igq_wishes(sizes, sizes, 0).values()) <= 0.5
    assert igq_wishes({}, {}, 0) == {}
    assert igq_wishes({"a": 0, "b": 90}, {"a": 0, "b": 90}, 9) == pytest.approx({"a": 0, "b": 9})


@given(st.lists(st.tuples(st.integers(1, 10**8), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0, 1))
def test_igq_meets_the_total_with_one_force(tensors: list[tuple[int, float]], fraction: float):
    sizes = {str(i): size for i, (size, _) in enumerate(tensors)}
    caps = {str(i): round(size * living) for i, (size, living) in enumerate(tensors)}
    total = round(fraction * sum(caps.values()))
    wishes = igq_wishes(sizes, caps, total)
    if total:
        assert sum(wishes.values()) == pytest.approx(total, rel=1e-9)
        forces = [1 / wishes[n] - 1 / sizes[n] for n in sizes if 0 < wishes[n] < caps[n]]
        assert forces == pytest.approx(forces[:1] * len(forces), rel=1e-6, abs=1e-9)
    counts = apportion(wishes, caps, total)
    assert sum(counts.values()) == total
    assert all(abs(counts[n] - wishes[n]) < 1.001 for n in sizes) or not total
