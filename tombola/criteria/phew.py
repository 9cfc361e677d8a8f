"""Paths with higher edge weights: random walks through the network keep what they pass (Patil & Dovrolis, 2021)."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch

from tombola.core.criterion import Habits
from tombola.core.errors import Refused
from tombola.core.layout import Joint, Prunable, Scores, Wiring
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers

MOST_WALKS = 1 << 24  # Numbers of walks are exact in the scores, even in single precision.
TOGETHER = 1 << 13
"""Pairs of walks, one forward and one backward, that are taken at the same time."""

Whole = np.ndarray
"""Integers: walkers, units, or places of weights in a flattened tensor."""
Steps = Iterator[tuple[str, Whole, Whole]]


@plugin("criterion", "phew")
class Phew:
    """Paths with higher edge weights: random walks along large weights; the earlier a weight is walked, the better.

    A walk goes from an input unit to an output, or, every second one, from an output unit back to an input; the units
    take turns. Its next hop is a weight of the unit where it stands, with probability |w| / sum |w| (Patil and Dovrolis
    2021, section 4); in a convolution that is a kernel by the sum of |w| in it. Where several tensors read a unit, or
    were added to make it, each that leads on is as likely. Dead weights and dead ends are not walked. Whatever density
    is cut from the scores, the weights of whole walks are kept, but for the last walk, which may not fit.

    Args:
        seed: Names the stream of the walks.
        kernel: A walk keeps "one" weight of a kernel, drawn by |w|, as in the authors' code; or the "whole" kernel.
        cover: Walks end when they have passed this fraction of the weights that lie on paths. Those that none has
            passed come after them in the order of |w|: densities above it are filled up by magnitude.
        walks: Or after so many walks, if that comes first.
    """

    seed: int = 0
    kernel: Literal["one", "whole"] = "one"
    cover: float = 0.75
    walks: int = 1_000_000

    def __post_init__(self) -> None:
        if not 0 < self.cover <= 1:
            raise Refused(f"phew: field 'cover' is {self.cover}. It is a fraction of the weights: above 0, up to 1.")
        if not 1 <= self.walks <= MOST_WALKS:
            raise Refused(f"phew: field 'walks' is {self.walks:,}. It must be between 1 and {MOST_WALKS:,}.")

    @property
    def habits(self) -> Habits:
        return Habits(moment="before", collapse="forbidden")

    def __call__(self, net: Prunable) -> Scores:
        """Above 1, and falling with the number of the first walk; up to 1, in the order of |w|, where none came."""
        sizes = {name: weight.detach().double().abs().cpu().numpy() for name, weight in net.weights.items()}
        visits = self._visits(net.wiring(), sizes)
        largest = max(float(size.max(initial=0.0)) for size in sizes.values()) or 1.0
        scores: dict[str, torch.Tensor] = {}
        for name, size in sizes.items():
            first = visits.get(name, np.full(size.shape, self.walks))
            walked = (first < self.walks) & net.mask[name].numpy()
            scores[name] = torch.from_numpy(np.where(walked, self.walks + 1.0 - first, size / largest))
        return scores

    def _visits(self, wiring: Wiring, sizes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The number of the first walk through each weight; `walks` where there was none."""
        streets = _Streets(wiring, sizes)
        first = {name: np.full(sizes[name].size, self.walks) for name in streets.tensors}
        wanted = self.cover * sum(int(tensor.open.sum()) for tensor in streets.tensors.values())
        for turn, start in enumerate(range(0, self.walks, 2 * TOGETHER)):
            pairs = np.arange(start // 2, min(start // 2 + TOGETHER, (self.walks + 1) // 2))
            for way, walks in enumerate((streets.forward, streets.backward)):
                rng = numbers("criterion", "phew", self.seed, turn, way)
                for name, walkers, places in walks(pairs, rng):
                    if self.kernel == "whole":
                        places = places // streets.tensors[name].taps * streets.tensors[name].taps
                    np.minimum.at(first[name], places, 2 * pairs[walkers] + way)
            if self._passed(first, streets) >= wanted:
                break
        return {
            name: self._spread(found, streets.tensors[name]).reshape(sizes[name].shape) for name, found in first.items()
        }

    def _passed(self, first: dict[str, np.ndarray], streets: "_Streets") -> int:
        spread = ((self._spread(found, streets.tensors[name]), name) for name, found in first.items())
        return sum(int(np.count_nonzero((found < self.walks) & streets.tensors[name].open)) for found, name in spread)

    def _spread(self, first: np.ndarray, tensor: "_Tensor") -> np.ndarray:
        """Over whole kernels, if they are kept whole."""
        if self.kernel == "one":
            return first
        return np.repeat(first[:: tensor.taps], tensor.taps)


class _Table:
    """Weights in rows, from each of which one is drawn with a probability in proportion to it."""

    def __init__(self, rows: np.ndarray) -> None:
        self.width = rows.shape[1]
        sums = np.cumsum(rows, axis=1)
        self.open = sums[:, -1] > 0
        # Each row ends at exactly 1, so no weight of zero behind the last one can be drawn.
        shares = np.divide(sums, sums[:, -1:], out=np.zeros_like(sums), where=self.open[:, None])
        shares[~self.open] = 1.0
        self.ends = (shares + np.arange(len(rows))[:, None]).reshape(-1)

    def draw(self, rows: Whole, rng: np.random.Generator) -> Whole:
        """For each of the rows asked for, the column of a weight in it."""
        points = np.minimum(rows + rng.random(len(rows)), np.nextafter(rows + 1.0, 0.0))
        return np.searchsorted(self.ends, points, side="right") - rows * self.width


class _Tensor:
    """A prunable tensor's weights as (group, unit of the group, input of the group, tap), zero where none may walk."""

    def __init__(self, joint: Joint, sizes: np.ndarray) -> None:
        units, inputs = sizes.shape[:2]
        self.joint = joint
        self.weights = sizes.reshape(joint.groups, units // joint.groups, inputs, -1).copy()
        self.groups, self.each, self.inputs, self.taps = self.weights.shape
        self.units, self.places = units, joint.groups * inputs

    @property
    def open(self) -> np.ndarray:
        """Which weights may be walked, flattened."""
        return self.weights.reshape(-1) > 0

    def by_input(self) -> np.ndarray:
        """A row for each input: its weights to all units that read it."""
        return self.weights.transpose(0, 2, 1, 3).reshape(self.places, self.each * self.taps)

    def by_unit(self) -> np.ndarray:
        """A row for each unit."""
        return self.weights.reshape(self.units, self.inputs * self.taps)

    def close(self, reached: np.ndarray, leads: np.ndarray) -> None:
        """Leave only weights from inputs that are reached to units that lead on."""
        self.weights *= reached.reshape(self.groups, 1, self.inputs, 1)
        self.weights *= leads.reshape(self.groups, self.each, 1, 1)


@dataclasses.dataclass(frozen=True)
class _Link:
    """All units of a source as inputs of a tensor: from the input `at`, each of them `run` inputs."""

    source: str
    tensor: _Tensor
    run: int
    at: int
    units: int

    @property
    def key(self) -> tuple[str, int, int]:
        """The same for links over which the same weights are walked."""
        return self.tensor.joint.name, self.at, self.run

    @property
    def where(self) -> slice:
        """The inputs of the tensor that are the source's."""
        return slice(self.at, self.at + self.run * self.units)

    def rows(self) -> np.ndarray:
        """A row for each unit of the source: its weights."""
        return self.tensor.by_input()[self.where].reshape(self.units, -1)

    def reached(self, units: np.ndarray) -> np.ndarray:
        """Which of the tensor's inputs are reached through these of the source's units."""
        found = np.zeros(self.tensor.places, dtype=bool)
        found[self.where] = np.repeat(units, self.run)
        return found

    def arrive(self, units: Whole, columns: Whole) -> tuple[Whole, Whole]:
        """The units of the tensor behind the columns of `rows`, and the places of the weights passed."""
        tensor = self.tensor
        step, rest = np.divmod(columns, tensor.each * tensor.taps)
        group, given = np.divmod(self.at + units * self.run + step, tensor.inputs)
        unit = group * tensor.each + rest // tensor.taps
        return unit, (unit * tensor.inputs + given) * tensor.taps + rest % tensor.taps


class _Streets:
    """The weights that lie on a living path from the input to the output, and the walks along them."""

    def __init__(self, wiring: Wiring, sizes: Mapping[str, np.ndarray]) -> None:
        self.tensors = {joint.name: _Tensor(joint, sizes[joint.name]) for joint in wiring.joints}
        self.names = ("", *self.tensors)
        self.outputs = tuple(dict.fromkeys(wiring.outputs))
        units = {"": wiring.inputs, **{name: tensor.units for name, tensor in self.tensors.items()}}
        self.links = [
            _Link(source, self.tensors[joint.name], run, at, units[source])
            for joint in wiring.joints
            for source, run, at in zip(joint.sources, joint.runs, joint.offsets, strict=True)
        ]
        self.after = {name: [link for link in self.links if link.source == name] for name in self.names}
        self.before = {name: [link for link in self.links if link.tensor is t] for name, t in self.tensors.items()}
        self._close(units)
        self._tables: dict[tuple[str, int, int], _Table] = {}  # Sources that add share their rows.
        for link in self.links:
            if link.key not in self._tables:
                self._tables[link.key] = _Table(link.rows())
        self._back = {name: _Table(tensor.by_unit()) for name, tensor in self.tensors.items()}
        begins = [np.zeros(units[""], dtype=bool), *(self._tables[link.key].open for link in self.after[""])]
        self.entries = np.flatnonzero(np.logical_or.reduce(begins))
        self.exits = [(name, unit) for name in self.outputs for unit in np.flatnonzero(self._back[name].open)]
        if not len(self.entries):
            raise Refused(
                "no walk can reach an output: no path of living weights leads there. Begin with a denser mask, or use "
                "magnitude."
            )

    def _close(self, units: Mapping[str, int]) -> None:
        """Leave only the weights on whole paths, and remember what each unit can be reached through."""
        self.reached: dict[str, np.ndarray] = {"": np.ones(units[""], dtype=bool)}
        inputs: dict[str, np.ndarray] = {}
        for name, tensor in self.tensors.items():
            ways = [link.reached(self.reached[link.source]) for link in self.before[name]]
            inputs[name] = np.asarray(np.logical_or.reduce(ways))
            tensor.close(inputs[name], np.ones(tensor.units, dtype=bool))
            self.reached[name] = np.asarray(tensor.by_unit().any(axis=1))
        for name in reversed(self.tensors):
            ways = [link.rows().any(axis=1) for link in self.after[name]]
            leads = np.logical_or.reduce([np.full(units[name], name in self.outputs), *ways])
            self.tensors[name].close(inputs[name], leads)

    def forward(self, pairs: Whole, rng: np.random.Generator) -> Steps:
        """Walks from the input, one for each of the numbers: tensors, walkers, and the weights that they pass."""
        here = {name: _Crowd() for name in self.names}
        here[""].join(np.arange(len(pairs)), self.entries[pairs % len(self.entries)])
        for name in self.names:
            walkers, units = here[name].all()
            links = self.after[name]
            options = [self._tables[link.key].open[units] for link in links]
            options += [np.ones(len(units), dtype=bool)] * (name in self.outputs)
            chosen = _evenly(options, rng)
            for number, link in enumerate(links):
                going = np.flatnonzero(chosen == number)
                columns = self._tables[link.key].draw(units[going], rng)
                there, places = link.arrive(units[going], columns)
                here[link.tensor.joint.name].join(walkers[going], there)
                yield link.tensor.joint.name, walkers[going], places

    def backward(self, pairs: Whole, rng: np.random.Generator) -> Steps:
        """Walks from the outputs."""
        here = {name: _Crowd() for name in self.names}
        turns = pairs % len(self.exits)
        for name in self.outputs:
            starts = np.array([unit if output == name else -1 for output, unit in self.exits])[turns]
            here[name].join(np.flatnonzero(starts >= 0), starts[starts >= 0])
        for name in reversed(self.tensors):
            walkers, units = here[name].all()
            tensor = self.tensors[name]
            columns = self._back[name].draw(units, rng)
            yield name, walkers, units * tensor.inputs * tensor.taps + columns
            inputs = units // tensor.each * tensor.inputs + columns // tensor.taps
            links = self.before[name]
            chosen = _evenly([link.reached(self.reached[link.source])[inputs] for link in links], rng)
            for number, link in enumerate(links):
                going = np.flatnonzero(chosen == number)
                here[link.source].join(walkers[going], (inputs[going] - link.at) // link.run)


class _Crowd:
    """Walkers that have come to a tensor, with the units on which they stand."""

    def __init__(self) -> None:
        self.walkers: list[Whole] = [np.zeros(0, dtype=np.int64)]
        self.units: list[Whole] = [np.zeros(0, dtype=np.int64)]

    def join(self, walkers: Whole, units: Whole) -> None:
        """Let some more come."""
        self.walkers.append(walkers)
        self.units.append(units)

    def all(self) -> tuple[Whole, Whole]:
        """All that came."""
        return np.concatenate(self.walkers), np.concatenate(self.units)


def _evenly(options: list[np.ndarray], rng: np.random.Generator) -> Whole:
    """For each walker, one of the options that are open to it."""
    if len(options) == 1:
        return np.zeros(len(options[0]), dtype=np.int64)
    counts = np.cumsum(options, axis=0)
    wanted = rng.random(counts.shape[1]) * counts[-1]
    return np.argmax(counts > wanted, axis=0)
