"""What Chen et al. 2021 say of elastic tickets, figure by figure, as claims on the rows of `elastic_cifar`.

The letters are those of the paper's figures: F3a is the first statement on figure 3. Where the paper compared tickets
of different densities, these compare them at the target's.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from tombola import Agrees, Better, Beyond, Claim, NotWorse, Published
from tombola.studies._elastic import GROWN, KEEP

SAME = 0.005
"""So close are two that the paper calls comparable, or about the same: half a point."""
HIGH = 0.2
"""Below this density the paper's statements on high sparsity are meant."""
HALF = 0.5
"""From this density down the paper has the whole ticket among the best of figure 3."""
STABLE = 2.0
"""Twins with less of a barrier between them, in points, are in one basin (Frankle et al. 2020)."""
FAR = {(14, 44), (14, 56), (14, 32)}
"""Transfers of which the paper says that they beat no control clearly."""
PUBLISHED = {(20, 20): 0.9107, (32, 32): 0.9222, (20, 32): 0.9138}
"""Test accuracy of tickets by source and target, at this level of pruning."""
PUBLISHED_LEVEL = 10
LONGEST = GROWN[-1]
"""Of the rivals that move their weights the one that the paper compares with."""
Where = dict[str, str | int]


def of_transfers(level: int, nets: tuple[int, ...], controls: tuple[str, ...], figure: str) -> Iterator[Claim]:
    """F6a and F7: tickets of other depths are as good as the target's own, and beat what was not carried.

    Of networks that move their weights figure 6 has none; in table 2, on ImageNet, RigL-5x beats both carried tickets.
    """
    for source, net in itertools.permutations(nets, 2):
        carried, own = _carried(level, net, source), _own(level, net)
        same = NotWorse(where=carried, than=own, margin=SAME)
        yield Claim(f"{source} to {net} {_at(level)} is within 0.5 points of its own", tests=(same,), family=figure)
        for name in controls:
            rival: Where = {"level": level, "net": net, "rival": name}
            if name == LONGEST:
                ahead = Better(where=rival, than=carried)
                yield Claim(f"{name}, beats {source} to {net} {_at(level)}", tests=(ahead,), family="table 2")
            elif name not in GROWN and (source, net) not in FAR:
                ahead = Better(where=carried, than=rival)
                yield Claim(f"{source} to {net} {_at(level)} beats {name}", tests=(ahead,), family=f"{figure}a")


def of_published(level: int, nets: tuple[int, ...]) -> Iterator[Claim]:
    """What is known exactly of figure 6's networks: three points are in table 6, the carried ticket interpolated."""
    for (source, net), value in PUBLISHED.items() if level == PUBLISHED_LEVEL else ():
        if {source, net} <= set(nets):
            said = Published(value=value, source="Chen et al. 2021, table 6", reading=0.00005)
            arm = "ticket" if source == net else "interpolated"
            test = Agrees(where={"level": level, "net": net, "source": source, "arm": arm}, published=said)
            which = "the own ticket of" if source == net else f"the interpolated ticket of {source} in"
            yield Claim(f"{which} {net} {_at(level)} reaches {value:.2%}", tests=(test,), family="published")


