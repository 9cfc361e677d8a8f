"""The order in which one network's units are most like another's (weight matching), of equal or of other widths."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import side_by_side
from tombola.core.seeds import numbers
from tombola.moves.permuting import Axes, Permutations, listed, ordered, places, sizes

Scale = Literal["plain", "unit"]
SCALES = ("plain", "unit")
TINY = 1e-12
"""A gain below this part of all that could be gained is rounding: without it two ties would change places for ever."""


@dataclasses.dataclass(frozen=True)
class Matching:
    """The permutations that bring one network closest to another, and how close that is.

    `before` and `after` are the total that was maximised, at the order `first` and at the found one; `sweeps` says how
    often all permutations were gone through, the last time without finding anything.
    """

    permutations: Permutations
    first: Permutations
    before: float
    after: float
    sweeps: int

    @property
    def moved(self) -> float:
        """The fraction of units that have another place than at first."""
        units = sum(map(len, self.permutations.values()))
        return sum(int((p != self.first[group]).sum()) for group, p in self.permutations.items()) / units


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

    The first network may be wider or narrower. Units of the second then come as often as each other, or once more, or
    are left out; what is compared is still place by place.

    Args:
        tensors: Which tensors enter the sum; none named: all that a permutation acts on. The original has what is
            learned (weights, biases, scales and shifts of norms); some ports have running statistics in it too, where
            variances can outweigh all else.
        scale: "plain", as in the original; "unit": each tensor divided by its norm, so that each has equal say.
        starts: From how many orders the search begins: the given one, then ones that are drawn. The best is kept.
        seed: Of all that is drawn.

    Raises:
        Refused: If the networks differ in more than widths, or their layout lets nothing permute.

    Example:
        >>> from tombola.moves.permuting import permuted
        >>> axes = {"one.weight": ("one", ""), "head.weight": ("", "one")}
        >>> first = {"one.weight": torch.tensor([[1.0], [5.0]]), "head.weight": torch.tensor([[2.0, 3.0]])}
        >>> found = matching(first, permuted(first, axes, {"one": np.array([1, 0])}), axes)
        >>> found.permutations["one"].tolist(), found.after, found.moved
        ([1, 0], 39.0, 1.0)
    """
    pair = _Pair(fixed, moving, axes, tensors, scale)
    if starts < 1:
        raise Refused(f"matching begins from {starts} orders. It must be 1 or more.")
    first = straight(pair.places, pair.units)
    before, found = pair.total(first), list[Matching]()
    for start in range(starts):
        begin = first
        if start:
            begin = {group: _drawn(pair, group, seed, start) for group in first}
        now, sweeps = _climbed(pair, begin, seed, start)
        found.append(Matching(now, first, before, pair.total(now), sweeps))
    return max(found, key=lambda one: one.after)  # The first of equal ones.


def straight(places: Mapping[str, int], units: Mapping[str, int]) -> Permutations:
    """Units on places as they stand: the first ones where places are fewer, all in turn where they are more.

    Example:
        >>> straight({"one": 5}, {"one": 3})["one"].tolist()
        [0, 1, 2, 0, 1]
    """
    return {group: np.arange(size) % units[group] for group, size in places.items()}


def assigned(gains: np.ndarray) -> np.ndarray:
    """The unit for each place that makes the sum of gains largest; each comes once.

    Where there are more units than places, each comes once at most. Where there are fewer, each comes as often as any
    other one, or once more.

    Args:
        gains: At [i, j] what there is from unit j at place i, (places, units).

    Example:
        >>> assigned(np.array([[9.0, 0.0], [8.0, 0.0], [7.0, 6.0]])).tolist()
        [0, 0, 1]
    """
    rows, units = gains.shape
    if rows <= units:
        return linear_sum_assignment(gains, maximize=True)[1]
    rounds, more = divmod(rows, units)
    whole = np.tile(gains, rounds + (more > 0))
    if more:  # Places that are none take what is left over of the last round, and of no other.
        none = np.full((units - more, whole.shape[1]), -np.inf)
        none[:, -units:] = 0.0
        whole = np.concatenate([whole, none])
    return linear_sum_assignment(whole, maximize=True)[1][:rows] % units


