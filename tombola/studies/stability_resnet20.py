"""Why tickets win, ResNet-20 on CIFAR-10: Maene et al. 2021

With small batches training is unstable, and pruning with a reset to the start finds no tickets; with large ones it is
stable, and finds some. But a larger batch has fewer steps as well as less noise, and barriers were measured with
running statistics that fit no network on the line. Here is a small batch with the steps of the large one, and with its
noise; barriers with statistics gathered anew; and masks that were found with one batch and trained with the other.
Batch norm has no scale and no shift to learn, as the paper is read here; affine=yes gives it both.

A regime is a batch size, and what else is changed: "2048 warm-up" (ten epochs), "512 undecayed" (no weight decay), "128
short" (as many steps as the largest batch has), "128 slow" (its ratio of rate and batch), "still" (no augmentation),
"fixed" (one order for all epochs), "accumulated" (in parts of 128). size=small takes some hours on two cores, and may
be stopped and gone on with: width 8, pictures of 16 x 16 pixels, 10,000 of them, 25 epochs, 17 rounds.

tombola run stability_resnet20 --workers 2 && tombola report stability_resnet20
tombola run "stability_resnet20(size=full)" && tombola report "stability_resnet20(size=full)"
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

from tombola import Agrees, Better, Beyond, Claim, Curve, Goal, NotWorse, Pivot, Published, Recipe, Refused
from tombola.archs.resnet import ResNet
from tombola.studies import _names, _stability, _stability_extras, _stability_tables
from tombola.studies._stability import ARMS, KEEP, Bench
from tombola.studies._stability_claims import (
    LATE,
    POINTS,
    SAME,
    against_dense,
    against_reinit,
    against_shuffle,
    at,
    attracted,
    basins,
    exchanged,
    hills,
    neighbours,
    repelled,
    undecayed,
)
from tombola.studies._stability_extras import EXTRAS
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10
from tombola.train.recipes import ResNet20
from tombola.train.schedules import StepDecay

QUESTION = "Does stable training find tickets at initialisation, and is it the noise that decides?"
NAMES = {**_names.STABILITY, **_names.REGIMES}
Size = Literal["full", "small"]
Affine = Literal["no", "yes"]
WORDS = ("warm-up", "undecayed", "short", "slow", "still", "fixed", "accumulated")
REGIMES = {
    "full": ("128", "512", "1024", "2048", "512 undecayed", "128 short", "128 slow"),
    "small": ("128", "1024", "128 short", "128 slow"),
}
LARGEST = {"full": 2048, "small": 1024}
ROUNDS = {"full": 24, "small": 17}
TWINS = (0, 5, 10, 15)
STATISTICS = ("interpolate", "recompute")
PARTS = ("weights", "distances", "twins", "rewound", "barriers", "functions", "crossed", "planes")
REWOUND = {"full": ("1ep", "3ep", "10ep", "30ep"), "small": ("1ep", "3ep", "10ep")}
"""When twins of the dense network of batch 128 part."""
PART = 128
"""Examples that see each other's statistics in an accumulated batch."""
EXTRA = {
    "full": {
        "2048": ("IMP, repelled", "reinit, repelled"),
        "128": ("LR rewinding", "IMP, attracted", "reinit, attracted"),
    },
    "small": {"128": ("LR rewinding",)},
}
"""Arms of some regimes alone: those of figure 3, and what the paper says that its tickets have no advantage over."""
SOURCE = "Maene et al. 2021, ResNet-20, read off a plot"
DENSE = {"128": 0.907, "512": 0.895, "1024": 0.885, "2048": 0.871}
LEAD = {("1024", 10): 0.03, ("2048", 10): 0.03, ("2048", 15): 0.06}
"""How far tickets are ahead of reinit at least, by regime and round."""
UNSTABLE = 60.0
"""Instability in points of training error where it is called so in the paper."""
NEAR, FAR = 0.45, 0.85
"""Mean angles between rounds where training is stable, and where it is not."""