def interpolated(level: int, nets: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The pairs whose published number is of a ticket that was interpolated, where figure 6 appends."""
    return tuple(p for p in PUBLISHED if level == PUBLISHED_LEVEL and p[0] != p[1] and set(p) <= set(nets))


def twins_level(levels: tuple[int, ...]) -> int:
    """The level of figure 8: the paper's where it is judged, or the highest."""
    return PUBLISHED_LEVEL if PUBLISHED_LEVEL in levels else max(levels)


def of_sources(level: int, nets: tuple[int, ...]) -> Iterator[Claim]:
    """F6b: close sources are better than far ones."""
    if {14, 20} < set(nets):
        for other in (net for net in nets if net not in (14, 20)):
            ahead = Better(where=_carried(level, 20, 14), than=_carried(level, 20, other))
            yield Claim(f"to 20, 14 {_at(level)} is a better source than {other}", tests=(ahead,), family="F6b")
    if {14, 20, 32, 44, 56} <= set(nets):
        for near, far in itertools.product((32, 56), (14, 20)):
            ahead = Better(where=_carried(level, 44, near), than=_carried(level, 44, far))
            yield Claim(f"to 44, {near} {_at(level)} is a better source than {far}", tests=(ahead,), family="F6b")


def of_parts(level: int, net: int, parts: tuple[str, ...]) -> Iterator[Claim]:
    """F3a, F3b and F4c: mask and weights are both needed, and their places too."""
    whole = _mapped(level, net, "interpolate()")
    if KEEP**level <= HALF:
        among = NotWorse(where=whole, than=_own(level, net), margin=SAME)
        yield Claim(f"the whole ticket {_at(level)} is not worse than {net}'s own", tests=(among,), family="F3a")
    for name in parts:
        there: Where = {"level": level, "net": net, "part": name}
        open_density = "any" if name.endswith("as run") else "required"
        ahead = Better(where=whole, than=there, equal_density=open_density)
        if name.startswith("permuted") or name.startswith("SNIP"):
            family = "F4c" if name.startswith("permuted") else "F3b"
            yield Claim(f"the whole ticket {_at(level)} beats {name}", tests=(ahead,), family=family)
        elif KEEP**level < HIGH:
            yield Claim(f"the whole ticket {_at(level)} beats {name}", tests=(ahead,), family="F3a")
        else:
            among = NotWorse(where=whole, than=there)
            yield Claim(f"the whole ticket {_at(level)} is not worse than {name}", tests=(among,), family="F3a")


def of_copies(level: int, net: int, maps: tuple[str, ...]) -> Iterator[Claim]:
    """F4a, F4b and F5a: as many different blocks as possible; in what order does not matter; early before late."""
    whole, appended = (_mapped(level, net, text) for text in ("interpolate()", "append()"))
    for text, said in (("early()", "the first one"), ("interpolate(blocks=(1, 2))", "the first two")):
        if text in maps:
            ahead = Better(where=whole, than=_mapped(level, net, text))
            yield Claim(f"copies of all blocks {_at(level)} beat those of {said}", tests=(ahead,), family="F4a")
    both = tuple(NotWorse(where=a, than=b, margin=SAME) for a, b in itertools.permutations((whole, appended)))
    yield Claim(f"appending {_at(level)} is as good as interpolating", tests=both, family="F4b")
    pairs = (("early()", "late()"), *((f"{how}(blocks=(1, 2))", f"{how}(blocks=(3, 4))") for how in _GROUPED))
    for early, late in pairs:
        if {early, late} <= set(maps):
            ahead = Better(where=_mapped(level, net, early), than=_mapped(level, net, late))
            yield Claim(f"{early} {_at(level)} beats {late}", tests=(ahead,), family="F5a")


_GROUPED = ("interpolate", "append_group")


def of_kept(level: int, net: int, kept: tuple[str, ...], dropped: str) -> Iterator[Claim]:
    """F5b: which blocks are kept does not matter, but the first ones must not all be dropped."""
    first, *others = kept
    for name in others:
        two = _mapped(level, net, first), _mapped(level, net, name)
        if name == dropped:
            ahead = Better(where=two[0], than=two[1])
            yield Claim(f"keeping {name} {_at(level)} loses to keeping {first}", tests=(ahead,), family="F5b")
            continue
        both = tuple(NotWorse(where=a, than=b, margin=SAME) for a, b in itertools.permutations(two))
        yield Claim(f"keeping {name} {_at(level)} is as good as {first}", tests=both, family="F5b")


def of_twins(level: int, nets: tuple[int, ...]) -> Iterator[Claim]:
    """F8: two trainings of the target's own ticket are in one basin, those of carried tickets are not."""
    *others, net = nets
    where: Where = {"probe": "instability", "stats": "interpolate", "level": level, "net": net}
    how: Any = {"of": "test_error_barrier_points", "error": "test_error_barrier_points_error"}
    stable = Beyond(where={**where, "source": net}, value=STABLE, higher=False, **how)
    yield Claim(f"the own ticket of {net} {_at(level)} is stable", tests=(stable,), family="F8")
    for source in others:
        barred = Beyond(where={**where, "source": source}, value=STABLE, **how)
        yield Claim(f"tickets of {source} in {net} {_at(level)} are not stable", tests=(barred,), family="F8")
    for far, near in itertools.pairwise(others):
        sides: Any = {"where": {**where, "source": near}, "than": {**where, "source": far}}
        less = Better(**sides, **how, higher=False, clearance=1.0)
        sentence = f"tickets of {near} in {net} {_at(level)} are stabler than those of {far}"
        yield Claim(sentence, tests=(less,), family="F8")


def _at(level: int) -> str:
    return f"at {KEEP**level:.1%}"


def _carried(level: int, net: int, source: int) -> Where:
    return {"level": level, "net": net, "source": source, "arm": "equal"}


def _own(level: int, net: int) -> Where:
    return {"level": level, "net": net, "source": net, "arm": "ticket"}


def _mapped(level: int, net: int, text: str) -> Where:
    return {"level": level, "net": net, "map": text, "exactly": "equal"}
