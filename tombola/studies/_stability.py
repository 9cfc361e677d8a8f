"""What the studies of stability share: a search under one training method, its controls, and what is probed of them.

IMP is iterative magnitude pruning with a reset to the start; "reinit" its masks on one second initialisation. In the
arms "repelled" each round is trained away from the networks of all earlier ones, in "attracted" towards them; "repelled
from the last" knows the one before alone. Arms of IMP find masks of their own, arms of reinit have those of plain IMP.
"LR rewinding" keeps trained weights and sets back the schedule alone (Renda et al. 2020): ordinary iterative pruning.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tombola import Goal, Recipe, Seeds, carry, cut, defer, draw, row, train
from tombola.core.times import Time
from tombola.moves.controls import Reinit, Shuffle
from tombola.probes.barrier import barrier
from tombola.probes.disagreement import disagreement
from tombola.probes.distance import distance
from tombola.probes.instability import instability
from tombola.probes.landscape import landscape
from tombola.probes.weights import weights
from tombola.repel import repel

KEEP = 0.8
ALL, LAST = "all", "last"
ARMS = {
    "IMP": ("IMP", 0.0, ALL),
    "reinit": ("reinit", 0.0, ALL),
    "shuffle": ("shuffle", 0.0, ALL),
    "IMP, repelled": ("IMP", 2.0, ALL),
    "reinit, repelled": ("reinit", 2.0, ALL),
    "IMP, repelled from the last": ("IMP", 2.0, LAST),
    "IMP, attracted": ("IMP", -1.0, ALL),
    "reinit, attracted": ("reinit", -1.0, ALL),
    "LR rewinding": ("rate", 0.0, ALL),
}
"""Whose masks and values, how strongly others repel (below 0: attract), and which others."""
ARMS_PROBED = ("IMP", "reinit")
"""Arms whose weights, barriers and answers are looked at."""
OTHER = 1000
"""Added to a seed for other noise."""
REACH = 0.5
"""Of histograms of weights, so that they can be drawn together."""
STABLE = 2.0
"""Twins with less of a barrier between them, in points, are in one basin (Frankle et al. 2020)."""
POINTS = 20
"""On each line, as in the paper."""
PLANE, ASKED = 15, 1000
"""Points of a plane in each direction, and examples that each is asked."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """One seed's search under one training method."""

    arch: Any
    task: Any
    recipe: Recipe
    rounds: int
    seed: int
    statistics: tuple[str, ...] = ("",)
    """What becomes of running statistics on lines: each in turn."""
    examples: int = 10_000
    """Of each split, that lines are asked."""
    changed: str = ""
    """What of the training method is otherwise than published, apart from the batch, where that is told."""

    @functools.cache  # noqa: B019
    def ends(self, arm: str) -> tuple[Any, ...]:
        """The trained networks of an arm by round, the dense one first."""
        of, strength, memory = ARMS[arm]
        if of in ("IMP", "rate"):
            return self._searched(strength, memory, restart="weights" if of == "IMP" else "rate")
        move = Reinit(seed=self.seed) if of == "reinit" else Shuffle(seed=self.seed)
        ends: list[Any] = []
        for end in self.ends("IMP"):
            start = defer(carry, ticket=end.call.arguments["ticket"], by=move)
            ends.append(self._trained(start, strength, self._known(ends, memory)))
        return tuple(ends)

    def _searched(self, strength: float, memory: str, *, restart: str) -> tuple[Any, ...]:
        """Train, prune, go back to the start or to the beginning of the schedule, and again."""
        given: dict[str, Any] = {"task": self.task, "recipe": self.recipe, "seeds": Seeds(self.seed)}
        ticket, ends = defer(draw, arch=self.arch, **given), list[Any]()
        for level in range(self.rounds + 1):
            ends.append(self._trained(ticket, strength, self._known(ends, memory)))
            if level < self.rounds:
                ticket = defer(cut, trained=ends[-1], keep=KEEP, restart=restart)
        return tuple(ends)

    @staticmethod
    def _known(ends: Sequence[Any], memory: str) -> tuple[Any, ...]:
        return tuple(ends if memory == ALL else ends[-1:])

    def _trained(self, ticket: Any, strength: float, others: tuple[Any, ...]) -> Any:
        given: dict[str, Any] = {"task": self.task, "recipe": self.recipe, "seeds": Seeds(self.seed)}
        if strength and others:
            return defer(repel, ticket=ticket, **given, others=others, strength=strength)
        return defer(train, ticket=ticket, **given)

    def twin(self, end: Any) -> Any:
        """The same training with other noise."""
        seeds = Seeds(self.seed, data=self.seed + OTHER, augment=self.seed + OTHER)
        return defer(end.function, **{**end.call.arguments, "seeds": seeds})

    @property
    def start(self) -> Any:
        """The dense ticket."""
        return self.ends("IMP")[0].call.arguments["ticket"]


