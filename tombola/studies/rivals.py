"""The rivals: every way of making a network sparse, at common densities

On MNIST all methods with LeNet-300-100; on CIFAR-10, at 16 x 16 pixels, the ten that matter most with a narrow ResNet.
Each network's last training ends at the same step; what the search for it took is in the tables of prices. The arm
"longer" trains some 1 / density times as long, at most five times. Settings of methods were chosen on validation data
by at most four tries of two seeds each: `tune=yes` runs these. On CIFAR-10 methods that train the dense network first
restart from its first epoch, as late rewinding has it; the others from the first weights.

tombola run rivals && tombola report rivals
tombola run "rivals(on=cifar10)" && tombola report "rivals(on=cifar10)"
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

from tombola import (
    Better,
    Claim,
    Curve,
    Goal,
    NotWorse,
    Pivot,
    Recipe,
    Refused,
    Seeds,
    carry,
    cut,
    cut_early,
    defer,
    draw,
    longer,
    parse,
    row,
    train,
)
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.moves.controls import Reinit, Shuffle
from tombola.probes.connectivity import connectivity
from tombola.probes.price import price
from tombola.studies import _names
from tombola.studies._rivals import RIVALS, TEN, On, Rival, rungs
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10
from tombola.tasks.mnist import Mnist
from tombola.train.optimizers import Sgd
from tombola.train.schedules import Constant, Cosine

QUESTION = "Which way of making a network sparse leaves it the most accurate at equal density, and at what price?"
NAMES = _names.RIVALS
DENSITIES = {"mnist": (0.5, 0.2, 0.1, 0.05, 0.02), "cifar10": (0.5, 0.2, 0.1)}
TRIED_AT, TRIED_WITH = 0.1, (100, 101)
"""The density and the seeds of the tries: none of the study's own seeds."""
CONTROLS: dict[str, Callable[[int], Any]] = {
    "shuffled": lambda seed: Shuffle(seed=seed),
    "reinitialised": lambda seed: Reinit(seed=seed, start="rewind"),
}
"""The second is trained for as many steps as what it is compared with."""
CONTROLLED = ("SNIP", "GraSP", "GraSP, absolute", "SynFlow", "magnitude, one shot", "IMP")
LONGER = ("random ERK", "SNIP", "SET", "RigL")
FINE = 0.01
"""The rate of fine-tuning: a tenth of the highest."""
MOST_LONGER = 5.0
"""As long as the longest trainings of Evci et al. 2020 (RigL)."""
LONGER_TITLE = "Trained 1 / density times as long, at most five times"
DENSE = {"name": "dense", "arm": "found"}
MOMENTS = {
    "before": "Pruned before training",
    "after": "Pruned once after training, trained again",
    "level by level": "Pruned level by level, trained again each time",
    "from dense": "Pruned inside one training that begins dense",
    "from sparse": "Rewired inside one training that begins sparse",
}
AHEAD = (
    ("IMP", "magnitude, one shot", "iterative"),
    ("RigL", "SET", "rewired"),
    ("RigL", "random ERK", "rewired"),
    ("random ERK", "random", "quotas"),
    ("IMP", "RigL", "rewired"),
    ("gradual", "RigL", "rewired"),
)
"""Of each pair the first is said to beat the second."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """One seed's network, data and recipe."""

    on: On
    seed: int

    @property
    def arch(self) -> Any:
        """LeNet-300-100, or a ResNet-14 of half the width."""
        return Mlp() if self.on == "mnist" else ResNet(depth=14, width=8)

    @property
    def task(self) -> Any:
        """The data."""
        return Mnist() if self.on == "mnist" else Cifar10(size=16, crop=2, flip="yes")

    def recipe(self, *, rewind: bool = False) -> Recipe:
        """The same for all methods, but for the rewind point of those that train the dense network first."""
        optimizer = Sgd(lr=0.1, momentum=0.9, decay=1e-4 if self.on == "mnist" else 5e-4)
        steps, late = ("8ep", 0) if self.on == "mnist" else ("8ep", "1ep")
        start = late if rewind else 0
        return Recipe(steps=steps, optimizer=optimizer, schedule=Cosine(), rewind=start, evaluate="4ep")

    def fine(self, recipe: Recipe) -> Recipe:
        """A small rate throughout, for fine-tuning: the cosine's last one is zero."""
        optimizer = Sgd(lr=FINE, momentum=0.9, decay=1e-4 if self.on == "mnist" else 5e-4)
        return dataclasses.replace(recipe, optimizer=optimizer, schedule=Constant())

    def drawn(self, *, rewind: bool = False) -> Any:
        """The dense ticket."""
        given = {"task": self.task, "recipe": self.recipe(rewind=rewind)}
        return defer(draw, arch=self.arch, seeds=Seeds(self.seed), **given)

    def trained(self, ticket: Any, recipe: Recipe | None = None) -> Any:
        """A ticket trained to the end."""
        recipe = recipe or self.recipe()
        return defer(train, ticket=ticket, task=self.task, recipe=recipe, seeds=Seeds(self.seed))

    def early(self, text: str, scope: str, at: float) -> Any:
        """A ticket cut before training."""
        criterion, spread = parse("criterion", text.format(seed=self.seed)), parse("scope", scope)
        given = {"recipe": self.recipe(), "criterion": criterion, "scope": spread, "density": at}
        return defer(cut_early, ticket=self.drawn(), task=self.task, seeds=Seeds(self.seed), **given)

    def found(self, rival: Rival, text: str, densities: tuple[float, ...]) -> Iterator["Found"]:
        """What a method leaves at each density, by one text of its plug-in."""
        if rival.moment == "level by level":
            yield from self._levels(rival, densities)
            return
        for at in densities:
            if rival.moment == "before":
                yield self._end(at, self.early(text, rival.scope, at), self.recipe())
            elif rival.moment == "after":
                recipe = self.recipe(rewind=True)
                dense = self.trained(self.drawn(rewind=True), recipe)
                criterion, scope = parse("criterion", text), parse("scope", rival.scope)
                given = {"criterion": criterion, "scope": scope, "density": at, "restart": rival.restart}
                yield self._end(at, defer(cut, trained=dense, **given), recipe, (dense,))
            else:
                sparse = rival.moment == "from sparse"
                ticket = self.early("random(seed={seed})", "erk", at) if sparse else self.drawn()
                rewire = parse("rewire", text.format(density=at))
                yield self._end(at, ticket, dataclasses.replace(self.recipe(), rewire=rewire))

    def _levels(self, rival: Rival, densities: tuple[float, ...]) -> Iterator["Found"]:
        """Iterative pruning: each level's training is behind the next ticket."""
        recipe, behind = self.recipe(rewind=True), tuple[Any, ...]()
        again = self.fine(recipe) if rival.restart == "fine-tune" else recipe
        ticket = self.drawn(rewind=True)
        for at in rungs(densities):
            behind += (self.trained(ticket, again if behind else recipe),)
            ticket = defer(cut, trained=behind[-1], density=at, restart=rival.restart)
            if at in densities:
                yield self._end(at, ticket, again, behind)

    def _end(self, at: float, ticket: Any, recipe: Recipe, behind: tuple[Any, ...] = ()) -> "Found":
        return Found(at, ticket, recipe, self.trained(ticket, recipe), behind)


