"""Units in another order: networks permuted, widened and narrowed by the permutations of their layout.

Exchanging the units of a layer, with all that they write and read, changes a network's weights and not what it
computes. `Layout.axes` says what moves together; nothing here knows more of a network.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import side_by_side

Axes = Mapping[str, tuple[str, ...]]
Permutations = Mapping[str, np.ndarray]
"""For each permutation of a layout, the old unit that stands at each place."""


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
            raise Refused(f"no permutation of this network is called '{group}'. There are: {listed(known)}.")
        if group in own and not np.array_equal(np.sort(order), np.arange(own[group])):
            raise Refused(f"the order of '{group}' must name each of its {own[group]} units once.")
    return {name: ordered(value, here.get(name, ()), permutations, own) for name, value in state.items()}


def gathered(state: Mapping[str, Tensor], axes: Axes, units: Permutations) -> dict[str, Tensor]:
    """A state dict, or a mask, of a wider or narrower network: at each place stands the old unit that is named there.

    As `permuted`, but for units that come twice or not at all.

    Raises:
        Refused: If a unit is named that there is not.

    Example:
        >>> axes = {"one.weight": ("one", ""), "head.weight": ("", "one")}
        >>> state = {"one.weight": torch.tensor([[1.0], [2.0]]), "head.weight": torch.tensor([[3.0, 4.0]])}
        >>> gathered(state, axes, {"one": np.array([1, 0, 1])})["head.weight"].tolist()
        [[4.0, 3.0, 4.0]]
    """
    here = {name: groups for name, groups in axes.items() if name in state}
    own = sizes(state, here)
    for group, chosen in units.items():
        if group in own and (chosen.min() < 0 or chosen.max() >= own[group]):
            raise Refused(f"'{group}' has units 0 to {own[group] - 1}; {chosen.min()} to {chosen.max()} are named.")
    return {name: ordered(value, here.get(name, ()), units, own) for name, value in state.items()}


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


def places(axes: Axes, group: str) -> Iterator[tuple[str, int, int]]:
    """Each axis on which a permutation acts: the tensor, the axis, how many others stand before it there."""
    for name, groups in axes.items():
        for axis, named in enumerate(groups):
            for before, one in enumerate(side_by_side(named)):
                if one == group:
                    yield name, axis, before


def ordered(value: Tensor, groups: tuple[str, ...], orders: Permutations, units: Mapping[str, int]) -> Tensor:
    """A tensor with the units on each of its axes in an order; `units` says how many there are of each."""
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


def listed(names: Collection[str]) -> str:
    """Names for a message."""
    return ", ".join(sorted(names)) or "none"
