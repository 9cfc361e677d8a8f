"""Units in another order: networks permuted, and the order in which one network's units are most like another's.

Exchanging the units of a layer, with all that they write and read, changes a network's weights and not what it
computes. `Layout.axes` says what moves together; nothing here knows more of a network.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import side_by_side
from tombola.core.seeds import numbers

Axes = Mapping[str, tuple[str, ...]]
Permutations = Mapping[str, np.ndarray]
"""For each permutation of a layout, the old unit that stands at each place."""
Scale = Literal["plain", "unit"]
SCALES = ("plain", "unit")
TINY = 1e-12
"""A gain below this part of all that could be gained is rounding: without it two ties would change places for ever."""


@dataclasses.dataclass(frozen=True)
class Matching:
    """The permutations that bring one network closest to another, and how close that is.

    `before` and `after` are the total that was maximised, at the old order and at the found one; `sweeps` says how
    often all permutations were gone through, the last time without finding anything.
    """

    permutations: Permutations
    before: float
    after: float
    sweeps: int

    @property
    def moved(self) -> float:
        """The fraction of units that have another place."""
        units = sum(map(len, self.permutations.values()))
        return sum(int((p != np.arange(len(p))).sum()) for p in self.permutations.values()) / units


def sizes(state: Mapping[str, Tensor], axes: Axes) -> dict[str, int]:
    """The number of units of each permutation: the length of the shortest axis that it acts on.

    Raises:
        Refused: If another such axis is not a whole number of times as long, or a tensor has other axes.

    Example:
        >>> sizes(
        ...     {"conv.weight": torch.zeros(2, 1, 3, 3), "head.weight": torch.zeros(5, 8)},
        ...     {"conv.weight": ("conv", "", "", ""), "head.weight": ("", "conv")},
        ... )
        {'conv': 2}
    """
    found: dict[str, int] = {}
    for name, groups in axes.items():
        if state[name].dim() != len(groups):
            raise Refused(
                f"'{name}' has {state[name].dim()} axes and the layout names {len(groups)} of it: {groups}. "
                "Give the layout of this network."
            )
        for axis, group in enumerate(groups):
            if len(side_by_side(group)) == 1:
                found[group] = min(state[name].shape[axis], found.get(group, state[name].shape[axis]))
    for name, groups in axes.items():
        for axis, group in enumerate(groups):
            sides = side_by_side(group)
            if lost := [one for one in sides if one not in found]:
                raise Refused(f"'{lost[0]}' acts beside others on '{name}' and nowhere alone: it has no known length.")
            units = sum(found[one] for one in sides)
            if sides and state[name].shape[axis] % max(units, 1):
                raise Refused(
                    f"axis {axis} of '{name}' has a length of {state[name].shape[axis]}, and '{group}', which acts on "
                    f"it, {units} units. An axis has as many numbers for each unit."
                )
    return found


def permuted(state: Mapping[str, Tensor], axes: Axes, permutations: Permutations) -> dict[str, Tensor]:
    """A state dict, or a mask, with the units of some permutations in another order.

    Each permutation moves every axis that carries it; an axis k times as long moves in runs of k. What has no axes in
    the layout stays as it is.

    Args:
        permutations: For each one, the old unit at each place; those that are not named move nothing.

    Raises:
        Refused: If a permutation is not one of the layout's, or does not name each unit once.

    Example:
        >>> axes = {"one.weight": ("one", ""), "head.weight": ("", "one")}
        >>> state = {"one.weight": torch.tensor([[1.0], [2.0]]), "head.weight": torch.tensor([[3.0, 4.0]])}
        >>> {name: value.tolist() for name, value in permuted(state, axes, {"one": np.array([1, 0])}).items()}
        {'one.weight': [[2.0], [1.0]], 'head.weight': [[4.0, 3.0]]}
    """
    here = {name: groups for name, groups in axes.items() if name in state}  # A mask has the prunable tensors only.
    own = sizes(state, here)
    known = {one for groups in axes.values() for group in groups for one in side_by_side(group)}
    for group, order in permutations.items():
        if group not in known:
            raise Refused(f"no permutation of this network is called '{group}'. There are: {_listed(known)}.")
        if group in own and not np.array_equal(np.sort(order), np.arange(own[group])):
            raise Refused(f"the order of '{group}' must name each of its {own[group]} units once.")
    return {name: _ordered(value, here.get(name, ()), permutations, own) for name, value in state.items()}


def matching(
    fixed: Mapping[str, Tensor],
    moving: Mapping[str, Tensor],
    axes: Axes,
    *,
    tensors: Collection[str] = (),
    scale: Scale = "plain",
    starts: int = 1,
    seed: int = 0,
) -> Matching:
    """Weight matching: the order of the second network's units that is most like the first (Ainsworth et al. 2023).

    Maximised is the sum over tensors of <first, permuted second>, which minimises their distance. Their section 3.2,
    algorithm 1: one permutation at a time, given all others, is a linear assignment; permutations are gone through in
    an order that is drawn, until none moves. The sum never falls, and what is found is an optimum of each permutation
    by itself, not of all of them. Computed in double precision.

    Args:
        tensors: Which tensors enter the sum; none named: all that a permutation acts on. The original has what is
            learned (weights, biases, scales and shifts of norms); some ports have running statistics in it too, where
            variances can outweigh all else.
        scale: "plain", as in the original; "unit": each tensor divided by its norm, so that each has equal say.
        starts: From how many orders the search begins: the given one, then ones that are drawn. The best is kept.
        seed: Of all that is drawn.

    Raises:
        Refused: If the networks differ, or their layout lets nothing permute.

    Example:
        >>> axes = {"one.weight": ("one", ""), "head.weight": ("", "one")}
        >>> first = {"one.weight": torch.tensor([[1.0], [5.0]]), "head.weight": torch.tensor([[2.0, 3.0]])}
        >>> found = matching(first, permuted(first, axes, {"one": np.array([1, 0])}), axes)
        >>> found.permutations["one"].tolist(), found.after, found.moved
        ([1, 0], 39.0, 1.0)
    """
    pair = _Pair(fixed, moving, axes, tensors, scale)
    if starts < 1:
        raise Refused(f"matching begins from {starts} orders. It must be 1 or more.")
    straight = {group: np.arange(size) for group, size in pair.units.items()}
    before, found = pair.total(straight), list[Matching]()
    for start in range(starts):
        first = straight
        if start:
            first = {g: numbers("matching", seed, start, g).permutation(n) for g, n in pair.units.items()}
        found.append(_climbed(pair, first, before, seed, start))
    return max(found, key=lambda one: one.after)  # The first of equal ones.


def _climbed(pair: "_Pair", first: Permutations, before: float, seed: int, start: int) -> Matching:
    """Coordinate descent from one order until nothing moves."""
    now, sweeps, moving = dict(first), 0, True
    groups = sorted(now)
    while moving:
        moving = False
        for place in numbers("matching", seed, start, "sweep", sweeps).permutation(len(groups)):
            group = groups[place]
            gains = pair.gains(group, now)
            rows, columns = linear_sum_assignment(gains, maximize=True)
            assert np.array_equal(rows, np.arange(len(gains)))  # It gives the rows in order.
            better = {**now, group: columns}
            if pair.total(better, of=group) > pair.total(now, of=group) + TINY * pair.most:
                now, moving = better, True
        sweeps += 1
    return Matching(now, before, pair.total(now), sweeps)


class _Pair:
    """Two networks, tensor by tensor, as the sum has them."""

    def __init__(
        self,
        fixed: Mapping[str, Tensor],
        moving: Mapping[str, Tensor],
        axes: Axes,
        tensors: Collection[str],
        scale: Scale,
    ) -> None:
        if not any(any(groups) for groups in axes.values()):
            raise Refused(
                "this network's layout has no permutations, so there is nothing to match: no two of its units can be "
                "exchanged (a layout may leave its axes unnamed). Use an arch whose layout names them."
            )
        free = [name for name, groups in axes.items() if any(groups)]
        if unknown := sorted(set(tensors) - set(free)):
            raise Refused(f"no permutation acts on '{unknown[0]}', so it cannot enter. There are: {_listed(free)}.")
        for name in free:
            if fixed[name].shape != moving[name].shape:
                raise Refused(
                    f"'{name}' has shape {tuple(fixed[name].shape)} in one network and {tuple(moving[name].shape)} in "
                    "the other. Matching is of networks of one architecture and one interface."
                )
        self.axes: Axes = {name: axes[name] for name in free if name in tensors or not tensors}
        self.units = sizes(fixed, {name: axes[name] for name in free})
        self.one, self.two = ({n: _scaled(of[n], scale) for n in self.axes} for of in (fixed, moving))
        self.most = sum(float(self.one[n].norm() * self.two[n].norm()) for n in self.axes)
        """What the sum would be if all tensors were alike (Cauchy and Schwarz)."""

    def gains(self, group: str, now: Permutations) -> np.ndarray:
        """At [i, j] what the sum has from unit j of the second network at place i, with all other orders as they are.

        A tensor on which the permutation acts twice counts with each axis in turn, the other one as it is now.
        """
        size = self.units[group]
        total = torch.zeros(size, size, dtype=torch.float64)
        for name, axis, start in _places(self.axes, group, self.units):
            others = tuple("" if i == axis else g for i, g in enumerate(self.axes[name]))
            second = _ordered(self.two[name], others, now, self.units)
            run = second.shape[axis] // sum(self.units[one] for one in side_by_side(self.axes[name][axis]))
            parts = (x.narrow(axis, start * run, size * run) for x in (self.one[name], second))
            one, two = (x.movedim(axis, 0).reshape(size, -1) for x in parts)
            total += one @ two.T
        return total.numpy()

    def total(self, now: Permutations, *, of: str = "") -> float:
        """The sum; or only the part on which one permutation acts."""
        acts = {name: {one for group in groups for one in side_by_side(group)} for name, groups in self.axes.items()}
        names = [name for name in self.axes if not of or of in acts[name]]
        return sum(float((self.one[n] * _ordered(self.two[n], self.axes[n], now, self.units)).sum()) for n in names)


def cosines(fixed: Mapping[str, Tensor], moving: Mapping[str, Tensor], tensors: Collection[str]) -> dict[str, float]:
    """How alike two networks are as they stand, tensor by tensor: 1 is alike, 0 unrelated (or all zero).

    Example:
        >>> cosines({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([4.0, 3.0])}, ["w"])
        {'w': 0.96}
    """
    found: dict[str, float] = {}
    for name in tensors:
        one, two = fixed[name].double(), moving[name].double()
        found[name] = float((one * two).sum() / (one.norm() * two.norm()).clamp(min=1e-300))
    return found


def _places(axes: Axes, group: str, units: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Each axis on which a permutation acts: the tensor, the axis, how many units of others stand before its own."""
    for name, groups in axes.items():
        for axis, named in enumerate(groups):
            start = 0
            for one in side_by_side(named):
                if one == group:
                    yield name, axis, start
                start += units[one]


def _ordered(value: Tensor, groups: tuple[str, ...], orders: Permutations, units: Mapping[str, int]) -> Tensor:
    for axis, named in enumerate(groups):
        sides = side_by_side(named)
        if all(one not in orders or np.array_equal(orders[one], np.arange(units[one])) for one in sides):
            continue
        rows, start = list[np.ndarray](), 0
        for one in sides:
            rows.append(start + orders.get(one, np.arange(units[one])))
            start += units[one]
        run = value.shape[axis] // start
        places = (np.concatenate(rows)[:, None] * run + np.arange(run)).reshape(-1)
        value = value.index_select(axis, torch.from_numpy(places))
    return value


def _scaled(value: Tensor, scale: Scale) -> Tensor:
    exact = value.detach().double()
    norm = float(exact.norm())
    return exact / norm if scale == "unit" and norm else exact


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
