"""Sharing a number of weights over tensors: exact totals, no tensor above what it has."""

import math
from collections.abc import Mapping

from tombola.core.errors import Refused


def apportion(wishes: Mapping[str, float], caps: Mapping[str, int], total: int) -> dict[str, int]:
    """Whole numbers proportional to `wishes`, none above its cap, that sum to `total`.

    Tensors whose share would exceed their cap are filled, and the rest is shared anew; fractions are settled by the
    largest remainder, ties by order.

    Raises:
        Refused: If the caps together are less than the total.

    Example:
        >>> apportion({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 100, "b": 2, "c": 100}, 14)
        {'a': 4, 'b': 2, 'c': 8}
    """
    if total > sum(caps.values()):
        raise Refused(f"{total} weights asked for, {sum(caps.values())} are there.")
    filled: set[str] = set()
    while True:
        rest = total - sum(caps[name] for name in filled)
        weight = math.fsum(wishes[name] for name in wishes if name not in filled)
        shares = {name: rest * wishes[name] / weight if weight else 0.0 for name in wishes if name not in filled}
        over = {name for name, share in shares.items() if share > caps[name]}
        if not over:
            break
        filled |= over
    counts = {name: caps[name] if name in filled else math.floor(shares[name]) for name in wishes}
    by_remainder = sorted(shares, key=lambda name: counts[name] - shares[name])
    missing = total - sum(counts.values())
    while missing:  # A tensor at its cap passes its turn; the caps suffice, so this ends.
        for name in by_remainder:
            if missing and counts[name] < caps[name]:
                counts[name] += 1
                missing -= 1
    return counts


def erk_wishes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    """Weights per tensor under Erdos-Renyi-Kernel densities, up to a common factor: the sum of a tensor's axes.

    The density of a tensor is proportional to (n_in + n_out + height + width) / (n_in n_out height width), so the
    number of its weights is proportional to the numerator (Evci et al. 2020, RigL, section 3).

    Example:
        >>> erk_wishes({"conv": (64, 16, 3, 3), "linear": (10, 64)})
        {'conv': 86.0, 'linear': 74.0}
    """
    return {name: float(sum(shape)) for name, shape in shapes.items()}


def igq_wishes(sizes: Mapping[str, int], caps: Mapping[str, int], total: int) -> dict[str, float]:
    """Weights per tensor under Ideal Gas Quotas, none above its cap; they sum to `total`, but for float rounding.

    A tensor of n weights has the density 1 / (F n + 1), so it keeps 1 / (F + 1 / n) of them. The force F compresses all
    of them alike, as a piston would gas in cylinders of equal length (Vysogorets and Kempe 2023).

    Example:
        >>> {name: round(wish, 6) for name, wish in igq_wishes({"a": 10, "b": 90}, {"a": 10, "b": 90}, 14).items()}
        {'a': 5.0, 'b': 9.0}
    """

    def under(force: float) -> dict[str, float]:
        return {name: min(1 / (force + 1 / size), caps[name]) if size else 0.0 for name, size in sizes.items()}

    low, high = 0.0, len(sizes) / max(total, 0.5)  # Under `high`, no tensor keeps more than its part of the total.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if math.fsum(under(middle).values()) > total else (low, middle)
    return under(high)
