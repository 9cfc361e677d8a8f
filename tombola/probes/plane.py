"""A plane in the space of weights: where trained networks lie in it, and what it holds between them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.core.seeds import numbers
from tombola.probes.line import placed
from tombola.train.trained import Trained

Axes = Literal["random", "through", "principal"]
FLAT = 1e-6
"""A plane that is so much narrower than it is long is a line."""
Weights = Mapping[str, Tensor]


class Plane:
    """The networks origin + x first + y second: one network, whose parameters are blended in place.

    `places` are those of the networks in it, `off` how far each lies outside; `explained` are the shares of both axes
    in the squared distances of all from the origin. Statistics are those of the last network.

    Raises:
        Failed: If a value of theirs is not finite.
        Refused: If they do not span a plane.
    """

    def __init__(self, networks: Sequence[Trained], axes: Axes, seed: int, machine: Machine) -> None:
        self.net = placed(networks[-1], machine)
        self._values = {name: value.detach() for name, value in self.net.named_parameters()}
        states = [self._living(one) for one in networks]
        if axes == "random":
            ways = [filterwise(states[0], networks[0].mask, seed, number) for number in (0, 1)]
            self.origin, self.first, self.second = states[0], *ways
            self.places, self.off, self.explained = [(0.0, 0.0)], [0.0], (0.0, 0.0)
        else:
            self._span(states, principal=axes == "principal")

    def go(self, x: float, y: float) -> None:
        """Take the parameters of a place."""
        for name, value in self._values.items():
            torch.add(self.origin[name], self.first[name], alpha=x, out=value).add_(self.second[name], alpha=y)

    def _living(self, one: Trained) -> dict[str, Tensor]:
        living = one.mask.apply(one.weights)
        found = {name: living[name].to(value) for name, value in self._values.items()}
        for name, value in found.items():
            if not bool(value.isfinite().all()):
                raise Failed(f"'{name}' of {one!r} is not finite: its training went astray. It lies in no plane.")
        return found

    def _span(self, states: Sequence[Weights], *, principal: bool) -> None:
        """Two orthonormal axes: through three networks, or the two along which many of them differ most."""
        flat = torch.stack([torch.cat([value.flatten().double() for value in one.values()]) for one in states])
        origin = flat.mean(0) if principal else flat[0]
        apart = flat - origin
        _, sizes, ways = torch.linalg.svd(apart if principal else apart[1:], full_matrices=False)
        if len(sizes) < 2 or sizes[1] <= FLAT * sizes[0] or not sizes[0]:
            raise Refused(
                "landscape: these networks lie on one line (or are the same). Use barrier for a line, or one network "
                "alone for a plane around it."
            )
        if not principal:  # The first axis leads from the first network to the second one.
            first = apart[1] / apart[1].norm()
            second = apart[2] - (apart[2] @ first) * first
            ways = torch.stack([first, second / second.norm()])
        axes = torch.stack([way * _sign(way, apart[-1]) for way in ways[:2]]) if principal else ways[:2]
        there = apart @ axes.T
        self.places = [(float(x), float(y)) for x, y in there]
        self.off = (apart - there @ axes).norm(dim=1).tolist()
        shares = (there.square().sum(0) / apart.square().sum()).tolist()
        self.explained = (shares[0], shares[1])
        self.origin, self.first, self.second = (self._unflat(one) for one in (origin, *axes))

    def _unflat(self, vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split([value.numel() for value in self._values.values()])
        return {n: p.reshape(v.shape).to(v) for (n, v), p in zip(self._values.items(), parts, strict=True)}


def _sign(way: Tensor, last: Tensor) -> float:
    """So that the last network lies on the positive side: an axis that is found by its length alone has no sign."""
    return -1.0 if float(way @ last) < 0 else 1.0


def filterwise(state: Weights, mask: Mapping[str, Tensor], seed: int, number: int) -> dict[str, Tensor]:
    """A random direction, each filter of it as long as that of the network (Li et al. 2018, section 4).

    A filter is what makes one unit: a row of a linear layer. What is dead stays so; biases, scales and shifts, which
    have no filters, do not move.
    """
    made: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.dim() < 2:
            made[name] = torch.zeros_like(value)
            continue
        drawn = torch.from_numpy(numbers("landscape", seed, number, name).standard_normal(value.shape)).to(value)
        rows = (drawn * mask[name].to(value.device) if name in mask else drawn).flatten(1)
        lengths = rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(value.dtype).tiny)
        made[name] = (rows * (value.flatten(1).norm(dim=1, keepdim=True) / lengths)).reshape(value.shape)
    return made
