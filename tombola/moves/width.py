"""Wider and narrower networks of a family, by the permutation groups of the layout alone.

Chen et al. 2021 (the elastic lottery ticket hypothesis) carry tickets to other depths, and say that other widths are
much harder and open. What a ticket is worth after these moves is therefore a question, and no promise.

All tensors on which a group acts (see `Layout.axes`) gain or lose the same units, masks and batch norm among them.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.expected import expected
from tombola.core.layout import Arch, side_by_side
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.core.ticket import Ticket
from tombola.moves.permuting import gathered

Units = Mapping[str, np.ndarray]
"""For each group, the old unit that stands at each place of the new network."""
Sizes = Mapping[str, int]


@plugin("move", "widen")
class Widen:
    """The ticket in a wider network: new units are copies of old ones, mask and all (Chen, Goodfellow and Shlens 2016).

    Old units come first, in their order. With `weights` "divided", a weight that reads a unit is divided by how often
    the unit is there, so the network computes what it did (Net2WiderNet), in training too: batch norm is
    copied. A layer norm over the units stays the same only if each of them is there equally often.

    Without `noise`, copies of a unit get equal gradients and stay copies for ever: the wide network then trains as a
    narrow one would, with other rates. Chen, Goodfellow and Shlens leave that to dropout, or add a little noise.

    Args:
        to: The network, of other widths and nothing else.
        choose: What new units copy: "spread", the old ones in turn; "random", each one drawn (as in Net2WiderNet).
        seed: Of what is drawn.
        weights: Whether what reads a unit is "divided" by the number of its copies, or "copied" as it is.
        noise: Standard deviation of what is added to living weights that belong to a new unit, in units of the standard
            deviation of all that live in their tensor.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> Widen(to=Mlp(hidden=(600, 200)), noise=0.01)
        widen(to=mlp(hidden=(600, 200)), noise=0.01)
    """

    to: Arch
    choose: Literal["spread", "random"] = "spread"
    seed: int = 0
    weights: Literal["divided", "copied"] = "divided"
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise Refused(f"widen: noise is {self.noise:g}, a standard deviation. It must be 0 or more.")

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket of the wider network; what its new units have, old ones had."""
        old, new = widths("widen", ticket, self.to)
        if fewer := [group for group in new if new[group] < old[group]]:
            raise Refused(_wrong_way("widen", fewer[0], old, new, ticket, self.to, way_out="narrow"))
        units = {group: self._units(group, old[group], new[group]) for group in new}
        wide = _carried(ticket, self.to, units)
        weights = dict(wide.weights)
        if self.weights == "divided":
            copies = {group: np.bincount(places)[places] for group, places in units.items()}
            weights |= {name: _divided(weights[name], groups, copies) for name, groups in _readers(self.to).items()}
        if self.noise:
            weights |= {name: self._noisy(name, weights[name], wide, old, new) for name in wide.mask}
        return wide.rebuilt(weights=weights)

    def _units(self, group: str, old: int, new: int) -> np.ndarray:
        more = np.arange(new - old) % old
        if self.choose == "random":
            more = numbers("widen", self.seed, "units", group).integers(old, size=new - old)
        return np.concatenate([np.arange(old), more])

    def _noisy(self, name: str, value: Tensor, wide: Ticket, old: Sizes, new: Sizes) -> Tensor:
        """The tensor with noise on what lives in new units; a narrower mask gets the same numbers."""
        alive, copied = wide.mask[name], torch.zeros(value.shape, dtype=torch.bool)
        for axis, group in enumerate(wide.arch.layout().axes[name]):
            if group:
                run = value.shape[axis] // new[group]
                copied |= _along(torch.arange(value.shape[axis]) >= old[group] * run, axis, value.dim())
        copied &= alive
        if not copied.any():
            return value
        spread = float(value[alive].double().numpy().std())
        drawn = numbers("widen", self.seed, "noise", name).standard_normal(tuple(value.shape), dtype=np.float32)
        return torch.where(copied, value + (self.noise * spread * torch.from_numpy(drawn)).to(value.dtype), value)