def accuracies(bench: Bench, arms: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """Every arm's networks, round by round."""
    for arm in arms:
        for level, end in enumerate(bench.ends(arm)):
            yield row(end, name=arm, level=level, seed=bench.seed, **labels)


def crossed(found_in: Bench, trained_in: Bench, levels: Sequence[int], **labels: Any) -> Iterator[Goal]:
    """Tickets of one training method in another: with a reset to the start, all that is carried over is the mask."""
    given: dict[str, Any] = {"task": trained_in.task, "recipe": trained_in.recipe, "seeds": Seeds(trained_in.seed)}
    for level in filter(None, levels):
        ticket = found_in.ends("IMP")[level].call.arguments["ticket"]
        yield row(defer(train, ticket=ticket, **given), level=level, seed=trained_in.seed, **labels)


def with_arms(
    extra: Mapping[str, tuple[str, ...]], regimes: Sequence[str], arms: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The arms of each regime beside IMP and reinit: its own, and those that all are to have.

    Example:
        >>> with_arms({"a": ("shuffle",)}, ("a", "b"), ("IMP", "shuffle"))
        {'a': ('shuffle',), 'b': ('shuffle',)}
    """
    wanted = [arm for arm in arms if arm not in ARMS_PROBED]
    return {regime: tuple(dict.fromkeys((*extra.get(regime, ()), *wanted))) for regime in regimes}


def masks_of(regime: str) -> str:
    """The name of an arm that has the masks of another regime."""
    return f"masks of {regime}"


def weighed(bench: Bench, arms: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """What living weights are like, and where the next cut falls."""
    for arm in arms:
        for level, end in enumerate(bench.ends(arm)):
            found = defer(weights, trained=end, reach=REACH)
            yield row(found, probe="weights", arm=arm, level=level, seed=bench.seed, **labels)


def regions(bench: Bench, arms: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """How far all rounds of an arm are from each other, and from the start of the search."""
    for arm in arms:
        found = defer(distance, networks=bench.ends(arm), start=bench.start)
        yield row(found, probe="distance", arm=arm, seed=bench.seed, **labels)


def basins(bench: Bench, arms: Sequence[str], levels: Sequence[int], **labels: Any) -> Iterator[Goal]:
    """Barriers from each round to the next one, and from the dense network to some rounds."""
    for arm in arms:
        ends = bench.ends(arm)
        pairs = [("next", level, level + 1) for level in range(bench.rounds)]
        pairs += [("from the dense one", 0, level) for level in levels if level > 1]
        for to, first, second in pairs:
            for stats in bench.statistics:
                said = {"stats": stats} if stats else {}
                given = {"points": POINTS, "examples": bench.examples, **said}
                found = defer(barrier, a=ends[first], b=ends[second], **given)
                level = first if to == "next" else second
                where = {"arm": arm, "to": to, "level": level, "seed": bench.seed, **said, **labels}
                yield row(found, probe="barrier", **where)


def twins(bench: Bench, arms: Sequence[str], levels: Sequence[int], **labels: Any) -> Iterator[Goal]:
    """How unstable training is at some rounds."""
    for arm in arms:
        for level in levels:
            end = bench.ends(arm)[level]
            yield from _parted(bench, end, probe="instability", arm=arm, level=level, **labels)


def rewound(bench: Bench, points: Sequence[Time], **labels: Any) -> Iterator[Goal]:
    """How unstable the dense network's training is from step k on, which its twins share up to there."""
    for k in points:
        later = dataclasses.replace(bench, recipe=dataclasses.replace(bench.recipe, rewind=k), rounds=0)
        (end,) = later.ends("IMP")
        yield from _parted(later, end, probe="rewound", k=later.recipe.in_steps(bench.task).rewind, **labels)


def _parted(bench: Bench, end: Any, **labels: Any) -> Iterator[Goal]:
    labels |= {"changed": bench.changed} if bench.changed else {}
    for stats in bench.statistics:
        said = {"stats": stats} if stats else {}
        found = defer(instability, a=end, b=bench.twin(end), examples=bench.examples, **said)
        yield row(found, seed=bench.seed, batch=bench.recipe.batch, **said, **labels)


def planes(bench: Bench, arms: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """The plane in which the rounds of an arm differ most, with the path of its tickets."""
    for arm in arms if bench.rounds > 1 else ():  # Two networks span no plane.
        given = {"points": PLANE, "examples": min(bench.examples, ASKED), "stats": bench.statistics[-1]}
        found = defer(landscape, networks=bench.ends(arm), **given)
        yield row(found, probe="landscape", arm=arm, seed=bench.seed, **labels)


def functions(bench: Bench, arms: Sequence[str], levels: Sequence[int], **labels: Any) -> Iterator[Goal]:
    """How otherwise than the dense network others answer."""
    for arm in arms:
        for level in levels:
            found = defer(disagreement, a=bench.ends("IMP")[0], b=bench.ends(arm)[level])
            yield row(found, probe="disagreement", arm=arm, level=level, seed=bench.seed, **labels)


def of_regimes(
    benches: Sequence[tuple[str, Bench]],
    extra: Mapping[str, tuple[str, ...]],
    parts: Sequence[str],
    levels: Sequence[int],
    pairs: Sequence[tuple[str, str]] = (),
    rewinding: tuple[str, Sequence[Time]] = ("", ()),
) -> Iterator[Goal]:
    """Training methods side by side: networks of their arms first, then the parts that are asked for.

    Pairs of regimes are crossed: the masks of the first are trained in the second. `rewinding` names a regime, and the
    times at which twins of its dense network part.
    """
    for regime, one in benches:
        yield from accuracies(one, (*ARMS_PROBED, *extra.get(regime, ())), regime=regime)
    for (found_in, one), (regime, other) in itertools.permutations(benches, 2):
        if "crossed" in parts and one.seed == other.seed and (found_in, regime) in pairs:
            yield from crossed(one, other, levels, name=masks_of(found_in), regime=regime)
    for regime, one in benches:
        if "weights" in parts:
            yield from weighed(one, ARMS_PROBED, regime=regime)
        if "distances" in parts:
            yield from regions(one, (*ARMS_PROBED, *extra.get(regime, ())), regime=regime)
        if "planes" in parts:
            yield from planes(one, ARMS_PROBED, regime=regime)
        if "twins" in parts:
            yield from twins(one, ARMS_PROBED[:1], levels, regime=regime)
        if "rewound" in parts and regime == rewinding[0]:
            yield from rewound(one, rewinding[1], regime=regime)
        if "functions" in parts:
            yield from functions(one, ARMS_PROBED, [level for level in levels if level], regime=regime)
        if "barriers" in parts:
            yield from basins(one, ARMS_PROBED, levels, regime=regime)