def _drawn(pair: "_Pair", group: str, seed: int, start: int) -> np.ndarray:
    places, units = pair.places[group], pair.units[group]
    return numbers("matching", seed, start, group).permutation(max(places, units))[:places] % units


def _climbed(pair: "_Pair", first: Permutations, seed: int, start: int) -> tuple[Permutations, int]:
    """Coordinate descent from one order until nothing moves; the order, and how many sweeps it took."""
    now, sweeps, moving = dict(first), 0, True
    groups = sorted(now)
    while moving:
        moving = False
        for place in numbers("matching", seed, start, "sweep", sweeps).permutation(len(groups)):
            group = groups[place]
            better = {**now, group: assigned(pair.gains(group, now))}
            if pair.total(better, of=group) > pair.total(now, of=group) + TINY * pair.most:
                now, moving = better, True
        sweeps += 1
    return now, sweeps


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
            raise Refused(f"no permutation acts on '{unknown[0]}', so it cannot enter. There are: {listed(free)}.")
        self.places, self.units = (sizes(of, {name: axes[name] for name in free}) for of in (fixed, moving))
        for name in free:
            if self._runs(fixed[name], axes[name], self.places) != self._runs(moving[name], axes[name], self.units):
                raise Refused(
                    f"'{name}' has shape {tuple(fixed[name].shape)} in one network and {tuple(moving[name].shape)} in "
                    "the other. Matching is of networks that differ in the number of their units at most, for one "
                    "interface."
                )
        self.axes: Axes = {name: axes[name] for name in free if name in tensors or not tensors}
        self.one, self.two = ({n: _scaled(of[n], scale) for n in self.axes} for of in (fixed, moving))
        self.most = sum(float(self.one[n].norm() * self.two[n].norm()) for n in self.axes)
        """What the sum would be if all tensors were alike (Cauchy and Schwarz)."""

    @staticmethod
    def _runs(value: Tensor, groups: tuple[str, ...], units: Mapping[str, int]) -> tuple[int, ...]:
        """What is left of a tensor's shape when units are counted as one."""
        named = [sum(units[one] for one in side_by_side(group)) for group in groups]
        return tuple(length // (number or 1) for length, number in zip(value.shape, named, strict=True))

    def gains(self, group: str, now: Permutations) -> np.ndarray:
        """At [i, j] what the sum has from unit j of the second network at place i, with all other orders as they are.

        A tensor on which the permutation acts twice counts with each axis in turn, the other one as it is now.
        """
        here, there = self.places[group], self.units[group]
        total = torch.zeros(here, there, dtype=torch.float64)
        for name, axis, before in places(self.axes, group):
            named = self.axes[name]
            sides, others = side_by_side(named[axis]), tuple("" if i == axis else g for i, g in enumerate(named))
            second = ordered(self.two[name], others, now, self.units)
            one = _part(self.one[name], axis, sides, before, self.places)
            two = _part(second, axis, sides, before, self.units)
            total += one @ two.T
        return total.numpy()

    def total(self, now: Permutations, *, of: str = "") -> float:
        """The sum; or only the part on which one permutation acts."""
        acts = {name: {one for group in groups for one in side_by_side(group)} for name, groups in self.axes.items()}
        names = [name for name in self.axes if not of or of in acts[name]]
        return sum(float((self.one[n] * ordered(self.two[n], self.axes[n], now, self.units)).sum()) for n in names)


def _scaled(value: Tensor, scale: Scale) -> Tensor:
    exact = value.detach().double()
    norm = float(exact.norm())
    return exact / norm if scale == "unit" and norm else exact


def _part(value: Tensor, axis: int, sides: tuple[str, ...], before: int, units: Mapping[str, int]) -> Tensor:
    """What the units of a permutation have of a tensor, a row for each, where others may stand beside them."""
    run = value.shape[axis] // sum(units[one] for one in sides)
    start, number = sum(units[one] for one in sides[:before]), units[sides[before]]
    return value.narrow(axis, start * run, number * run).movedim(axis, 0).reshape(number, -1)
