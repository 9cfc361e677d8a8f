"""Which units of two networks do alike: correlations of their activations, and the order that follows from them.

Activation matching (Ainsworth et al. 2023, section 3.1; Adnan et al. 2025 carry masks by it): each permutation by
itself is a linear assignment, so that there is nothing to search for.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.layout import side_by_side
from tombola.moves.matching import Matching, assigned, straight
from tombola.moves.permuting import Permutations, sizes
from tombola.probes.held import held
from tombola.probes.predictions import typed
from tombola.train.trained import Trained

Numbers = NDArray[np.float64]
AT_ONCE = 50
"""Examples whose activations, of all layers of both networks, are in memory at a time."""
WRITERS = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding)


def matched_by_activations(source: Trained, target: Trained, examples: int, device: torch.device) -> Matching:
    """The order of the source's units whose activations correlate best with the target's, over training examples.

    The target may be wider or narrower: units of the source then come more than once, or are left out.

    Activations are what convolutions, linear layers and embeddings give, on examples of the target's task, not
    augmented; one that is never called, as learned positions that are added, gives none. Where several of them write to
    the same units, as along a residual stream, their correlations add up.

    Raises:
        Refused: If the layout names no permutation, or one to which no layer writes.
    """
    layout = source.ticket.arch.layout()
    places, units = (sizes(one.weights, layout.axes) for one in (target, source))
    if not units:
        raise Refused(f"{source.ticket.arch} names no permutation in its layout: no two of its units can be exchanged.")
    written = _written(source.module(), layout.axes)
    seen = [_Seen(one.module().to(device).eval(), written) for one in (source, target)]
    sums = {name: _Sums() for name in written}
    with torch.no_grad():
        for together, _ in held("align", target, target.task, "train", examples, device)():
            for inputs in together.split(AT_ONCE):
                for one in seen:
                    one.ask(inputs)
                for name in seen[0].values.keys() & seen[1].values.keys():
                    sums[name].add(seen[1].values[name], seen[0].values[name])
    totals: dict[str, Numbers] = {group: np.zeros((places[group], size)) for group, size in units.items()}
    reached: set[str] = set()
    for name, groups in ((name, groups) for name, groups in written.items() if sums[name].places):
        whole, down, right = sums[name].correlations(), 0, 0
        run = len(whole) // sum(places[group] for group in groups)
        for group in groups:
            here, there = places[group], units[group]
            part = whole[down : down + here * run, right : right + there * run].reshape(here, run, there, run)
            totals[group] += np.einsum("irjr->ij", part)
            down, right, reached = down + here * run, right + there * run, reached | {group}
    if lost := sorted(set(units) - reached):
        raise Refused(f"no layer of {source.ticket.arch} writes to the units of '{lost[0]}': match by weights instead.")
    first, orders = straight(places, units), {group: assigned(total) for group, total in totals.items()}

    def total(order: Permutations) -> float:
        return sum(float(found[np.arange(len(found)), order[group]].sum()) for group, found in totals.items())

    return Matching(orders, first, total(first), total(orders), 1)


def _written(net: nn.Module, axes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """For each layer the permutations that act on what it gives."""
    found: dict[str, tuple[str, ...]] = {}
    for name, module in net.named_modules():
        groups = axes.get(f"{name}.weight", ())
        if isinstance(module, WRITERS) and groups:
            given = side_by_side(groups[-1 if isinstance(module, nn.Embedding) else 0])
            found |= {name: given} if given else {}
    return found


class _Seen:
    """What some layers of a network gave for the last batch, (places, units)."""

    def __init__(self, net: nn.Module, names: Iterable[str]) -> None:
        self.net = net
        self.values: dict[str, Tensor] = {}
        for name in names:
            net.get_submodule(name).register_forward_hook(self._hook(name))

    def ask(self, inputs: Tensor) -> None:
        """One batch."""
        self.values.clear()
        self.net(typed(inputs, self.net))

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(module: nn.Module, given: Any, output: Tensor) -> None:
            values = output.movedim(1, -1) if isinstance(module, nn.modules.conv._ConvNd) else output
            self.values[name] = values.reshape(-1, values.shape[-1]).clone()  # What follows may overwrite it.

        return note


class _Sums:
    """Sums over places of two networks' activations, of which correlations are made."""

    def __init__(self) -> None:
        self.places = 0
        self.sums: dict[str, Numbers] = {}

    def add(self, one: Tensor, other: Tensor) -> None:
        """Count a batch."""
        self.places += len(one)
        one, other = one.double(), other.double()
        for name, value in (
            ("one", one.sum(0)),
            ("other", other.sum(0)),
            ("ones", one.square().sum(0)),
            ("others", other.square().sum(0)),
            ("product", one.T @ other),
        ):
            self.sums[name] = self.sums.get(name, 0.0) + value.cpu().numpy()

    def correlations(self) -> Numbers:
        """At [i, j] that of unit i of the one with unit j of the other; 0 where one of them never changes."""
        of = {name: value / self.places for name, value in self.sums.items()}
        covariance = of["product"] - np.outer(of["one"], of["other"])
        variances = [(of[f"{n}s"] - of[n] ** 2).clip(min=0) for n in ("one", "other")]
        scale = np.sqrt(np.outer(*variances))
        return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-12)
