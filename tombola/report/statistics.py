"""Means, spreads, paired differences by seed, and what may be concluded from them.

Intervals are Student's t (Student, 1908); a family of statements is judged by the step-down rule of Holm (1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

FEW = 5
"""With fewer seeds than this no interval decides: a verdict is clear, or it is undecided."""
ALPHA = 0.05
MOST_SEEDS = 10_000
"""Beyond this, "more seeds would decide" is no longer advice."""


@dataclass(frozen=True)
class Sample:
    """Size, mean, sample standard deviation (None for a single value) and the two extremes."""

    n: int
    mean: float
    sd: float | None
    low: float
    high: float


def sample(values: Sequence[float]) -> Sample:
    """Describe the values; the standard deviation divides by n - 1.

    Example:
        >>> sample([1.0, 2.0, 3.0])
        Sample(n=3, mean=2.0, sd=1.0, low=1.0, high=3.0)
    """
    if not values:
        raise ValueError("no values to describe. A mean needs at least one.")
    mean = math.fsum(values) / len(values)
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
    if sd and len(set(values)) == 1:  # Their mean may differ from them by a rounding.
        sd = 0.0
    return Sample(len(values), mean, sd, min(values), max(values))


def interval(values: Sequence[float], *, confidence: float = 1 - ALPHA) -> tuple[float, float] | None:
    """Student's t interval for the mean; None for a single value, which has no spread.

    Example:
        >>> low, high = interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    found = sample(values)
    if found.sd is None:
        return None
    half = float(special.stdtrit(found.n - 1, (1 + confidence) / 2)) * found.sd / math.sqrt(found.n)
    return found.mean - half, found.mean + half


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[float, ...]:
    """First minus second for every seed that both have, in the order of the seeds.

    Example:
        >>> paired({1: 0.75, 0: 0.5, 7: 0.9}, {0: 0.25, 1: 0.5})
        (0.25, 0.25)
    """
    return tuple(first[seed] - second[seed] for seed in sorted(first.keys() & second.keys()))


@dataclass(frozen=True)
class Lead:
    """That the true mean difference is above `bound`, with the differences, one a seed, that speak to it.

    Args:
        bound: In the unit of the differences. "Not worse by more than 0.2 points" is -0.002, "better" is 0.
        clearance: With few seeds, how far beyond the bound each single seed must lie to be clear.
        noise: How far another test set of the same size might move all of the differences together.
    """

    name: str
    differences: tuple[float, ...]
    bound: float
    clearance: float = 0.0
    noise: float = 0.0

    @property
    def gap(self) -> float:
        """How far the mean lies above the bound; negative when it lies below."""
        return sample(self.differences).mean - self.bound

    @property
    def within(self) -> bool:
        """Whether the gap is so small that another test set might turn it, whatever the seeds say."""
        return abs(self.gap) < self.noise

    @property
    def p(self) -> float:
        """Two-sided p value of the paired t test of "the mean is the bound"; 1 where the test set decides nothing."""
        found = sample(self.differences)
        if found.sd is None or self.gap == 0 or self.within:
            return 1.0
        if found.sd == 0:
            return 0.0
        return float(2 * special.stdtr(found.n - 1, -abs(self.gap) / (found.sd / math.sqrt(found.n))))


def needed(lead: Lead, *, alpha: float = ALPHA) -> int | None:
    """How many seeds would decide a lead, if mean and spread stay as they are; at least five.

    The smallest n with t(n - 1) * sd / sqrt(n) < |mean - bound|. None when no reasonable number would.

    Example:
        >>> needed(Lead("better", (0.5, 1.5, 1.0), bound=0.0)), needed(Lead("better", (1.0, -1.0), bound=0.0))
        (5, None)
    """
    found = sample(lead.differences)
    if lead.within:
        return None
    if found.sd is None:
        return FEW

    def decides(n: int) -> bool:
        return float(special.stdtrit(n - 1, 1 - alpha / 2)) * (found.sd or 0.0) / math.sqrt(n) < abs(lead.gap)

    if not decides(MOST_SEEDS):
        return None
    low, high = FEW, MOST_SEEDS  # The half width falls with n, so the first n that decides is found by halving.
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle + 1, high)
    return low


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p values: the k-th smallest of m times m - k + 1, never falling, at most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return tuple(adjusted)


@dataclass(frozen=True)
class Verdict:
    """What the seeds allow to say of a statement, and how many of them would decide it when they do not.

    `basis` is "clear" with fewer than five seeds (all agree beyond the margin), else "interval"; `p` is then Holm's.
    """

    outcome: Literal["holds", "fails", "undecided"]
    basis: Literal["clear", "interval"]
    n: int
    p: float | None = None
    needed: int | None = None


def verdict(*leads: Lead, alpha: float = ALPHA) -> Verdict:
    """The verdict on one statement: that all these leads hold together.

    Example:
        >>> verdict(Lead("not worse", (0.001, 0.0, -0.001), bound=-0.002)).outcome
        'holds'
    """
    return verdicts([leads], alpha=alpha)[0]


def verdicts(family: Sequence[Sequence[Lead]], *, alpha: float = ALPHA) -> tuple[Verdict, ...]:
    """A verdict on each statement of a family; a statement holds when all of its leads do.

    All must hold, so the weakest p value counts and needs no correction within the statement. One failed lead is
    enough to fail, so there the strongest p value counts, times the number of leads. Holm's rule then runs over the
    statements that have five seeds or more.

    Example:
        >>> sure, split = Lead("better", (1.0, 1.1), bound=0.0), Lead("better", (1.0, -1.0), bound=0.0)
        >>> [found.outcome for found in verdicts([[sure], [sure, split]])]
        ['holds', 'undecided']
    """
    tested = [index for index, leads in enumerate(family) if leads and _n(leads) >= FEW]
    adjusted = dict(zip(tested, holm([_p(family[index]) for index in tested]), strict=True))
    found: list[Verdict] = []
    for index, leads in enumerate(family):
        n, p = _n(leads), adjusted.get(index)
        outcome = _clear(leads) if p is None else "undecided" if p > alpha else _side(leads)
        more = _needed(leads, alpha / len(family)) if outcome == "undecided" else None
        found.append(Verdict(outcome, "clear" if p is None else "interval", n, p, more))
    return tuple(found)


def _n(leads: Sequence[Lead]) -> int:
    return min((len(lead.differences) for lead in leads), default=0)


def _side(leads: Sequence[Lead]) -> Literal["holds", "fails"]:
    return "holds" if all(lead.gap > 0 for lead in leads) else "fails"


def _p(leads: Sequence[Lead]) -> float:
    against = [lead.p for lead in leads if lead.gap <= 0]
    return min(1.0, len(leads) * min(against)) if against else max(lead.p for lead in leads)


def _clear(leads: Sequence[Lead]) -> Literal["holds", "fails", "undecided"]:
    """One seed has no spread and nothing to agree with, so it is never clear; nor is what a test set might turn."""
    able = [lead for lead in leads if len(lead.differences) > 1 and not lead.within]
    if any(max(lead.differences) < lead.bound - lead.clearance for lead in able):
        return "fails"
    above = all(min(lead.differences) > lead.bound + lead.clearance for lead in able)
    return "holds" if able and len(able) == len(leads) and above else "undecided"


def _needed(leads: Sequence[Lead], alpha: float) -> int | None:
    against = [lead for lead in leads if lead.gap <= 0]
    if against:
        return min((n for lead in against if (n := needed(lead, alpha=alpha / len(leads)))), default=None)
    each = [needed(lead, alpha=alpha) for lead in leads]
    return None if None in each else max((n for n in each if n), default=None)