@plugin("move", "narrow")
class Narrow:
    """The ticket in a narrower network: the best units of each group stay, in their old order, mask and all.

    A unit's score is summed over all weights under the mask that it writes or reads, in the ticket as it is, before
    any unit is gone; equal scores fall to the lower index. No weight is changed for what is lost. In front of a batch
    norm, which undoes the scale of what is written to a unit, "norm" still counts it.

    Args:
        to: The network, of other widths and nothing else.
        keep: What stays: "norm", the largest sums of squares of living weights; "density", the most living weights;
            "random", units drawn; "first", the first ones, which after `widen` are the old ones.
        seed: Of what is drawn.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> Narrow(to=Mlp(hidden=(150, 50)), keep="density")
        narrow(to=mlp(hidden=(150, 50)), keep='density')
    """

    to: Arch
    keep: Literal["norm", "density", "random", "first"] = "norm"
    seed: int = 0

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket of the narrower network; all that it has, it had."""
        old, new = widths("narrow", ticket, self.to)
        if more := [group for group in new if new[group] > old[group]]:
            raise Refused(_wrong_way("narrow", more[0], old, new, ticket, self.to, way_out="widen"))
        scores = self._scores(ticket, old)
        best = {group: np.argsort(-scores[group], kind="stable")[: new[group]] for group in new}
        return _carried(ticket, self.to, {group: np.sort(places) for group, places in best.items()})

    def _scores(self, ticket: Ticket, old: Sizes) -> Units:
        if self.keep == "first":
            return {group: np.zeros(size) for group, size in old.items()}
        if self.keep == "random":
            return {group: numbers("narrow", self.seed, group).random(size) for group, size in old.items()}
        axes, scores = ticket.arch.layout().axes, {group: np.zeros(size) for group, size in old.items()}
        for name, alive in ticket.mask.items():
            each = alive if self.keep == "density" else ticket.mask.living(name, ticket.weights[name]).double().square()
            for axis, group in enumerate(axes[name]):
                if group:
                    sums = np.moveaxis(each.numpy(), axis, 0).reshape(old[group], -1).sum(axis=1, dtype=np.float64)
                    scores[group] += sums
        return scores


def widths(move: str, ticket: Ticket, to: Arch) -> tuple[Sizes, Sizes]:
    """The number of units of every group, in the ticket's network and in the other.

    Raises:
        Refused: If the networks differ in more than these.
    """
    here, there = expected(ticket.arch, ticket.io), expected(to, ticket.io)
    way_out = "Choose widths that leave the tensors' names as they are; stretch() changes the depth."
    for name in [*here, *there]:
        if name not in here or name not in there:
            has, lacks = (ticket.arch, to) if name in here else (to, ticket.arch)
            raise Refused(f"{move} changes nothing but widths, and {has} has '{name}', which {lacks} lacks. {way_out}")
    ours, theirs = ticket.arch.layout().axes, to.layout().axes
    for name, groups in ours.items():
        if beside := [group for group in groups if len(side_by_side(group)) > 1]:
            raise Refused(
                f"{move}: on an axis of '{name}' units of several layers stand side by side ({beside[0]}), which is "
                "not known here. Use a network of layers in a row."
            )
    old, new = _groups(here, ours), _groups(there, theirs)
    for name, (shape, _) in here.items():
        other, groups = there[name][0], ours.get(name, ("",) * len(shape))
        differ = f"{move}: '{name}' has shape {shape} in {ticket.arch} and {other} in {to}"
        if groups != theirs.get(name, ("",) * len(other)) or len(shape) != len(other):
            raise Refused(f"{differ}, and other units on its axes. Both must be networks of one family.")
        for axis, group in enumerate(groups):
            if not group and shape[axis] != other[axis]:
                raise Refused(
                    f"{differ}, and no units that could be chosen on axis {axis}: its layout lets nothing permute that "
                    "axis. Use a network whose layout does, such as resnet(shortcut='projection') for 'identity'."
                )
            if group and shape[axis] * new[group] != other[axis] * old[group]:
                raise Refused(
                    f"{differ}, which is {shape[axis] / old[group]:g} and {other[axis] / new[group]:g} numbers for "
                    f"each unit of '{group}' on axis {axis}. Only the number of units may change."
                )
    return old, new


def _groups(state: Mapping[str, tuple[tuple[int, ...], torch.dtype]], axes: Mapping[str, tuple[str, ...]]) -> Sizes:
    """The number of units of each group: the length of the shortest axis that it acts on."""
    sizes: dict[str, int] = {}
    for name, groups in axes.items():
        for length, group in zip(state[name][0], groups, strict=True):
            if group:
                sizes[group] = min(length, sizes.get(group, length))
    return sizes


def _wrong_way(move: str, group: str, old: Sizes, new: Sizes, ticket: Ticket, to: Arch, *, way_out: str) -> str:
    fewer = "fewer" if new[group] < old[group] else "more"
    return (
        f"{move}: '{group}' has {old[group]} units in {ticket.arch} and {fewer}, {new[group]}, in {to}. "
        f"{way_out}() goes that way; where some widths grow and others shrink, use one after the other."
    )


def _carried(ticket: Ticket, to: Arch, units: Units) -> Ticket:
    """The ticket with these units of every group: weights, statistics and masks of a tensor move together."""
    axes = ticket.arch.layout().axes
    weights = gathered({name: ticket.weights[name] for name in expected(to, ticket.io)}, axes, units)
    return ticket.rebuilt(arch=to, weights=weights, mask=Mask.taking(gathered(ticket.mask, axes, units)))


def _readers(arch: Arch) -> dict[str, tuple[str, ...]]:
    """The weights that read units, and the groups of those on each axis ("" on that of the outputs).

    Only convolutions and linear layers read: an embedding writes to the units on its second axis, and a depthwise
    convolution has none there.
    """
    layout = arch.layout()
    return {name: ("", *layout.axes[name][1:]) for name in layout.prunable}


def _divided(value: Tensor, groups: tuple[str, ...], copies: Units) -> Tensor:
    for axis, group in enumerate(groups):
        if group and (copies[group] > 1).any():
            counts = torch.from_numpy(copies[group]).repeat_interleave(value.shape[axis] // len(copies[group]))
            value = value / _along(counts.to(value.dtype), axis, value.dim())
    return value


def _along(row: Tensor, axis: int, dims: int) -> Tensor:
    """The row as a tensor that is spread over all axes but this one."""
    return row.reshape([-1 if i == axis else 1 for i in range(dims)])
