"""Why tickets win, LeNet-300-100: Maene et al. 2021

LeNet-300-100 is stable from its start, so that pruning with a reset to it finds tickets. Does a ticket win because it
trains back to where the network was that it was cut from? Repelled from there it should lose what it was ahead of its
reinit; all rounds should lie in one region, and neighbours in one basin.

size=full is the paper's: MNIST, 25 epochs, down to 0.5 % of the weights; some hours on two cores, which may be stopped
and gone on with. size=small is a minute or two of scanned digits.

tombola run stability_lenet --workers 2 && tombola report stability_lenet
tombola run "stability_lenet(size=small)" && tombola report "stability_lenet(size=small)"
"""

from collections.abc import Iterator
from typing import Any, Literal

from tombola import Agrees, Better, Beyond, Claim, Curve, Goal, NotWorse, Pivot, Published
from tombola.archs.mlp import Mlp
from tombola.studies import _names, _stability, _stability_extras
from tombola.studies._stability import ARMS, ARMS_PROBED, KEEP, Bench
from tombola.studies._stability_claims import against_reinit
from tombola.studies._stability_extras import EXTRAS
from tombola.studies._words import known
from tombola.tasks.digits import Digits
from tombola.tasks.mnist import Mnist
from tombola.train.recipes import LeNet, Quickstart

QUESTION = "Does a ticket win because it trains to where the network was that it was cut from?"
NAMES = _names.STABILITY
Size = Literal["full", "small"]
SOURCE = "Maene et al. 2021, LeNet, read off a plot"
READING = 0.002
"""How exactly accuracies can be read off: 0.2 points."""
ACCURACIES = {
    "IMP": {15: 0.9835, 21: 0.9784, 24: 0.972},
    "reinit": {15: 0.9807, 21: 0.9685, 24: 0.950},
    "IMP, repelled": {15: 0.978, 21: 0.966, 24: 0.947},
}
ANGLES = {"IMP": 0.26, "reinit": 0.76}
ANGLE_READING = 0.02
JUDGED = (15, 21, 24)
TWINS = (0, 5, 10, 15, 20)
SHOWN = (0, 10, 20)
"""Rounds whose barriers and weights are drawn in full."""
SAME = 0.005
"""Half a point: so much may a repelled network be ahead of a reinit."""


def bench(size: Size, rounds: int, seed: int) -> Bench:
    """One seed's search."""
    if size == "full":
        return Bench(Mlp(), Mnist(), LeNet(), rounds, seed)
    return Bench(Mlp(), Digits(), Quickstart(), rounds, seed)


def goals(
    *,
    size: Size = "full",
    rounds: int = 24,
    seeds: tuple[int, ...] = (0, 1, 2),
    arms: tuple[str, ...] = ("IMP", "reinit", "IMP, repelled", "reinit, repelled", "IMP, repelled from the last"),
    parts: tuple[str, ...] = ("weights", "distances", "twins", "barriers", "functions", "planes"),
) -> Iterator[Goal]:
    """Networks of all arms; angles between their rounds, planes, barriers, twins, weights and answers."""
    known("arms", arms, ARMS)
    known("parts", parts, ("weights", "distances", "twins", "barriers", "functions", "planes", *EXTRAS))
    benches = [bench(size, rounds, seed) for seed in seeds]
    for one in benches:
        yield from _stability.accuracies(one, arms)
    probed = tuple(arm for arm in ARMS_PROBED if arm in arms)
    levels = tuple(range(1, rounds + 1))
    for one in benches:
        if "weights" in parts:
            yield from _stability.weighed(one, probed)
        if "distances" in parts:
            yield from _stability.regions(one, arms)
        if "twins" in parts:
            yield from _stability.twins(one, probed[:1], [level for level in TWINS if level <= rounds])
        if "barriers" in parts:
            yield from _stability.basins(one, probed, levels)
        if "functions" in parts:
            yield from _stability.functions(one, probed, levels)
        if "planes" in parts:
            yield from _stability.planes(one, probed)
        if set(ARMS_PROBED) <= set(arms):
            yield from _stability_extras.extra(one, parts)


