"""Units matched between networks of different widths: by brute force, and with twins whose order is known."""

import itertools

import numpy as np
import pytest
import torch

from tests.moves.test_permuting import NETS, drawn
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.core.layout import Arch
from tombola.moves.matching import Matching, assigned, matching, straight
from tombola.moves.permuting import gathered, permuted, sizes


def all_choices(places: int, units: int) -> list[tuple[int, ...]]:
    """Every way to name a unit at each place: each as often as any other, or once more."""
    fewest, most = places // units, -(-places // units)
    found = itertools.product(range(units), repeat=places)
    return [one for one in found if all(fewest <= one.count(unit) <= most for unit in range(units))]


@pytest.mark.parametrize(("places", "units"), [(3, 3), (2, 4), (4, 2), (5, 2), (5, 3), (5, 4), (3, 1)])
def test_what_is_assigned_is_the_best_of_all(places: int, units: int):
    for seed in range(5):
        gains = np.random.default_rng(seed).standard_normal((places, units))
        best = max(all_choices(places, units), key=lambda one: sum(gains[range(places), one]))
        assert assigned(gains).tolist() == list(best)


def test_a_unit_that_is_worth_nothing_has_its_place_all_the_same():
    """Five places of four units: one unit comes twice and none is left out, whatever it costs."""
    gains = np.array([[9.0, 9.0, 9.0, -99.0]] * 5)
    assert sorted(np.bincount(assigned(gains)).tolist()) == [1, 1, 1, 2]


def test_units_as_they_stand():
    found = straight({"a": 2, "b": 5}, {"a": 3, "b": 2})
    assert {name: order.tolist() for name, order in found.items()} == {"a": [0, 1], "b": [0, 1, 0, 1, 0]}


def chosen(arch: Arch, factor: float, seed: int = 3) -> dict[str, np.ndarray]:
    """Units for a network some times as wide, or for the narrower one, in an order that is drawn."""
    rng = np.random.default_rng(seed)
    units = sizes(drawn(arch), arch.layout().axes)
    if factor < 1:
        return {group: rng.permutation(n)[: int(n * factor)] for group, n in units.items()}
    return {group: rng.permutation(np.arange(int(n * factor)) % n) for group, n in units.items()}


@pytest.mark.parametrize("factor", [0.5, 2, 3])
@pytest.mark.parametrize("arch", NETS, ids=str)
def test_the_units_of_a_twin_are_found_again(arch: Arch, factor: float):
    """Of random weights in many dimensions no two units are alike: those of the twin are the only ones that fit."""
    state, axes, units = drawn(arch), arch.layout().axes, chosen(arch, factor)
    twin = gathered(state, axes, units)
    found = matching(twin, state, axes, starts=20)
    assert found.after == pytest.approx(sum(float(twin[n].double().square().sum()) for n in axes if any(axes[n])))
    assert {name: order.tolist() for name, order in found.permutations.items()} == {
        name: order.tolist() for name, order in units.items()
    }
    assert found.before < found.after and 0 < found.moved <= 1


def test_gathered_with_each_unit_once_is_permuted():
    arch = ResNet(depth=8, width=4)
    state, units = drawn(arch), chosen(arch, 1)
    one, other = (of(state, arch.layout().axes, units) for of in (gathered, permuted))
    assert list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
    assert matching(state, state, arch.layout().axes).moved == 0


def test_a_unit_that_there_is_not():
    axes = {"one.weight": ("one", ""), "head.weight": ("", "one")}
    state = {"one.weight": torch.ones(2, 1), "head.weight": torch.ones(1, 2)}
    for units in ([0, 2], [-1, 0]):
        with pytest.raises(Refused, match="'one' has units 0 to 1"):
            gathered(state, axes, {"one": np.array(units)})


def test_what_is_more_than_another_width_is_refused():
    one, other = Mlp(hidden=(6, 4)), Mlp(hidden=(12, 4))
    there = {**drawn(other), "head.weight": torch.zeros(7, 4, dtype=torch.float64)}
    with pytest.raises(Refused, match=r"'head.weight' has shape \(7, 4\) in one network and \(5, 4\) in the other"):
        matching(there, drawn(one), one.layout().axes)


def test_what_moved_is_counted_from_the_first_order():
    orders = {"a": np.array([0, 1, 0, 1]), "b": np.array([1, 0])}
    first = {"a": np.array([0, 1, 0, 1]), "b": np.array([0, 1])}
    assert Matching(orders, first, 0.0, 1.0, 1).moved == pytest.approx(2 / 6)


def test_units_that_stand_side_by_side_are_told_apart():
    """Both layers are matched by what reads them alone, where those of the second stand behind those of the first."""
    axes = {"a.weight": ("a", ""), "b.weight": ("b", ""), "head.weight": ("", "a+b")}
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (2, 1), "b.weight": (3, 1), "head.weight": (9, 5)}
    state = {name: torch.from_numpy(rng.standard_normal(shape)) for name, shape in shapes.items()}
    units = {"a": np.array([1, 0, 1]), "b": np.array([2, 0, 1, 2])}
    found = matching(gathered(state, axes, units), state, axes, tensors=["head.weight"])
    assert {name: order.tolist() for name, order in found.permutations.items()} == {"a": [1, 0, 1], "b": [2, 0, 1, 2]}
