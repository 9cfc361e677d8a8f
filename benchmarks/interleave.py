"""Two ways of doing the same work, run in turn: the ratio of their times, round by round."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Literal

from scipy import stats

Better = Literal["lower", "higher"]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Two ways of doing the same work: the median of their ratio over rounds, and the 95 % interval of the median.

    `bar` is what it is to reach, not a number where it has none.
    """

    name: str
    ratio: float
    low: float
    high: float
    rounds: int
    bar: float = math.nan
    better: Better = "lower"

    def line(self) -> str:
        """A line of the table."""
        digits = 0 if self.ratio >= 1000 else 3
        ratio, low, high = (f"{value:,.{digits}f}" for value in (self.ratio, self.low, self.high))
        start = f"| {self.name} | {ratio} | {low} to {high} | {self.rounds} |"
        if math.isnan(self.bar):
            return f"{start} | |"
        sign, worst = (1, self.high) if self.better == "lower" else (-1, self.low)
        missed = "met by the median" if sign * self.ratio <= sign * self.bar else "NOT met"
        met = "met" if sign * worst <= sign * self.bar else missed
        return f"{start} {'at most' if sign == 1 else 'at least'} {self.bar:,g} | {met} |"


def interleave(
    name: str, ours: Callable[[], object], other: Callable[[], object], *, rounds: int, bar: float, warm: int = 2
) -> Ratio:
    """Time both in turn, the first one changing every round, in processor time, which others disturb less."""
    for _ in range(warm):
        ours()
        other()
    ratios: list[float] = []
    for number in range(rounds):
        spent: dict[str, float] = {}
        for which in (("ours", ours), ("other", other))[:: 1 if number % 2 else -1]:
            start = time.process_time()
            which[1]()
            spent[which[0]] = time.process_time() - start
        ratios.append(spent["ours"] / spent["other"])
    return ratio_of(name, ratios, bar=bar)


def ratio_of(name: str, ratios: list[float], *, bar: float = math.nan, better: Better = "lower") -> Ratio:
    """The median of ratios, with the order statistics around it that bound it with 95 %."""
    ratios, rounds = sorted(ratios), len(ratios)
    low, high = stats.binom.ppf([0.025, 0.975], rounds, 0.5).astype(int)
    return Ratio(name, statistics.median(ratios), ratios[low], ratios[min(high, rounds - 1)], rounds, bar, better)