def bench(size: Size, rounds: int, seed: int, regime: str, affine: Affine = "no") -> Bench:
    """One seed's search in one regime.

    Raises:
        Refused: If the regime is none.
    """
    batch, _, words = regime.partition(" ")
    if not batch.isdigit() or any(word not in WORDS for word in words.split()):
        raise Refused(f"regimes: '{regime}'. Write a batch size, and of {', '.join(WORDS)} what you like: '512 short'.")
    if size == "full":
        recipe: Recipe = ResNet20(batch=int(batch), evaluate="85ep")
        task, width, examples = Cifar10(), 16, 10_000
    else:
        drops = StepDecay(at=("16ep", "21ep"))
        optimizer = ResNet20().optimizer
        given: Any = {"steps": "25ep", "batch": int(batch), "optimizer": optimizer, "schedule": drops}
        recipe = Recipe(**given, validation=0.0, evaluate="25ep")
        task, width, examples = Cifar10(size=16, crop=2, few=10_000), 8, 2000
    changed: dict[str, float] = {"decay": 0.0} if "undecayed" in words else {}
    if "slow" in words:
        changed["lr"] = recipe.optimizer.lr * int(batch) / LARGEST[size]
    recipe = dataclasses.replace(recipe, optimizer=dataclasses.replace(cast(Any, recipe.optimizer), **changed))
    if "accumulated" in words:
        recipe = dataclasses.replace(recipe, accumulate=-(-int(batch) // PART))
    if "still" in words:
        task = dataclasses.replace(task, crop=0, flip="no")
    if "fixed" in words:
        task = dataclasses.replace(task, order="fixed")
    if "warm-up" in words:
        recipe = dataclasses.replace(recipe, warmup="10ep" if size == "full" else "3ep")
    if "short" in words:
        recipe = _shortened(recipe.in_steps(task), dataclasses.replace(recipe, batch=LARGEST[size]).in_steps(task))
    arch = ResNet(depth=20, width=width, bn_affine=affine)
    return Bench(arch, task, recipe, rounds, seed, STATISTICS, examples, words or "nothing")


def _shortened(recipe: Recipe, large: Recipe) -> Recipe:
    """A recipe with the steps of that of a larger batch, and its drops at the same steps."""
    schedule: Any = large.schedule
    return dataclasses.replace(recipe, steps=large.steps, evaluate=large.steps, warmup=large.warmup, schedule=schedule)


def goals(
    *,
    size: Size = "small",
    regimes: tuple[str, ...] = (),
    rounds: int = 0,
    seeds: tuple[int, ...] = (0, 1, 2),
    affine: Affine = "no",
    parts: tuple[str, ...] = ("weights", "distances", "twins", "rewound", "barriers", "functions", "crossed", "planes"),
    arms: tuple[str, ...] = (),
) -> Iterator[Goal]:
    """Tickets and their reinit in each regime; masks of one in another; twins, barriers, angles and weights.

    All regimes have the arms that are named, such as "shuffle", besides.
    """
    known("parts", parts, (*PARTS, *EXTRAS))
    known("arms", arms, ARMS)
    rounds = rounds or ROUNDS[size]
    chosen = regimes or REGIMES[size]
    benches = [(regime, bench(size, rounds, seed, regime, affine)) for seed in seeds for regime in chosen]
    levels = [level for level in TWINS if level <= rounds]
    extra = _stability.with_arms(EXTRA[size], chosen, arms)
    yield from _stability.of_regimes(benches, extra, parts, levels, _pairs(size), ("128", REWOUND[size]))
    for regime, one in benches:
        yield from _stability_extras.extra(one, parts, regime=regime)


def _pairs(size: Size) -> tuple[tuple[str, str], ...]:
    """The regimes whose masks change places: the smallest batch and the largest one."""
    large = str(LARGEST[size])
    return ((large, "128"), ("128", large))


def claims(
    *, size: Size, regimes: tuple[str, ...], rounds: int, parts: tuple[str, ...], arms: tuple[str, ...]
) -> Iterator[Claim]:
    """The numbers by which a reproduction is judged at full size; at any size, what large batches change."""
    rounds, chosen = rounds or ROUNDS[size], regimes or REGIMES[size]
    large = str(LARGEST[size])
    if size == "full":
        yield from _published(chosen, rounds, parts)
    for level in (one for one in (5, 10, 15) if one <= rounds):
        if large in chosen:
            ahead = Better(where=_row("IMP", large, level), than=_row("reinit", large, level))
            yield Claim(f"E1: {at(level)} tickets of batch {large} beat their reinit", tests=(ahead,), family="E1")
        if {large, "128"} <= set(chosen):
            ordinary = Better(where=_row("LR rewinding", "128", level), than=_row("IMP", large, level))
            sentence = f"{at(level)} LR rewinding with batch 128 beats tickets of batch {large}"
            yield Claim(sentence, tests=(ordinary,), family="ordinary pruning")
        yield from _small_batch(chosen, level)
        if "twins" in parts:
            yield from _twins(chosen, level)
        if "crossed" in parts and {large, "128"} <= set(chosen):
            yield from exchanged(large, "128", level)
    if "distances" in parts and {large, "128"} <= set(chosen):
        where, than = ({"probe": "distance", "arm": "IMP", "regime": regime} for regime in (large, "128"))
        near = Better(where=where, than=than, of="angle_mean", higher=False, clearance=0.05)
        sentence = f"E4: rounds of batch {large} are closer together than those of batch 128"
        yield Claim(sentence, tests=(near,), family="E4")
    if "barriers" in parts and large in chosen:
        yield from _statistics(large, rounds)
    if large in chosen:
        yield from against_reinit([level for level in (10, 15) if level <= rounds], parts, regime=large)
        judged, best = [level for level in (5, 10) if level <= rounds], "128" if "128" in chosen else large
        yield from against_dense(judged, large, best)
        if "shuffle" in arms:
            yield from against_shuffle(judged, large)
    if "rewound" in parts and "128" in chosen:
        yield from _rewound(size)
    for regime in chosen:
        yield from _stability_extras.claims(parts, rounds, regime=regime)


def _row(name: str, regime: str, level: int) -> dict[str, Any]:
    return {"name": name, "regime": regime, "level": level}


def _small_batch(chosen: Sequence[str], level: int) -> Iterator[Claim]:
    """E1 with batch 128: no tickets, nor with few steps; but with as little noise as a large batch has."""
    for regime in (one for one in ("128", "128 short", "128 slow") if one in chosen):
        ticket, reinit = _row("IMP", regime, level), _row("reinit", regime, level)
        if regime == "128 slow":
            sentence = f"{at(level)} tickets of batch {regime}, with the noise of a large one, beat their reinit"
            yield Claim(sentence, tests=(Better(where=ticket, than=reinit),), family="noise")
            continue
        same = (NotWorse(where=reinit, than=ticket, margin=SAME), NotWorse(where=ticket, than=reinit, margin=SAME))
        sentence = f"{at(level)} tickets of batch {regime} are within half a point of their reinit"
        family = "E1" if regime == "128" else "steps"
        yield Claim(f"E1: {sentence}" if family == "E1" else sentence, tests=same, family=family)


def _twins(chosen: Sequence[str], level: int) -> Iterator[Claim]:
    """E2, and whether the number of steps does what the noise is said to do."""
    families = {"128": "E2", "1024": "E2", "2048": "E2", "128 short": "steps", "128 slow": "noise"}
    for regime in (one for one in chosen if one in families and level in TWINS):
        where = {"probe": "instability", "regime": regime, "level": level, "stats": "interpolate"}
        stable, family = regime in ("1024", "2048", "128 slow"), families[regime]
        test = Beyond(where=where, value=_stability.STABLE, higher=not stable, **POINTS)
        sentence = f"{at(level)} training with batch {regime} is {'stable' if stable else 'unstable'}"
        yield Claim(f"E2: {sentence}" if family == "E2" else sentence, tests=(test,), family=family)


def _statistics(large: str, rounds: int) -> Iterator[Claim]:
    """E8 at the first cut, and how much of barriers is the statistics' doing."""
    where: Any = {"probe": "barrier", "to": "next", "arm": "IMP", "regime": large, "level": 0}
    first = Beyond(where={**where, "stats": "interpolate"}, value=5.0, **POINTS)
    yield Claim("E8: the first cut leaves the basin of the dense network", tests=(first,), family="E8")
    for level in dict.fromkeys((0, min(LATE, rounds - 1))):  # Between them there is no barrier to lower.
        pair = ({**where, "level": level, "stats": stats} for stats in ("recompute", "interpolate"))
        less = Better(**dict(zip(("where", "than"), pair, strict=True)), **POINTS, higher=False, clearance=1.0)
        sentence = f"{at(level)} the barrier to the next round is lower with statistics gathered anew"
        yield Claim(sentence, tests=(less,), family="statistics")


def _rewound(size: Size) -> Iterator[Claim]:
    """Frankle et al. 2020, figure 3: the later twins part, the less there is between them."""
    recipe = bench(size, 0, 0, "128")
    last = dataclasses.replace(recipe.recipe, rewind=REWOUND[size][-1]).in_steps(recipe.task).rewind
    late: Any = {"probe": "rewound", "regime": "128", "k": last, "stats": "interpolate"}
    early: Any = {"probe": "instability", "regime": "128", "level": 0, "stats": "interpolate"}
    less = Better(where=late, than=early, **POINTS, higher=False, clearance=1.0)
    sentence = f"dense twins of batch 128 that part after {last} steps are closer than those that part at once"
    yield Claim(sentence, tests=(less,), family="rewinding")


def _published(chosen: Sequence[str], rounds: int, parts: tuple[str, ...]) -> Iterator[Claim]:
    for regime, value in DENSE.items():
        if regime in chosen:
            published = Published(value=value, source=SOURCE, reading=0.002)
            test = Agrees(where=_row("IMP", regime, 0), published=published, margin=SAME)
            yield Claim(f"the dense network of batch {regime} reaches {value:.1%}", tests=(test,), family="published")
    for (regime, level), margin in LEAD.items():
        if regime in chosen and level <= rounds:
            ahead = Better(where=_row("IMP", regime, level), than=_row("reinit", regime, level), margin=margin)
            lead = f"{100 * margin:.0f} points ahead of reinit"
            yield Claim(f"E1: tickets of batch {regime} at {KEEP**level:.1%} are {lead}", tests=(ahead,), family="E1")
    for regime, value, higher in (("128", FAR, True), ("2048", NEAR, False)):
        if regime in chosen and "distances" in parts:
            where = {"probe": "distance", "arm": "IMP", "regime": regime}
            test = Beyond(where=where, of="angle_mean", value=value, higher=higher)
            said = f"{'above' if higher else 'below'} {value}"
            yield Claim(f"E4: the mean angle between rounds of batch {regime} is {said}", tests=(test,), family="E4")
    levels = [level for level in (5, 10, 15) if level <= rounds]
    if "2048" in chosen:
        yield from repelled(levels, "2048", 0.01)
        if "distances" in parts:
            yield from neighbours(rounds, regime="2048")
        if "barriers" in parts:
            yield from basins(rounds, regime="2048", stats="interpolate")
    for regime in (one for one in ("128", "2048") if one in chosen):
        if "weights" in parts and rounds >= 10:
            yield hills(10, regime, 1 if regime == "128" else 2)
    if "128" in chosen:
        yield from attracted(levels, "128")
    if {"512", "512 undecayed"} <= set(chosen):
        yield from undecayed([level for level in (10, 12, 15) if level <= rounds], "512")
    if "128" in chosen and rounds >= 10:
        test = Beyond(where=_row("IMP, attracted", "128", 10), of="test_accuracy", value=0.885)
        yield Claim("E3: the attracted ticket of batch 128 at 10.7% is above 88.5%", tests=(test,), family="E3")
    if "128" in chosen and "twins" in parts and rounds >= 10:
        where = {"probe": "instability", "regime": "128", "level": 10, "stats": "interpolate"}
        test = Beyond(where=where, of="train_error_barrier_points", value=UNSTABLE)
        yield Claim("E2: instability of batch 128 at 10.7% is above 60 points", tests=(test,), family="E2")


def figures(*, size: Size, regimes: tuple[str, ...], rounds: int, parts: tuple[str, ...]) -> Iterator[Curve]:
    """Accuracy against density by regime; instability by round, batch and step k; barriers, weights."""
    yield from _stability_tables.figures(regimes or REGIMES[size], parts, STATISTICS, rounds or ROUNDS[size])


def tables(*, size: Size, regimes: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[Pivot]:
    """By regime, level by level."""
    yield from _stability_tables.tables(regimes or REGIMES[size], parts, STATISTICS)
