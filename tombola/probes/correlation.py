"""Whether what was measured of some pairs goes with what was measured of them elsewhere: shift and loss."""

import math
from typing import Any

import numpy as np

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import numbers
from tombola.probes.predictions import Numbers
from tombola.study.step import step

DRAWS = 9_999
FEWEST = 4
"""Three points lie in order by chance too often to speak of."""


def _matching(**given: Any) -> dict[str, Any]:
    """The arguments, looked at as soon as they are given: calls may be made much later."""
    few, many = len(given["x"]), len(given["y"])
    if few < FEWEST or many % few:
        raise Refused(
            f"correlation: {few} measurements and {many} to hold them against. Give {FEWEST} or more, and as many of "
            "the others for each: those of the first, then those of the second, and so on."
        )
    return given


@step("correlation", prepare=_matching)
def correlation(x: tuple[Measurement, ...], y: tuple[Measurement, ...], of: str, to: str, seed: int = 0) -> Measurement:
    """Spearman's rank correlation of a number of `x` and one of `y`, and Pearson's beside it.

    If there are more of `y` than of `x`, each of `x` belongs to as many in a row, such as seeds, which are averaged.
    The interval `spearman_low` to `spearman_high` is a bootstrap over the pairs, 95 % (percentiles), `p` that of a
    permutation test, two-sided. Both take the pairs as independent; pairs of domains share domains, so that they are
    fewer than they look.

    Args:
        of: The number of `x`, such as "jsd_nats".
        to: The number of `y`, such as "lead_1_to_5_points".

    Raises:
        Refused: If there are fewer than 4 pairs, their numbers do not match, or one has no such number.

    Example:
        >>> x = tuple(Measurement({"distance": float(n)}) for n in range(5))
        >>> y = tuple(Measurement({"loss": float(n * n)}) for n in range(5))
        >>> round(correlation(x, y, "distance", "loss").numbers()["spearman"], 6)
        1.0
    """
    first = np.array([_number(one, of) for one in x])
    second = np.array([_number(one, to) for one in y]).reshape(len(x), -1)
    means = second.mean(1)
    table = tuple(
        {of: float(a), to: float(b), "n": second.shape[1], "sd": float(part.std(ddof=1)) if len(part) > 1 else 0.0}
        for a, b, part in zip(first, means, second, strict=True)
    )
    found: dict[str, float] = {"pairs": len(x)}
    if len(set(first)) > 1 and len(set(means)) > 1:
        found |= _correlated(first, means, seed)
    return Measurement(found, tables={"pairs": table})


def _number(one: Measurement, name: str) -> float:
    value = one.values.get(name, math.nan)
    if not math.isfinite(value):
        raise Refused(f"correlation: {one.key} has no finite number '{name}'. It has {', '.join(one.values)}.")
    return float(value)


def _correlated(first: Numbers, second: Numbers, seed: int) -> dict[str, float]:
    from scipy import stats  # Takes a while to import.

    rng = numbers("correlation", seed)
    ranks = stats.rankdata(first), stats.rankdata(second)
    mixed = rng.permuted(np.tile(ranks[0], (DRAWS, 1)), axis=1)
    spearman = float(_pearson(*ranks))
    as_far = np.abs(_pearson(mixed, ranks[1])) >= abs(spearman) - 1e-12
    chosen = rng.integers(len(first), size=(DRAWS, len(first)))
    drawn = _pearson(*(stats.rankdata(one[chosen], axis=1) for one in (first, second)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])  # A draw of equal values has no correlation.
    found = {"spearman": spearman, "spearman_low": float(low), "spearman_high": float(high)}
    return {**found, "p": (1 + int(as_far.sum())) / (1 + DRAWS), "pearson": float(_pearson(first, second))}


def _pearson(first: Numbers, second: Numbers) -> Numbers:
    """Along the last axis."""
    a, b = (one - one.mean(-1, keepdims=True) for one in (first, second))
    scale = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), scale, out=np.full(np.shape(scale), np.nan), where=scale > 0)
