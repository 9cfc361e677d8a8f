"""Statements of Maene et al. 2021 on the mechanism, E3 to E8, as claims on the rows of the studies of stability."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tombola import Better, Beyond, Claim, NotWorse
from tombola.studies._stability import KEEP, STABLE, masks_of

POINTS: Any = {"of": "train_error_barrier_points", "error": "train_error_barrier_points_error"}
NEIGHBOURS = 0.2
"""Angles between neighbouring rounds of a stable search, of 50 to 10 % of the weights, are smaller."""
SAME_BASIN, OTHER_BASIN = 1.0, 10.0
"""Barriers in points between neighbouring rounds in one basin, and in two."""
MEDIUM = (3, 6, 10, 13)
"""Rounds from 51 to 5.5 % of the weights, whose next ones are in the same basin."""
LATE = 20
"""From this round on, of 1.2 %, those of ResNet-20 no longer are."""
SAME = 0.005
"""Half a point: what lies so close to a reinit is no better."""
HILLS = 0.5
"""A histogram of weights that at 0 is less than half as high as at its highest has two hills."""


def at(level: int) -> str:
    """How sparse a round is, in words.

    Example:
        >>> at(10)
        'at 10.7% of the weights'
    """
    return f"at {KEEP**level:.1%} of the weights"


def against_reinit(levels: Sequence[int], parts: Sequence[str], **labels: Any) -> Iterator[Claim]:
    """E5 and E6, and answers: a ticket's weights have grown, and it is the function that it was."""
    who = f" of '{labels['regime']}'" if labels else ""
    for level in levels:
        if "weights" in parts:
            higher = _nearer("weights", level, of="threshold", higher=True, **labels)
            sentence = f"E6: {at(level)} the next cut{who} falls higher than that of reinit"
            yield Claim(sentence, tests=(higher,), family="E6")
            valley = _nearer("weights", level, of="valley", clearance=0.05, **labels)
            sentence = (
                f"E5: {at(level)} there are fewer small weights{who} than in reinit, against the most frequent ones"
            )
            yield Claim(sentence, tests=(valley,), family="E5")
        if "functions" in parts:
            alike = _nearer("disagreement", level, of="disagreement", **labels)
            sentence = f"{at(level)} tickets{who} answer more like the dense network than reinit does"
            yield Claim(sentence, tests=(alike,), family="answers")


def hills(level: int, regime: str, number: Literal[1, 2]) -> Claim:
    """E5: stable training leaves hardly a small weight, so that there is a hill on either side of 0."""
    where = {"probe": "weights", "arm": "IMP", "level": level, "regime": regime}
    test = Beyond(where=where, of="valley", value=HILLS, higher=number == 1)
    said = "one hill, at 0" if number == 1 else "a hill on either side of 0"
    return Claim(f"E5: {at(level)} the weights of tickets of '{regime}' have {said}", tests=(test,), family="E5")


def against_dense(levels: Sequence[int], regime: str, best: str) -> Iterator[Claim]:
    """A ticket is as good as its own dense network; that may be worse than a dense one that was trained otherwise."""
    for level in levels:
        ticket = {"name": "IMP", "regime": regime, "level": level}
        own, other = ({"name": "IMP", "regime": name, "level": 0} for name in (regime, best))
        as_good = NotWorse(where=ticket, than=own, equal_density="any")
        sentence = f"{at(level)} tickets of '{regime}' are as good as its dense network"
        yield Claim(sentence, tests=(as_good,), family="dense networks")
        if best != regime:
            ahead = Better(where=other, than=ticket, equal_density="any")
            sentence = f"the dense network of '{best}' beats tickets of '{regime}' {at(level)}"
            yield Claim(sentence, tests=(ahead,), family="dense networks")


def against_shuffle(levels: Sequence[int], regime: str) -> Iterator[Claim]:
    """It matters which weights of a layer live, not only how many."""
    for level in levels:
        ticket, shuffled = ({"name": name, "regime": regime, "level": level} for name in ("IMP", "shuffle"))
        sentence = f"{at(level)} tickets of '{regime}' beat as many weights of each layer at random places"
        yield Claim(sentence, tests=(Better(where=ticket, than=shuffled),), family="shuffle")


def _nearer(probe: str, level: int, *, of: str, higher: bool = False, clearance: float = 0.0, **labels: Any) -> Better:
    """That a number is lower for IMP than for its reinit."""
    where, than = ({"probe": probe, "arm": arm, "level": level, **labels} for arm in ("IMP", "reinit"))
    return Better(where=where, than=than, of=of, higher=higher, clearance=clearance)


