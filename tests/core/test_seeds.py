import numpy as np
import pytest

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, fold, numbers


def test_golden_numbers():
    """If these change, no result can be made again."""
    assert fold() == 17304863015405863961725489222231309182
    assert fold("init", 0) == 29361338299652174806292072797169200544
    assert numbers("order", 0, 3).permutation(8).tolist() == [5, 2, 3, 6, 4, 7, 1, 0]
    assert numbers("init", 0, "weight").standard_normal(3, dtype=np.float32).tolist() == [
        -0.09532991796731949,
        0.5073121190071106,
        0.47115418314933777,
    ]
    assert numbers("augment", 1).integers(0, 1000, 4).tolist() == [53, 588, 556, 280]
    assert numbers("x").random(2).tolist() == [0.6152843765054374, 0.5316172282664997]


def test_names_order_and_types_count():
    names = [
        (),
        ("a",),
        ("a", "b"),
        ("b", "a"),
        ("ab",),
        ("a", 1),
        ("a", "1"),
        (1,),
        ("1",),
        ("[1]",),
        ("a,b",),
        ("é",),
    ]
    assert len({fold(*n) for n in names}) == len(names)
    assert all(0 <= fold(*n) < 2**128 for n in names)


def test_asking_in_any_order_gives_the_same():
    first = {name: numbers(name, 0).random(4).tolist() for name in "abc"}
    interleaved = {name: numbers(name, 0) for name in "cba"}
    drawn: dict[str, list[float]] = {name: [] for name in "abc"}
    for _ in range(4):
        for name, rng in interleaved.items():
            drawn[name].append(rng.random())
    assert drawn == first


def test_streams():
    seeds = Seeds(3, data=7)
    assert [seeds.stream(p) for p in ("init", "data", "augment", "reinit")] == [3, 7, 3, 3]
    assert [Seeds(1, 2, 3, 4, 5).stream(p) for p in ("init", "data", "augment", "reinit")] == [2, 3, 4, 5]
    assert Seeds(5, init=0).stream("init") == 0
    with pytest.raises(KeyError):
        seeds.stream("other")
    with pytest.raises(Refused, match="seeds: field 'seed' is 1.5"):
        Seeds(1.5)  # type: ignore[arg-type]
