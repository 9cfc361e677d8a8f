"""Two ways of doing the same work, run in turn: the ratio of their times, round by round."""

import dataclasses
import statistics
import time
from collections.abc import Callable

from scipy import stats


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How long one way takes beside the other: median ratio over rounds, and the 95 % interval of the median."""

    name: str
    ratio: float
    low: float
    high: float
    rounds: int
    bar: float

    def line(self) -> str:
        """A line of the table."""
        met = "met" if self.high <= self.bar else ("met by the median" if self.ratio <= self.bar else "NOT met")
        interval = f"{self.low:.3f} to {self.high:.3f}"
        return f"| {self.name} | {self.ratio:.3f} | {interval} | {self.rounds} | {self.bar:.2f} | {met} |"


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


def ratio_of(name: str, ratios: list[float], *, bar: float) -> Ratio:
    """The median of ratios, with the order statistics around it that bound it with 95 %."""
    ratios, rounds = sorted(ratios), len(ratios)
    low, high = stats.binom.ppf([0.025, 0.975], rounds, 0.5).astype(int)
    return Ratio(name, statistics.median(ratios), ratios[low], ratios[min(high, rounds - 1)], rounds, bar)