def basins(rounds: int, *, late: Literal["apart", "joined"] = "apart", **labels: Any) -> Iterator[Claim]:
    """E8: neighbours are in one basin at medium sparsity; those of reinit never are.

    At 1.2 % of the weights neighbours of ResNet-20 lie "apart", and those of Conv-4 are still "joined".
    """
    where: Any = {"probe": "barrier", "to": "next", **labels}
    for level in (one for one in MEDIUM if one < rounds):
        near = Beyond(where={**where, "arm": "IMP", "level": level}, value=SAME_BASIN, higher=False, **POINTS)
        sentence = f"E8: {at(level)} there is less than a point between a ticket and the next"
        yield Claim(sentence, tests=(near,), family="E8")
        apart = Beyond(where={**where, "arm": "reinit", "level": level}, value=OTHER_BASIN, **POINTS)
        yield Claim(f"E8: {at(level)} there are 10 points between reinits", tests=(apart,), family="E8")
    if rounds > LATE:
        apart = late == "apart"
        value, said = (OTHER_BASIN, "10 points") if apart else (STABLE, "less than 2 points")
        test = Beyond(where={**where, "arm": "IMP", "level": LATE}, value=value, higher=apart, **POINTS)
        verb = "are" if apart else "is"
        yield Claim(f"E8: {at(LATE)} there {verb} {said} between a ticket and the next", tests=(test,), family="E8")


def neighbours(rounds: int, **labels: Any) -> Iterator[Claim]:
    """E4: at medium sparsity a ticket ends close to where the one before it ended."""
    where = {"probe": "distance", "arm": "IMP", **labels}
    for level in (one for one in (3, 6, 9) if one < rounds):
        test = Beyond(where=where, of=f"angle_{level}_to_{level + 1}", value=NEIGHBOURS, higher=False)
        sentence = f"E4: {at(level)} the angle to the next round of '{labels['regime']}' is below {NEIGHBOURS}"
        yield Claim(sentence, tests=(test,), family="E4")


def repelled(levels: Sequence[int], regime: str, same: float) -> Iterator[Claim]:
    """E3: away from all earlier networks a ticket is what its reinit is, and reinit loses nothing."""
    for level in levels:
        ticket, away, reinit, both = (
            {"name": name, "regime": regime, "level": level}
            for name in ("IMP", "IMP, repelled", "reinit", "reinit, repelled")
        )
        lost = Better(where=ticket, than=away)
        yield Claim(f"E3: {at(level)} the ticket beats the repelled one", tests=(lost,), family="E3")
        alike = tuple(NotWorse(where=a, than=b, margin=same) for a, b in ((away, reinit), (reinit, away)))
        said = f"within {100 * same:.0f} point of reinit" if same == 0.01 else f"within {100 * same:g} points of reinit"
        yield Claim(f"E3: {at(level)} the repelled ticket is {said}", tests=alike, family="E3")
        kept = NotWorse(where=both, than=reinit, margin=same)
        yield Claim(f"E3: {at(level)} repelled reinit is {said}, or better", tests=(kept,), family="E3")


def attracted(levels: Sequence[int], regime: str) -> Iterator[Claim]:
    """E3: towards all earlier networks unstable training finds tickets too, but reinit gains nothing."""
    for level in levels:
        ticket, near, reinit, both = (
            {"name": name, "regime": regime, "level": level}
            for name in ("IMP", "IMP, attracted", "reinit", "reinit, attracted")
        )
        gained = Better(where=near, than=ticket)
        yield Claim(f"E3: {at(level)} the attracted ticket beats the plain one", tests=(gained,), family="E3")
        lost = Better(where=reinit, than=both)
        yield Claim(f"E3: {at(level)} attracted reinit loses to plain reinit", tests=(lost,), family="E3")


def exchanged(large: str, small: str, level: int) -> Iterator[Claim]:
    """Is it finding a ticket, or training it, that has to be stable? Regimes are batch sizes."""
    borrowed, own = ({"name": name, "regime": small, "level": level} for name in (masks_of(large), "reinit"))
    sentence = f"{at(level)} masks of batch {large} trained with batch {small} are half a point ahead of reinit at most"
    yield Claim(sentence, tests=(NotWorse(where=own, than=borrowed, margin=SAME),), family="crossed")
    ticket, borrowed = ({"name": name, "regime": large, "level": level} for name in ("IMP", masks_of(small)))
    sentence = f"{at(level)} tickets of batch {large} beat masks of batch {small} that are trained like them"
    yield Claim(sentence, tests=(Better(where=ticket, than=borrowed),), family="crossed")


def undecayed(levels: Sequence[int], regime: str) -> Iterator[Claim]:
    """E7: weight decay draws tickets away from their old large values."""
    for level in levels:
        freed, usual = ({"name": "IMP", "regime": name, "level": level} for name in (f"{regime} undecayed", regime))
        sentence = f"E7: {at(level)} tickets of batch {regime} without weight decay beat those with it"
        yield Claim(sentence, tests=(Better(where=freed, than=usual),), family="E7")