@dataclasses.dataclass(frozen=True)
class Found:
    """A sparse network: its ticket, its training, and the trainings without which there were no ticket."""

    at: float
    ticket: Any
    recipe: Recipe
    trained: Any
    behind: tuple[Any, ...] = ()


def goals(
    *,
    on: On = "mnist",
    densities: tuple[float, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
    methods: tuple[str, ...] = (),
    arms: tuple[str, ...] = ("shuffled", "reinitialised", "longer"),
    tune: Literal["no", "yes"] = "no",
) -> Iterator[Goal]:
    """All methods at all densities with their controls; or the tries by which their settings were chosen."""
    known("methods", methods, RIVALS)
    known("arms", arms, (*CONTROLS, "longer"))
    chosen, wanted = methods or _methods(on), densities or DENSITIES[on]
    for density in wanted:
        if not 0 < density < 1:
            raise Refused(f"rivals: a density of {density} is asked for. It is a fraction of the weights: 0.1, say.")
    if tune == "yes":
        yield from tries(on, chosen)
        return
    for seed in seeds:
        bench = Bench(on, seed)
        yield row(bench.trained(bench.drawn()), **DENSE, at=1.0, seed=seed)
        for name in chosen:
            rival = RIVALS[name]
            for one in bench.found(rival, rival.chosen(on), wanted):
                labels = {"name": name, "at": one.at, "seed": seed}
                yield row(one.trained, **labels, arm="found", moment=rival.moment)
                yield row(defer(price, trained=one.trained, behind=one.behind), **labels, probe="price")
                yield row(defer(connectivity, ticket=one.trained), **labels, probe="connectivity")
                yield from controlled(bench, name, one, arms, labels)


def controlled(bench: Bench, name: str, one: Found, arms: tuple[str, ...], labels: Any) -> Iterator[Goal]:
    """The same counts in other places, or other weights under the same mask; and some methods trained for longer."""
    for arm, control in CONTROLS.items():
        if arm in arms and name in CONTROLLED:
            moved = defer(carry, ticket=one.ticket, by=control(bench.seed))
            yield row(bench.trained(moved, one.recipe), **labels, arm=arm)
    if "longer" in arms and name in LONGER:
        trained = bench.trained(one.ticket, longer(one.recipe, min(MOST_LONGER, 1 / one.at)))
        yield row(trained, **labels, arm="longer")
        yield row(defer(price, trained=trained), **labels, probe="price, longer")


def tries(on: On, methods: tuple[str, ...]) -> Iterator[Goal]:
    """Each setting that was tried for each method, at one density; the validation accuracy decides."""
    for name in methods:
        rival = RIVALS[name]
        for number, text in enumerate(rival.tried if len(rival.tried) > 1 else ()):
            for seed in TRIED_WITH:
                (one,) = Bench(on, seed).found(rival, text, (TRIED_AT,))
                yield row(one.trained, name=name, tried=number, setting=text, seed=seed)


def _methods(on: On) -> tuple[str, ...]:
    return tuple(RIVALS) if on == "mnist" else TEN


def claims(
    *, on: On, densities: tuple[float, ...], methods: tuple[str, ...], arms: tuple[str, ...], tune: str
) -> Iterator[Claim]:
    """What Frankle et al. 2021 ("missing the mark") found on larger networks, and other rankings of the literature."""
    there = () if tune == "yes" else methods or _methods(on)
    for at in densities or DENSITIES[on]:
        where = {name: {"name": name, "at": at, "arm": "found"} for name in there}
        for name in [name for name in ("SNIP", "GraSP", "SynFlow") if name in there]:
            for arm in [arm for arm in CONTROLS if arm in arms]:
                same = NotWorse(where={**where[name], "arm": arm}, than=where[name])
                yield Claim(f"{name} is no better at {at:.0%} than when {arm}", tests=(same,), family=arm)
            if "magnitude, one shot" in there:
                ahead = Better(where=where["magnitude, one shot"], than=where[name])
                yield Claim(
                    f"one shot of magnitude after training beats {name} at {at:.0%}", tests=(ahead,), family="after"
                )
        for first, second, family in AHEAD:
            if first in there and second in there:
                ahead = Better(where=where[first], than=where[second])
                yield Claim(f"{first} beats {second} at {at:.0%}", tests=(ahead,), family=family)


def figures(*, tune: str) -> Iterator[Curve]:
    """Accuracy against density, a figure for each moment."""
    for moment, title in () if tune == "yes" else MOMENTS.items():
        yield Curve(by="name", where={"arm": "found", "moment": moment}, baseline=DENSE, title=title)


def tables(*, tune: str, arms: tuple[str, ...]) -> Iterator[Pivot]:
    """The leaderboard at equal epochs of the last training, with controls, trained for longer, and prices."""
    if tune == "yes":
        yield Pivot(lines="name", columns="tried", of="validation_accuracy", title="Validation accuracy of the tries")
        return
    yield Pivot(lines="name", columns="at", where={"arm": "found"}, title="Equal epochs: every method", verdicts="hide")
    for arm in [arm for arm in (*CONTROLS, "longer") if arm in arms]:
        title = LONGER_TITLE if arm == "longer" else f"The same counts, {arm}"
        yield Pivot(lines="name", columns="at", where={"arm": arm}, title=title, verdicts="hide")
    prices = {"where": {"probe": "price"}, "lines": "name", "columns": "at", "verdicts": "hide", "beside": ()}
    yield Pivot(of="total_epochs", title="Epochs, the search among them", **prices)
    yield Pivot(of="dense_trainings_flops_sparse", title="Operations, in dense trainings (sparse convention)", **prices)
    yield Pivot(of="total_seconds", title="Seconds, the search among them", **prices)
    if "longer" in arms:
        drawn_out = {**prices, "where": {"probe": "price, longer"}}
        title = "Operations of the longer trainings (sparse convention)"
        yield Pivot(of="total_flops_sparse", title=title, **drawn_out)
    linked = {**prices, "where": {"probe": "connectivity"}}
    yield Pivot(of="effective_density", title="Density without disconnected weights", **linked)
