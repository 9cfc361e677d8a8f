"""The figures and tables of `elastic_cifar`, those of the parts that it was asked for."""

from collections.abc import Iterator, Sequence, Set
from typing import Any

from tombola import Curve, Pivot
from tombola.studies._elastic import KEEP, growing


def figures(family: str, nets: Sequence[int]) -> Iterator[Curve]:
    """A panel for each target: accuracy against density, by source."""
    number = 6 if family == "resnet" else 7
    for net in nets:
        here = {"net": net, "arm": "ticket"}
        title = f"Figure {number}: tickets in depth {net}, by their source"
        yield Curve(by="source", where=here, baseline={**here, "source": net, "level": 0}, title=title)


def tables(level: int, shown: Set[str], rivals: Sequence[str]) -> Iterator[Pivot]:
    """What a level has of the figures shown: who came from where, rivals, cost; parts, maps, twins."""
    at, sparse = {"level": level}, f"{KEEP**level:.1%} of the weights"
    nets: Any = {"verdicts": "hide", "columns": "net"}
    for arm, how in (("ticket", "as they come"), ("equal", "at equal density")) if "6" in shown else ():
        yield Pivot(lines="source", where={**at, "arm": arm}, title=f"{sparse}, {how}: from (line) to", **nets)
    if "6" in shown:
        yield Pivot(lines="rival", where=at, title=f"{sparse}: rivals in the target", **nets)
    priced: Any = {"lines": "source", "where": {**at, "probe": "price"}, "of": "dense_trainings_flops_sparse"}
    yield Pivot(title=f"{sparse}: operations, search included, in dense trainings of the target", **priced, **nets)
    for rival in ("IMP", *growing(rivals)) if "6" in shown else ():
        where = {**at, "probe": "break-even", "against": rival}
        title = f"{sparse}: for so many targets a search pays, against {rival} on each"
        yield Pivot(lines="source", where=where, of="targets_flops_sparse", title=title, **nets)
    if "8" in shown:
        twins: Any = {"lines": "source", "where": {**at, "probe": "instability"}, "of": "test_error_barrier_points"}
        title = f"{sparse}, figure 8: instability in points, by what becomes of statistics"
        yield Pivot(title=title, **twins, verdicts="hide", columns="stats")
    if {"3", "4"} & shown:
        yield Pivot(lines="part", where=at, title=f"{sparse}, figures 3 and 4: what of the ticket is carried", **nets)
    for exactly in ("as it comes", "equal") if {"3", "4", "5"} & shown else ():
        where = {**at, "exactly": exactly}
        yield Pivot(lines="map", where=where, title=f"{sparse}, figures 3 to 5, density {exactly}", **nets)
