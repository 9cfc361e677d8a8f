"""The figures and tables of the studies of stability that compare training regimes."""

from collections.abc import Iterator, Sequence
from typing import Any

from tombola import Curve, Pivot
from tombola.studies._stability import ARMS_PROBED

POINTS = "train_error_barrier_points"


def figures(regimes: Sequence[str], parts: Sequence[str], statistics: Sequence[str]) -> Iterator[Curve]:
    """Accuracy against density by regime; instability, barriers and thresholds by round."""
    for regime in regimes:
        dense = {"name": "IMP", "regime": regime, "level": 0}
        yield Curve(where={"regime": regime}, baseline=dense, title=f"{regime}: accuracy against density")
    level: Any = {"x": "level", "by": ("regime", "arm"), "log_x": False}
    for stats, said in _stats(statistics):
        if "twins" in parts:
            where = {"probe": "instability", **stats}
            yield Curve(y=POINTS, where=where, title=f"Instability{said}", **level)
        if "barriers" in parts:
            where = {"probe": "barrier", "to": "next", "arm": "IMP", **stats}
            yield Curve(y=POINTS, where=where, title=f"Barrier of IMP to the next round{said}", **level)
    if "weights" in parts:
        yield Curve(y="threshold", where={"probe": "weights"}, title="Where the next cut falls", **level)


def tables(regimes: Sequence[str], parts: Sequence[str], statistics: Sequence[str]) -> Iterator[Pivot]:
    """By regime, level by level."""
    shown: Any = {"verdicts": "hide", "beside": ()}
    for regime in regimes:
        yield Pivot(where={"regime": regime}, title=f"Accuracy, {regime}")
    if "distances" in parts:
        where = {"probe": "distance"}
        yield Pivot(of="angle_mean", lines="regime", columns="arm", where=where, title="Mean angle of rounds", **shown)
    for stats, said in _stats(statistics):
        if "twins" in parts:
            where = {"probe": "instability", **stats}
            yield Pivot(of=POINTS, columns="regime", where=where, title=f"Instability, points{said}", **shown)
        for arm in ARMS_PROBED if "barriers" in parts else ():
            where = {"probe": "barrier", "to": "next", "arm": arm, **stats}
            title = f"Barrier of {arm} to the next round, points{said}"
            yield Pivot(of=POINTS, columns="regime", where=where, title=title, **shown)


def _stats(statistics: Sequence[str]) -> Iterator[tuple[dict[str, str], str]]:
    for stats in statistics:
        yield ({"stats": stats}, f", statistics: {stats}") if stats else ({}, "")
