"""The answer in one sentence, computed from the rows: what was reached, by how many seeds, and whether it is a win."""

from dataclasses import dataclass
from typing import Literal

from tombola.report.judge import TICKET, Judgement, accuracy, judge
from tombola.report.statistics import Sample, sample, verdict
from tombola.report.summary import Summary
from tombola.report.wording import claim_text, density_text, verdict_text, with_n


@dataclass(frozen=True)
class Evidence:
    """One thing the ticket was held against: what that reached, and the claim about the paired difference."""

    name: str
    reached: str
    claim: str
    outcome: Literal["holds", "fails", "undecided"]
    difference: Sample


@dataclass(frozen=True)
class Headline:
    """One sentence that answers, what it rests on, and what is still open (empty where nothing is)."""

    answer: str
    evidence: tuple[Evidence, ...] = ()
    open: str = ""


def headline(summary: Summary) -> Headline:
    """The strongest thing that may honestly be said: the sparsest win, else the best that was reached.

    Example:
        >>> headline(Summary(title="", question="", arch="", task="", recipe="", command="", rows=())).answer
        'Nothing was measured yet: there is no ticket among the results.'
    """
    found = judge(summary)
    if not found:
        return _nothing(summary)
    dense = accuracy(summary, TICKET, 0)
    tried = accuracy(summary, TICKET, found[0].level)
    against = f", against {_beside(dense, tried)} for the whole network" if dense else ""
    wins = [judgement for judgement in found if judgement.outcome == "wins"]
    open_ = [judgement for judgement in found if judgement.outcome == "undecided"]
    if wins:
        chosen = min(wins, key=lambda judgement: judgement.density)
        sure = "a clear win" if chosen.verdict.basis == "clear" else "a win"
        answer = f"At {_reached(summary, chosen, 'keeps')}{against}: {sure}."
    elif open_:
        chosen = _sparsest_close(open_, summary.margin)
        answer = f"No win so far: at {_reached(summary, chosen, 'reaches')}{against}, and that is undecided."
    else:
        chosen = max(found, key=_lead)
        answer = f"The ticket does not win: at its best, with {_reached(summary, chosen, 'reaches')}{against}."
    still = "" if chosen.outcome != "undecided" else f"U{verdict_text(chosen)[1:]}.{_lost(found)}"
    return Headline(answer, _evidence(summary, chosen), still)


def _nothing(summary: Summary) -> Headline:
    dense = accuracy(summary, TICKET, 0)
    if dense is None:
        return Headline("Nothing was measured yet: there is no ticket among the results.")
    return Headline(f"Only the whole network was measured: it reaches {with_n(dense)}. There is no ticket to judge.")


def _lost(found: tuple[Judgement, ...]) -> str:
    lost = sum(judgement.outcome == "loses" for judgement in found)
    return f" At {lost} of {len(found)} levels the ticket loses." if lost else ""


def _reached(summary: Summary, judgement: Judgement, verb: str) -> str:
    found = with_n(accuracy(summary, TICKET, judgement.level))
    return f"{density_text(judgement.density)} of the weights the ticket {verb} {found}"


def _beside(found: Sample, ticket: Sample | None) -> str:
    """The number of seeds is said again only where it is another."""
    text = with_n(found)
    return text if ticket is None or ticket.n != found.n else text.removesuffix(f" (n = {found.n})")


def _lead(judgement: Judgement) -> float:
    """The smallest of its leads over what it must not fall behind: the level that comes closest to a win."""
    return min((claim.gap for claim in judgement.claims), default=float("-inf"))


def _sparsest_close(found: list[Judgement], margin: float) -> Judgement:
    """The sparsest undecided level whose mean is within the margin of the dense network, else the closest one."""
    close = [j for j in found if any(claim.name == "dense" and claim.gap >= 0 for claim in j.claims)]
    return min(close, key=lambda j: j.density) if close else max(found, key=_lead)


def _evidence(summary: Summary, judgement: Judgement) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    for claim in judgement.claims:
        reached = accuracy(summary, *((TICKET, 0) if claim.name == "dense" else (claim.name, judgement.level)))
        outcome = verdict(claim).outcome
        found.append(Evidence(claim.name, with_n(reached), claim_text(claim), outcome, sample(claim.differences)))
    return tuple(found)
