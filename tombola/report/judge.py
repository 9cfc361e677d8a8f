"""Does the ticket win? Each level against the dense network and the controls, paired by seed, at equal density.

Winning is: not worse than the dense network by more than the margin, *and* better than reinit and than shuffle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tombola.report.statistics import Claim, Sample, Verdict, paired, sample, verdicts
from tombola.report.summary import Row, Summary

TICKET = "ticket"
CONTROLS = ("reinit", "shuffle")
"""The controls that a winning ticket must beat. Others are shown beside it and decide nothing."""
EQUAL = 0.01
"""Densities count as equal when they differ by at most this much, relative to the ticket's."""


@dataclass(frozen=True)
class Judgement:
    """One level, judged: `verdict` on winning, the claims it rests on, and in words what could not be compared."""

    level: int
    density: float
    verdict: Verdict
    claims: tuple[Claim, ...]
    missing: tuple[str, ...] = ()

    @property
    def outcome(self) -> Literal["wins", "loses", "undecided"]:
        """The verdict in the words of the page; what was not compared with every control cannot have won."""
        if self.verdict.outcome == "fails":
            return "loses"
        return "wins" if self.verdict.outcome == "holds" and not self.missing else "undecided"


def arms(summary: Summary) -> tuple[str, ...]:
    """The names that occur, ticket first, then the controls in their usual order, then any others by name.

    Example:
        >>> arms(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()))
        ()
    """
    found = {row.name for row in summary.rows}
    usual = tuple(name for name in (TICKET, *CONTROLS) if name in found)
    return usual + tuple(sorted(found - set(usual)))


def levels(summary: Summary) -> tuple[int, ...]:
    """The levels that occur in any row, in order; level 0 is the dense network."""
    return tuple(sorted({row.level for row in summary.rows}))


def rows_of(summary: Summary, name: str, level: int) -> tuple[Row, ...]:
    """The rows of one arm at one level, by seed."""
    found = (row for row in summary.rows if row.name == name and row.level == level)
    return tuple(sorted(found, key=lambda row: row.seed))


def accuracy(summary: Summary, name: str, level: int) -> Sample | None:
    """Test accuracy over the seeds of one arm at one level, as fractions; None where nothing was measured."""
    values = [row.test_accuracy for row in rows_of(summary, name, level)]
    return sample(values) if values else None


def density_of(summary: Summary, level: int, name: str = TICKET) -> float | None:
    """Mean density of one arm at one level; for the ticket, of whatever is there when the ticket is not."""
    rows = rows_of(summary, name, level)
    if not rows and name == TICKET:
        rows = tuple(row for row in summary.rows if row.level == level)
    return sample([row.density for row in rows]).mean if rows else None


def judge(summary: Summary) -> tuple[Judgement, ...]:
    """One judgement for every level of the ticket but the dense one; the levels are one family (Holm).

    Example:
        >>> judge(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()))
        ()
    """
    judged = [level for level in levels(summary) if level and rows_of(summary, TICKET, level)]
    cases = [(level, *_claims(summary, level)) for level in judged]
    found = verdicts([claims for _, claims, _ in cases])
    return tuple(
        Judgement(level, density_of(summary, level) or 0.0, verdict, claims, missing)
        for (level, claims, missing), verdict in zip(cases, found, strict=True)
    )


def _claims(summary: Summary, level: int) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    tickets = {row.seed: row for row in rows_of(summary, TICKET, level)}
    claims: list[Claim] = []
    missing: list[str] = []
    dense = {row.seed: row.test_accuracy for row in rows_of(summary, TICKET, 0)}
    if differences := paired(_accuracies(tickets), dense):
        claims.append(Claim("dense", differences, bound=-summary.margin))
    else:
        missing.append("no dense network with the same seeds")
    for name in CONTROLS:
        rows = {row.seed: row for row in rows_of(summary, name, level)}
        shared = rows.keys() & tickets.keys()
        if not shared:
            missing.append(f"no {name} with the same seeds")
            continue
        if unequal := sorted(seed for seed in shared if not _equal(tickets[seed].density, rows[seed].density)):
            here, there = (arm[unequal[0]].density for arm in (tickets, rows))
            missing.append(f"{name} is not at equal density ({there:.4g}, the ticket {here:.4g}, seed {unequal[0]})")
            continue
        differences = paired(_accuracies(tickets), _accuracies(rows))
        claims.append(Claim(name, differences, bound=0.0, clearance=summary.margin))
    return tuple(claims), tuple(missing)


def _accuracies(rows: Mapping[int, Row]) -> dict[int, float]:
    return {seed: row.test_accuracy for seed, row in rows.items()}


def _equal(ticket: float, other: float) -> bool:
    return abs(ticket - other) <= EQUAL * ticket
