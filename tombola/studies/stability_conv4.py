"""Why tickets win, Conv-4 on CIFAR-10: Maene et al. 2021

Conv-4 is trained stably by its usual recipe, and has tickets at its start. With more weight decay, drops of the rate
and batches of 16 it is not stable ("unstable"), and has none; with batches of 128 and all else as unstable ("stable
again") it has them again. Repelled from the networks of earlier rounds, tickets of the usual recipe lose their lead.

size=full is the paper's, for a GPU. size=small takes some hours on two cores: an eighth of the channels, pictures of 16
x 16 pixels, 10,000 of them, 20 epochs, 15 rounds.

tombola run stability_conv4 --workers 2 && tombola report stability_conv4
tombola run "stability_conv4(size=full)" && tombola report "stability_conv4(size=full)"
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from tombola import Agrees, Better, Beyond, Claim, Curve, Goal, NotWorse, Pivot, Published, Recipe
from tombola.archs.conv import Conv
from tombola.studies import _names, _stability, _stability_extras, _stability_tables
from tombola.studies._stability import ARMS, KEEP, Bench
from tombola.studies._stability_claims import against_dense, against_reinit, against_shuffle, basins, repelled
from tombola.studies._stability_extras import EXTRAS
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10
from tombola.train.recipes import Conv4, Conv4Unstable
from tombola.train.schedules import StepDecay

QUESTION = "Is it the training method that takes tickets away, and gives them back?"
NAMES = _names.STABILITY
Size = Literal["full", "small"]
REGIMES: dict[str, Recipe] = {
    "usual": Conv4(evaluate="75ep"),
    "unstable": Conv4Unstable(evaluate="75ep"),
    "stable again": Conv4Unstable(batch=128, evaluate="75ep"),
}
EXTRA = {"usual": ("IMP, repelled", "reinit, repelled")}
ROUNDS = {"full": 24, "small": 15}
TWINS = (0, 5, 10, 15)
PARTS = ("weights", "distances", "twins", "barriers", "functions", "planes")
SOURCE = "Maene et al. 2021, Conv-4, read off a plot"
ACCURACIES = {
    ("usual", "IMP"): {10: 0.880, 15: 0.871},
    ("usual", "reinit"): {10: 0.839},
    ("usual", "IMP, repelled"): {10: 0.843, 15: 0.79},
    ("unstable", "IMP"): {0: 0.889, 6: 0.876, 12: 0.853, 15: 0.825},
    ("unstable", "reinit"): {12: 0.847},
    ("stable again", "IMP"): {0: 0.878, 6: 0.8875, 12: 0.885, 15: 0.876, 21: 0.842},
    ("stable again", "reinit"): {6: 0.870, 12: 0.828},
}
ANGLES = {("usual", "IMP"): 0.25, ("usual", "reinit"): 0.57, ("unstable", "IMP"): 0.93, ("stable again", "IMP"): 0.39}
SAME = 0.005


def bench(size: Size, rounds: int, seed: int, regime: str) -> Bench:
    """One seed's search in one regime."""
    recipe = REGIMES[regime]
    if size == "full":
        return Bench(Conv(layers=4), Cifar10(), recipe, rounds, seed)
    schedule = StepDecay(at=("15ep", "17ep")) if regime != "usual" else recipe.schedule
    short: Any = {"steps": "20ep", "schedule": schedule, "evaluate": "20ep"}
    recipe = dataclasses.replace(recipe, **short)
    return Bench(Conv(layers=4, width=8), Cifar10(size=16, crop=2, few=10_000), recipe, rounds, seed, examples=2000)


def goals(
    *,
    size: Size = "small",
    regimes: tuple[str, ...] = ("usual", "unstable", "stable again"),
    rounds: int = 0,
    seeds: tuple[int, ...] = (0, 1, 2),
    parts: tuple[str, ...] = ("weights", "distances", "twins", "barriers", "functions", "planes"),
    arms: tuple[str, ...] = (),
) -> Iterator[Goal]:
    """Tickets and their reinit in each regime, repelled ones in the usual; twins, barriers, angles and weights.

    All regimes have the arms that are named, such as "shuffle", besides.
    """
    known("arms", arms, ARMS)
    known("regimes", regimes, REGIMES)
    known("parts", parts, (*PARTS, *EXTRAS))
    rounds = rounds or ROUNDS[size]
    levels = [level for level in TWINS if level <= rounds]
    benches = [(regime, bench(size, rounds, seed, regime)) for seed in seeds for regime in regimes]
    yield from _stability.of_regimes(benches, _stability.with_arms(EXTRA, regimes, arms), parts, levels)
    for regime, one in benches:
        yield from _stability_extras.extra(one, parts, regime=regime)


