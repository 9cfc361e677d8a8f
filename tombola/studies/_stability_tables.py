"""The figures and tables of the studies of stability that compare training regimes."""

from collections.abc import Iterator, Sequence
from typing import Any

from tombola import Curve, Pivot
from tombola.studies import _stability_extras
from tombola.studies._stability import ARMS_PROBED, KEEP

POINTS = "train_error_barrier_points"
REWOUND = "128"
"""The regime whose dense twins part later, too, where a study has that part."""


SHOWN = (0, 10)
"""Rounds whose lines and weights are drawn in full."""


def figures(regimes: Sequence[str], parts: Sequence[str], statistics: Sequence[str], rounds: int) -> Iterator[Curve]:
    """Accuracy against density by regime; instability, barriers, weights and answers by round."""
    for regime in regimes:
        dense = {"name": "IMP", "regime": regime, "level": 0}
        yield Curve(where={"regime": regime}, baseline=dense, title=f"{regime}: accuracy against density")
    level: Any = {"x": "level", "by": ("regime", "arm"), "log_x": False}
    for stats, said in _stats(statistics):
        if "twins" in parts:
            where = {"probe": "instability", **stats}
            yield Curve(y=POINTS, where=where, title=f"Instability{said}", **level)
            if sum(regime.isdigit() for regime in regimes) > 1:
                where |= {"changed": "nothing"}
                yield Curve(y=POINTS, x="batch", by="level", where=where, title=f"Instability by batch size{said}")
        if "rewound" in parts and REWOUND in regimes:
            where = {"probe": "rewound", **stats}
            title = f"Instability of dense twins from step k{said}"
            yield Curve(y=POINTS, x="k", by="regime", where=where, title=title)
        if "barriers" in parts:
            where = {"probe": "barrier", "to": "next", "arm": "IMP", **stats}
            yield Curve(y=POINTS, where=where, title=f"Barrier of IMP to the next round{said}", **level)
            for number in (one for one in SHOWN if one < rounds):
                line: Any = {"table": "curve", "x": "t", "y": "train_error", "by": ("regime", "arm"), "log_x": False}
                title = f"From {KEEP**number:.1%} to the next round: training error{said}"
                yield Curve(where={"probe": "barrier", "to": "next", "level": number, **stats}, title=title, **line)
    if "weights" in parts:
        yield Curve(y="threshold", where={"probe": "weights"}, title="Where the next cut falls", **level)
        for number in (one for one in SHOWN if 0 < one <= rounds):
            bars: Any = {"table": "histogram", "x": "weight", "y": "share", "by": ("regime", "arm"), "log_x": False}
            where = {"probe": "weights", "level": number}
            yield Curve(where=where, title=f"Living weights at {KEEP**number:.1%}", **bars)


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
        if "rewound" in parts and REWOUND in regimes:
            where = {"probe": "rewound", **stats}
            title = f"Instability of dense twins from step k, points{said}"
            yield Pivot(of=POINTS, lines="k", columns="regime", where=where, title=title, **shown)
        for arm in ARMS_PROBED if "barriers" in parts else ():
            where = {"probe": "barrier", "to": "next", "arm": arm, **stats}
            title = f"Barrier of {arm} to the next round, points{said}"
            yield Pivot(of=POINTS, columns="regime", where=where, title=title, **shown)
    if "functions" in parts:
        for arm in ARMS_PROBED:
            where, title = {"probe": "disagreement", "arm": arm}, f"Answers of {arm} unlike the dense network's"
            yield Pivot(of="disagreement", columns="regime", where=where, title=title, **shown)
    for regime in regimes:
        yield from _stability_extras.tables(parts, statistics, regime=regime)


def _stats(statistics: Sequence[str]) -> Iterator[tuple[dict[str, str], str]]:
    for stats in statistics:
        yield ({"stats": stats}, f", statistics: {stats}") if stats else ({}, "")
