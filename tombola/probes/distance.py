"""How far trained networks are from each other in their weights: angles, distances, signs and masks, pair by pair."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.probes.overlap import chance
from tombola.study.deferred import kind_of
from tombola.study.step import step
from tombola.train.trained import Trained

Square = NDArray[np.float64]
COLUMNS = 1 << 20
"""Weights that are looked at together."""
INIT = "init"


def _in_order(networks: Any, start: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    if not isinstance(networks, list | tuple) or len(networks) < 2:
        said = f"{len(networks)} networks" if isinstance(networks, list | tuple) else repr(networks)
        raise Refused(f"distance: {said}. Give two or more in a row: distance((first, second)).")
    if odd := [one for one in networks if not issubclass(kind_of(one), Trained)]:
        raise Refused(f"distance: {odd[0]!r} is no trained network. Train it first; a start is given as start=...")
    return {"networks": tuple(networks), "start": start}


@step("distance", prepare=_in_order)
def distance(networks: tuple[Trained, ...], start: Ticket | None = None) -> Measurement:
    """Distances between networks of one architecture, such as the rounds of a search, over their prunable weights.

    Of each pair, over the weights that live in both: `angle`, 2 / pi times the angle between them, 0 for the same
    direction, 1 for orthogonal and 2 for opposite ones (Maene et al. 2021, section 5.1); `cosine`; `l2`, their
    Euclidean distance; `sign_agreement`, the share whose signs agree, of those that are not zero. `l2_whole` is the
    distance over all weights, dead ones zero. `jaccard` is how much of the two masks is shared, `jaccard_by_chance`
    what random masks with the same counts in each layer would share.

    `angle_mean` and the other means are over all pairs of networks, `angle_next_mean` over neighbours,
    `angle_second_mean` over those two places apart. `angle_0_to_1` and so on are those of neighbours, `angle_0_to_init`
    those from the start. The table `pairs` has all of it, the picture the angles as a grid, with the
    start in the last row. A pair without a weight in common has no angle; it is left out of the means and is told as
    `pairs_apart`.

    Args:
        networks: In their order, two or more.
        start: The dense ticket that they were found from, at its initial weights.

    Raises:
        Refused: If there are fewer than two, or their masks are not of the same tensors.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> dense = draw(Mlp(hidden=(8,)), Digits(), Recipe(steps=20, batch=60))
        >>> end = train(dense, Digits(), Recipe(steps=20, batch=60))
        >>> found = distance((end, end), dense).numbers()
        >>> round(found["angle_0_to_1"], 4), 0.1 < found["angle_0_to_init"] < 1
        (0.0, True)
    """
    every: list[Trained | Ticket] = [*networks, *([] if start is None else [start])]
    _check(every)
    found = _Sums(len(every))
    for name in every[0].mask:
        found.add([one.weights[name].flatten() for one in every], [one.mask[name].flatten() for one in every])
    measured = found.measured()
    names = [str(place) for place in range(len(networks))] + ([] if start is None else [INIT])
    size = len(networks)
    pairs = [(i, j) for i in range(len(every)) for j in range(i + 1, len(every))]
    table = tuple(
        {"a": names[i], "b": names[j], **{name: float(values[i, j]) for name, values in measured.items()}}
        for i, j in pairs
    )
    own = [(i, j) for i, j in pairs if j < size and math.isfinite(measured["angle"][i, j])]
    numbers: dict[str, float] = {"networks": size, "pairs_apart": sum(j < size for _, j in pairs) - len(own)}
    for name, values in measured.items():
        if own:
            numbers[f"{name}_mean"] = float(np.mean([values[pair] for pair in own]))
    for apart, name in ((1, "next"), (2, "second")):
        angles = [measured["angle"][i, i + apart] for i in range(size - apart)]
        if known := [angle for angle in angles if math.isfinite(angle)]:
            numbers[f"angle_{name}_mean"] = float(np.mean(known))
    for i in range(size - 1):
        numbers |= _known(f"angle_{i}_to_{i + 1}", measured["angle"][i, i + 1])
    for i in range(size if start is not None else 0):
        numbers |= _known(f"angle_{i}_to_{INIT}", measured["angle"][i, size])
    return Measurement(numbers, tables={"pairs": table}, pictures=(_picture(measured["angle"], start is not None),))


def _known(name: str, value: float) -> dict[str, float]:
    return {name: float(value)} if math.isfinite(value) else {}


def _picture(angles: Square, started: bool) -> dict[str, Any]:
    """A grid of angles; what is more than orthogonal, or unknown, is shown as orthogonal."""
    values = np.where(np.isfinite(angles), angles, 1.0).clip(0, 1)
    last = "; the last row is the start" if started else ""
    caption = f"Angles between all pairs, by 2 / pi: 0 for one direction, 1 for orthogonal{last}"
    return {"name": "angles", "caption": caption, "values": values.tolist(), "full": 1.0}


def _check(every: Sequence[Trained | Ticket]) -> None:
    first = every[0].mask.shapes
    for one in every[1:]:
        if one.mask.shapes != first:
            odd = sorted(set(first.items()) ^ set(one.mask.shapes.items()))[0][0]
            raise Refused(
                f"distance: '{odd}' is not masked alike in {every[0]!r} and {one!r}. Weights are compared one by one: "
                "give networks of one architecture, and one choice of prunable tensors."
            )


class _Sums:
    """Sums over weights, for all pairs at once; [i, j] of `squares` is that of network i where j lives too."""

    def __init__(self, number: int) -> None:
        made = {
            name: np.zeros((number, number)) for name in ("dot", "squares", "shared", "signs", "signed", "expected")
        }
        self.sums: dict[str, Square] = made
        self.kept = np.zeros(number)

    def add(self, values: Sequence[torch.Tensor], alive: Sequence[torch.Tensor]) -> None:
        """Count one tensor of all networks."""
        kept = np.array([int(one.sum()) for one in alive], dtype=np.float64)
        self.kept += kept
        size = values[0].numel()
        for i, j in np.ndindex(len(values), len(values)):
            self.sums["expected"][i, j] += chance(size, int(kept[i]), int(kept[j]))[0]
        for first in range(0, size, COLUMNS):
            here = slice(first, first + COLUMNS)
            lives = torch.stack([one[here] for one in alive]).double()
            living = torch.stack([one[here].double() for one in values]) * lives
            signs = living.sign()
            for name, product in (
                ("dot", living @ living.T),
                ("squares", living.square() @ lives.T),
                ("shared", lives @ lives.T),
                ("signs", signs @ signs.T),
                ("signed", signs.abs() @ signs.abs().T),
            ):
                self.sums[name] += product.numpy()

    def measured(self) -> dict[str, Square]:
        """Every measure of every pair; not a number where a pair shares nothing."""
        of = self.sums
        norms = np.sqrt(of["squares"] * of["squares"].T)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = np.where(norms > 0, (of["dot"] / norms).clip(-1, 1), np.nan)
            signs = np.where(of["signed"] > 0, (1 + of["signs"] / of["signed"]) / 2, np.nan)
            masks = {"jaccard": of["shared"], "jaccard_by_chance": of["expected"]}
            total = self.kept[:, None] + self.kept
            shares = {name: np.where(total > both, both / (total - both), 1.0) for name, both in masks.items()}
        own = np.diag(of["squares"])
        return {
            "angle": 2 / math.pi * np.arccos(cosine),
            "cosine": cosine,
            "l2": np.sqrt((of["squares"] + of["squares"].T - 2 * of["dot"]).clip(min=0)),
            "l2_whole": np.sqrt((own[:, None] + own - 2 * of["dot"]).clip(min=0)),
            "sign_agreement": signs,
            **shares,
        }
