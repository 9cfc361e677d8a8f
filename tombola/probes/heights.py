"""How high error and loss rise on a path between two trained networks, and where."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from tombola.core.measurement import Measurement
from tombola.core.task import Task
from tombola.probes.held import Batches, score

MIDDLE = 0.5


def heights(
    net: nn.Module, go: Callable[[float], None], places: Sequence[float], task: Task, data: Mapping[str, Batches]
) -> tuple[Measurement, int]:
    """Ask a network at places of a path and at its middle; also tells how many examples it was asked altogether.

    Args:
        net: What `go` brings to a place, 0 and 1 among them; those outside are in the curve and in no barrier.
        data: The examples of each split.

    Heights of the loss are not numbers where it is none at some place: the network overflows there.
    """
    order, asked = sorted({MIDDLE, *places}), 0
    found: dict[str, list[tuple[float, np.ndarray]]] = {split: [] for split in data}
    for t in order:
        go(t)
        for split, batches in data.items():
            found[split].append(score(net, task, batches()))
            asked += len(found[split][-1][1])
    told: dict[str, float] = {"points": sum(0 <= t <= 1 for t in places)}
    for split, scores in found.items():
        told |= _heights(split, order, scores, set(places))
    lines: list[Mapping[str, Any]] = []
    for place, t in enumerate(order):
        if t in places:
            lines.append({"t": t, **{n: v for split in data for n, v in _at(split, found[split][place]).items()}})
    return Measurement(told, tables={"curve": tuple(lines)}), asked


def _at(split: str, score: tuple[float, np.ndarray]) -> Mapping[str, float]:
    return {f"{split}_error": float(score[1].mean()), f"{split}_loss": score[0]}


def _heights(
    split: str, order: Sequence[float], scores: Sequence[tuple[float, np.ndarray]], places: set[float]
) -> dict[str, float]:
    """The barriers of one split: of the error in points, and of the loss."""
    errors = [100 * float(wrong.mean()) for _, wrong in scores]
    first, last, middle = (order.index(t) for t in (0.0, 1.0, MIDDLE))
    inside = [place for place, t in enumerate(order) if t in places and 0 <= t <= 1]
    told: dict[str, float] = {}
    for name, unit, values in (("error", "_points", errors), ("loss", "", [loss for loss, _ in scores])):
        start, end = values[first], values[last]
        mean = (start + end) / 2
        highest = max(inside, key=lambda place: _rank(values[place]))
        above = (values[place] - ((1 - order[place]) * start + order[place] * end) for place in inside)
        over = max(above, key=_rank)
        told[f"{split}_{name}_barrier{unit}"] = values[highest] - mean
        if name == "error":
            told[f"{split}_error_barrier_points_error"] = _noise(*(scores[p][1] for p in (highest, first, last)))
        told[f"{split}_{name}_barrier_at"] = order[highest]
        told[f"{split}_{name}_above_line{unit}"] = over
        told[f"{split}_{name}_midpoint{unit}"] = values[middle] - mean
    for who, place in (("a", first), ("middle", middle), ("b", last)):
        told[f"{who}_{split}_accuracy"] = 1 - errors[place] / 100
        told[f"{who}_{split}_loss"] = scores[place][0]
    return {**told, f"{split}_examples": len(scores[0][1])}


def _rank(value: float) -> tuple[bool, float]:
    """What is not a number stands above all numbers, so that the highest value of a path tells of it."""
    return math.isnan(value), value


def _noise(highest: np.ndarray, first: np.ndarray, last: np.ndarray) -> float:
    """The standard error of a height over examples, in points."""
    each = highest.astype(float) - (first.astype(float) + last.astype(float)) / 2
    return 100 * float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else 0.0
