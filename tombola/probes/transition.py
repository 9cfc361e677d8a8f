"""From which round on two chains differ, with an interval, and how much more they do so in the end."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import numbers
from tombola.probes.paired import check_pairs
from tombola.study.step import step
from tombola.train.trained import Trained

DRAWS = 10_000
INSIDE = 0.95


def _whole(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    runs, rounds = given["runs"], len(given["at"])
    if runs < 2 or not rounds or len(set(given["at"])) < rounds:
        raise Refused(f"transition: {runs} runs of {rounds} rounds. Give two runs or more, and each round once.")
    for name in ("here", "there"):
        if len(given[name]) != runs * rounds:
            raise Refused(
                f"transition: '{name}' has {len(given[name])} networks, and {runs} runs of {rounds} rounds have "
                f"{runs * rounds}. Give the rounds of the first run, then those of the second, and so on."
            )
    return given


@step("transition", prepare=_whole)
def transition(
    here: tuple[Trained, ...],
    there: tuple[Trained, ...],
    at: tuple[int, ...],
    runs: int,
    factor: float = 2.0,
    early: tuple[int, int] = (1, 7),
    late: tuple[int, int] = (12, 20),
    seed: int = 0,
) -> Measurement:
    """The first round at which `here` is ahead of `there` by more than `factor` pooled standard deviations over runs.

    `transition_round` is that round, with `transition_sparsity`, the share of weights that are gone there; `found` is 0
    where there is none, and the round is then left out. The interval `round_low` to `round_high` is a bootstrap over
    runs, 95 %: runs are drawn anew in pairs, while standard deviations stay those of all runs, as a draw of a few
    equal runs has none. A draw without such a round counts as one after the last; `never` is their share.

    `gap_early_points` and `gap_late_points` are the mean differences of test accuracy over the rounds of `early` and
    `late`, `gap_growth_points` the late one less twice the early one's size; `spread_early_points` and
    `spread_late_points` the mean standard deviations of `there` over runs, `spread_here_...` those of `here`, and
    `spread_growth_points` the late one of `there` less twice the early one. With growths above 0, gap and spread are
    more than twice as large in the end (claim R4 on Desai et al. 2019).

    Args:
        here: The first run's networks by round, then the second's, and so on; `there` alike.
        at: The rounds, the same for all runs.
        runs: How many there are.

    Raises:
        Refused: If these are not as many as they should be, or a pair was trained on two tasks.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.core.seeds import Seeds
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> task, recipe = Digits(), Recipe(steps=1, batch=60)
        >>> one, two = (train(draw(Mlp(hidden=(8,)), task, recipe, Seeds(s)), task, recipe) for s in (0, 1))
        >>> transition((one, two), (one, two), at=(3,), runs=2).numbers()["found"]
        0
    """
    check_pairs("transition", here, there)
    order = np.argsort(np.array(at), kind="stable")
    ours, theirs = (_points(side, runs)[:, order] for side in (here, there))
    rounds = np.array(at)[order]
    gaps = ours - theirs
    spread = np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / 2)
    first = _first(gaps.mean(0), factor * spread)
    draws = numbers("transition", seed).integers(runs, size=(DRAWS, runs))
    places = np.array([_first(gaps[chosen].mean(0), factor * spread) for chosen in draws])
    low, high = np.quantile(places, [(1 - INSIDE) / 2, (1 + INSIDE) / 2], method="inverted_cdf")
    density = [here[int(place)].mask.density for place in order]
    found: dict[str, float] = {"found": int(first < len(rounds)), "never": float((places == len(rounds)).mean())}
    if first < len(rounds):
        found |= {"transition_round": int(rounds[first]), "transition_sparsity": 1 - density[first]}
    found |= {name: _round(rounds, int(place)) for name, place in (("round_low", low), ("round_high", high))}
    table = tuple(
        {
            "round": int(rounds[place]),
            "density": density[place],
            "gap_points": float(gaps[:, place].mean()),
            "pooled_points": float(spread[place]),
            "spread_here_points": float(ours[:, place].std(ddof=1)),
            "spread_points": float(theirs[:, place].std(ddof=1)),
        }
        for place in range(len(rounds))
    )
    return Measurement({**found, **_growth(table, early, late), "runs": runs}, tables={"rounds": table})


def _points(side: tuple[Trained, ...], runs: int) -> NDArray[np.float64]:
    """Test accuracies in percentage points, a line for each run."""
    return 100 * np.array([one.test_accuracy for one in side]).reshape(runs, -1)


def _first(gap: NDArray[np.float64], bound: NDArray[np.float64]) -> int:
    """The first place where the gap is beyond the bound; behind the last one where it never is."""
    beyond = gap > bound
    return int(beyond.argmax()) if beyond.any() else len(gap)


def _round(rounds: NDArray[np.int64], place: int) -> float:
    return int(rounds[place]) if place < len(rounds) else math.inf


def _growth(table: tuple[dict[str, Any], ...], early: tuple[int, int], late: tuple[int, int]) -> dict[str, float]:
    """Means over the early and the late rounds, where there are both."""
    found: dict[str, float] = {}
    for name in ("gap", "spread", "spread_here"):
        parts = [[line[f"{name}_points"] for line in table if a <= line["round"] <= b] for a, b in (early, late)]
        if all(parts):
            first, last = (float(np.mean(part)) for part in parts)
            found |= {f"{name}_early_points": first, f"{name}_late_points": last}
            found[f"{name}_growth_points"] = last - 2 * abs(first)
    return found