def claims(
    *, size: Size, regimes: tuple[str, ...], rounds: int, parts: tuple[str, ...], arms: tuple[str, ...]
) -> Iterator[Claim]:
    """E9 and E3, and the published values at full size."""
    rounds = rounds or ROUNDS[size]
    if size == "full":
        yield from _published(regimes, rounds, parts)
    for level in (one for one in (6, 10, 15) if one <= rounds):
        at = f"at {KEEP**level:.1%} of the weights"
        for regime in (one for one in ("usual", "stable again") if one in regimes):
            ahead = Better(where=_row("IMP", regime, level), than=_row("reinit", regime, level))
            yield Claim(f"E9: {at} tickets of '{regime}' beat their reinit", tests=(ahead,), family="E9")
        if "unstable" in regimes:
            pair = _row("IMP", "unstable", level), _row("reinit", "unstable", level)
            same = NotWorse(where=pair[1], than=pair[0], margin=SAME)
            sentence = f"E9: {at} tickets of 'unstable' are no more than half a point ahead of their reinit"
            yield Claim(sentence, tests=(same,), family="E9")
        if "usual" in regimes:
            yield from repelled((level,), "usual", 0.01)
    for regime in (one for one in ("usual", "stable again") if one in regimes):
        yield from against_reinit([level for level in (10, 15) if level <= rounds], parts, regime=regime)
        best = "unstable" if "unstable" in regimes else regime  # By the paper.
        yield from against_dense([level for level in (6, 10) if level <= rounds], regime, best)
        if "shuffle" in arms:
            yield from against_shuffle([level for level in (6, 10, 15) if level <= rounds], regime)
        if "barriers" in parts and size == "full":
            yield from basins(rounds, late="joined", regime=regime)
    for regime in regimes:
        yield from _stability_extras.claims(parts, rounds, regime=regime)
    for regime in regimes if "twins" in parts else ():
        stable = regime != "unstable"
        for level in (one for one in TWINS if one <= rounds):
            how: Any = {"of": "train_error_barrier_points", "error": "train_error_barrier_points_error"}
            where = {"probe": "instability", "regime": regime, "level": level}
            test = Beyond(where=where, value=_stability.STABLE, higher=not stable, **how)
            sentence = f"'{regime}' is {'stable' if stable else 'unstable'} at {KEEP**level:.1%} of the weights"
            yield Claim(sentence, tests=(test,), family="stability")


def _row(name: str, regime: str, level: int) -> dict[str, Any]:
    return {"name": name, "regime": regime, "level": level}


def _published(regimes: tuple[str, ...], rounds: int, parts: tuple[str, ...]) -> Iterator[Claim]:
    for (regime, arm), values in ACCURACIES.items():
        for level, value in values.items():
            if regime in regimes and level <= rounds:
                published = Published(value=value, source=SOURCE, reading=0.002)
                test = Agrees(where=_row(arm, regime, level), published=published, margin=SAME)
                sentence = f"{arm} of '{regime}' at {KEEP**level:.2%} of the weights reaches {value:.1%}"
                yield Claim(sentence, tests=(test,), family="published figures")
    for (regime, arm), value in ANGLES.items():
        if regime in regimes and "distances" in parts and rounds == ROUNDS["full"]:
            published = Published(value=value, source=SOURCE, reading=0.02)
            where = {"probe": "distance", "arm": arm, "regime": regime}
            test = Agrees(where=where, published=published, of="angle_mean", margin=0.03)
            yield Claim(
                f"E4: the mean angle between rounds of {arm} of '{regime}' is {value}", tests=(test,), family="E4"
            )


def figures(*, size: Size, regimes: tuple[str, ...], rounds: int, parts: tuple[str, ...]) -> Iterator[Curve]:
    """Accuracy against density by regime; instability, barriers and weights by round."""
    yield from _stability_tables.figures(regimes, parts, ("",), rounds or ROUNDS[size])


def tables(*, regimes: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[Pivot]:
    """By regime, level by level."""
    yield from _stability_tables.tables(regimes, parts, ("",))