def claims(*, size: Size, rounds: int, arms: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[Claim]:
    """E3, E4, E5, E6 and E8 of the paper, as far as they are of LeNet."""
    levels = [level for level in JUDGED if level <= rounds]
    if size == "full":
        yield from _published(arms, levels)
    yield from _repelled(arms, levels)
    if "distances" in parts:
        yield from _regions(size, rounds, arms)
    if "barriers" in parts and size == "full":  # Of digits no barrier is that high.
        for arm, value, higher in (("IMP", 1.0, False), ("reinit", 10.0, True)):
            if arm in arms:
                where = {"probe": "barrier", "to": "next", "arm": arm}
                how: Any = {"of": "train_error_barrier_points", "by": ("seed", "level"), "higher": higher}
                test = Beyond(where=where, value=value, **how)
                said = "more than 10 points" if higher else "less than a point"
                sentence = f"E8: barriers between neighbouring rounds of {arm} are {said} on average"
                yield Claim(sentence, tests=(test,), family="E8")
    for level in TWINS if "twins" in parts else ():
        if level <= rounds:
            where = {"probe": "instability", "level": level}
            how = {"of": "test_error_barrier_points", "error": "test_error_barrier_points_error"}
            test = Beyond(where=where, value=_stability.STABLE, higher=False, **how)  # type: ignore[arg-type]
            who = "the dense network" if not level else f"the ticket at {KEEP**level:.2%} of the weights"
            yield Claim(f"{who} is stable", tests=(test,), family="stability")
    if {"IMP", "reinit"} <= set(arms):
        yield from against_reinit([level for level in (10, 15, 20) if level <= rounds], parts)
        yield from _stability_extras.claims(parts, rounds)


def _published(arms: tuple[str, ...], levels: list[int]) -> Iterator[Claim]:
    for arm, values in ACCURACIES.items():
        for level, value in values.items():
            if arm in arms and level in levels:
                published = Published(value=value, source=SOURCE, reading=READING)
                test = Agrees(where={"name": arm, "level": level}, published=published)
                sentence = f"{arm} at {KEEP**level:.2%} of the weights reaches {value:.2%}"
                yield Claim(sentence, tests=(test,), family="published figures")


def _repelled(arms: tuple[str, ...], levels: list[int]) -> Iterator[Claim]:
    """E3: tickets win, repelled they do not; repelled from the last network alone they go back to the one before."""
    for level in levels:
        at = f"at {KEEP**level:.2%} of the weights"

        def where(arm: str, level: int = level) -> dict[str, Any]:
            return {"name": arm, "level": level}

        if {"IMP", "reinit"} <= set(arms):
            ahead = Better(where=where("IMP"), than=where("reinit"))
            yield Claim(f"{at} the ticket beats its reinit", tests=(ahead,), family="ticket against reinit")
        if {"IMP", "IMP, repelled"} <= set(arms):
            ahead = Better(where=where("IMP"), than=where("IMP, repelled"))
            yield Claim(f"E3: {at} the ticket beats the repelled one", tests=(ahead,), family="E3")
        if {"reinit", "IMP, repelled"} <= set(arms):
            same = NotWorse(where=where("reinit"), than=where("IMP, repelled"), margin=SAME)
            sentence = f"E3: {at} repelled tickets are no more than half a point ahead of reinit"
            yield Claim(sentence, tests=(same,), family="E3")
        if {"reinit", "IMP, repelled from the last"} <= set(arms):
            ahead = Better(where=where("IMP, repelled from the last"), than=where("reinit"))
            sentence = f"E3: {at} tickets that are repelled from the last network alone beat reinit"
            yield Claim(sentence, tests=(ahead,), family="E3, memory")


def _regions(size: Size, rounds: int, arms: tuple[str, ...]) -> Iterator[Claim]:
    """E4: rounds of a search lie in one region, those of reinit do not."""
    for arm, value in ANGLES.items():
        if arm in arms and size == "full" and rounds == 24:
            published = Published(value=value, source=SOURCE, reading=ANGLE_READING)
            test = Agrees(where={"probe": "distance", "arm": arm}, published=published, of="angle_mean", margin=0.03)
            yield Claim(f"E4: the mean angle between rounds of {arm} is {value}", tests=(test,), family="E4")
    if {"IMP", "reinit"} <= set(arms):
        sides: Any = {name: {"probe": "distance", "arm": arm} for name, arm in (("where", "IMP"), ("than", "reinit"))}
        near = Better(**sides, of="angle_mean", higher=False, clearance=0.05)
        yield Claim("E4: rounds of IMP are closer together than those of reinit", tests=(near,), family="E4")
    if "IMP, repelled from the last" in arms and size == "full" and rounds > 1:
        where = {"probe": "distance", "arm": "IMP, repelled from the last"}
        back = (
            Beyond(where=where, of="angle_next_mean", value=0.9),
            Beyond(where=where, of="angle_second_mean", value=0.6, higher=False),
        )
        sentence = "E3: repelled from the last network alone, training goes back to the one before it"
        yield Claim(sentence, tests=back, family="E3, memory")


def figures(*, rounds: int, parts: tuple[str, ...]) -> Iterator[Curve]:
    """Accuracy against density, barriers, thresholds and answers by round."""
    yield Curve(baseline={"name": "IMP", "level": 0}, title="Accuracy against density")
    level: Any = {"x": "level", "by": "arm", "log_x": False}
    if "barriers" in parts:
        for to, title in (("next", "to the next round"), ("from the dense one", "from the dense network")):
            where = {"probe": "barrier", "to": to}
            yield Curve(y="train_error_barrier_points", where=where, title=f"Barrier {title}, training error", **level)
        for number in (one for one in SHOWN if one < rounds):
            where = {"probe": "barrier", "to": "next", "level": number}
            begun = f"the network at {KEEP**number:.2%} of the weights" if number else "the dense network"
            title = f"From {begun} to the next round: training error"
            line: Any = {"table": "curve", "x": "t", "by": "arm", "log_x": False}
            yield Curve(y="train_error", where=where, title=title, **line)
    if "weights" in parts:
        yield Curve(y="threshold", where={"probe": "weights"}, title="Where the next cut falls", **level)
        for number in (one for one in SHOWN if 0 < one <= rounds):
            where = {"probe": "weights", "level": number}
            bars: Any = {"table": "histogram", "x": "weight", "y": "share", "by": "arm", "log_x": False}
            yield Curve(where=where, title=f"Living weights at {KEEP**number:.2%}", **bars)
    if "functions" in parts:
        where = {"probe": "disagreement"}
        yield Curve(y="disagreement", where=where, title="Answers unlike the dense network's", **level)


def tables(*, arms: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[Pivot]:
    """Level by level."""
    yield Pivot(title="Accuracy, level by level")
    shown: Any = {"verdicts": "hide", "beside": ()}
    if "distances" in parts:
        for of, title in (
            ("angle_mean", "all rounds"),
            ("angle_next_mean", "neighbours"),
            ("angle_second_mean", "two apart"),
        ):
            where = {"probe": "distance"}
            yield Pivot(of=of, lines="arm", columns="", where=where, title=f"Mean angle, {title}", **shown)
    if "twins" in parts:
        where = {"probe": "instability"}
        title = "Instability in points of test error"
        yield Pivot(of="test_error_barrier_points", columns="arm", where=where, title=title, **shown)
    if "barriers" in parts:
        for to in ("next", "from the dense one"):
            where = {"probe": "barrier", "to": to}
            for split in ("train", "test"):
                title = f"Barrier in points of {split} error: {to}"
                yield Pivot(of=f"{split}_error_barrier_points", columns="arm", where=where, title=title, **shown)
    if "weights" in parts:
        for of in ("threshold", "valley", "bimodality"):
            yield Pivot(of=of, columns="arm", where={"probe": "weights"}, title=of, **shown)
    if "functions" in parts:
        where = {"probe": "disagreement"}
        yield Pivot(of="disagreement", columns="arm", where=where, title="Answers unlike the dense ones", **shown)
    if set(ARMS_PROBED) <= set(arms):
        yield from _stability_extras.tables(parts, ("",))
