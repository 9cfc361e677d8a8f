"""What the rows say of each claim: confirmed, contradicted, or undecided at this n, paired and at equal density.

Tests on differences are judged by `tombola.report.statistics`: fewer than five seeds are clear or undecided, five or
more are decided by a t interval, corrected by Holm's rule over the claims of a family; and no number of seeds decides a
difference that another test set of the same size might turn, where the rows tell its standard error. A published figure
is judged by its prediction interval alone.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from tombola.report.claims import Agrees, Better, Beyond, Claim, Label, NotWorse, Test, sides
from tombola.report.findings import Findings, Measured, Missing
from tombola.report.match import Pair, in_pairs, rows_of, run_label, why_no_number, why_none
from tombola.report.statistics import ALPHA, MOST_SEEDS, Lead, Sample, Verdict, interval, sample, verdict, verdicts
from tombola.report.wording import density_text, label_text

EQUAL = 0.01
"""Densities count as equal when they differ by at most this much, relative to the first."""

BOTH_SIDES = float(special.ndtri(1 - ALPHA / 2))
"""1.96: so many standard errors to either side hold 95 %."""

Outcome = Literal["confirmed", "contradicted", "undecided", "not measured"]


@dataclass(frozen=True)
class Tested:
    """One test and what came of it by itself.

    Args:
        here: The number over the rows of `where`; `there` over those of `than`.
        lead: The paired differences, turned so that more is better; None where nothing could be compared.
        between: 95 % interval of the mean difference, or of one further run (`Agrees`).
        why: What could not be compared, and why.
        note: What was compared in part, and why; what was compared across environments.
        mixed: How many pairs have their two sides from different environments.
        examples: The size of the smallest test set; 0 where rows do not tell it.
    """

    test: Test
    outcome: Literal["holds", "fails", "undecided", "not measured"]
    here: Sample | None = None
    there: Sample | None = None
    lead: Lead | None = None
    between: tuple[float, float] | None = None
    why: str = ""
    note: str = ""
    dense: bool = False
    mixed: int = 0
    examples: int = 0

    @property
    def test_set(self) -> float:
        """How far another test set of that size might move the mean difference, with 95 %; 0 where rows do not tell."""
        return self.lead.noise if self.lead else 0.0

    @property
    def within(self) -> bool:
        """Whether the difference is so small that another test set might turn it."""
        return self.lead is not None and self.lead.within

    @property
    def n(self) -> int:
        """How many runs it rests on, such as seeds."""
        if self.lead is not None:
            return len(self.lead.differences)
        return self.here.n if self.here is not None and isinstance(self.test, Agrees) else 0


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict; `needed` is the n that would decide where it is undecided and more would help."""

    claim: Claim
    outcome: Outcome
    n: int
    tested: tuple[Tested, ...]
    basis: Literal["clear", "interval"] = "clear"
    p: float | None = None
    needed: int | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why tests could not be made, each reason once."""
        return tuple(dict.fromkeys(tested.why for tested in self.tested if tested.why))


def judge(findings: Findings) -> tuple[Judged, ...]:
    """Every claim of a study, judged, in the order in which they were made.

    Raises:
        Refused: If a test picks two rows for one pair.

    Example:
        >>> judge(Findings(title="", question="", study="", command="", rows=()))
        ()
    """
    tested = [tuple(_test(findings, claim, test) for test in claim.tests) for claim in findings.claims]
    found: dict[int, Verdict] = {}
    for family in dict.fromkeys(claim.family for claim in findings.claims):
        inside = [
            index
            for index, claim in enumerate(findings.claims)
            if claim.family == family and any(test.lead for test in tested[index])
        ]
        judged = verdicts([[test.lead for test in tested[index] if test.lead] for index in inside])
        found.update(zip(inside, judged, strict=True))
    return tuple(_judged(claim, tested[index], found.get(index)) for index, claim in enumerate(findings.claims))


def _judged(claim: Claim, tested: tuple[Tested, ...], found: Verdict | None) -> Judged:
    figures = [test.outcome for test in tested if isinstance(test.test, Agrees)]
    said = [*figures, *([found.outcome] if found else [])]
    unmade = any(test.outcome == "not measured" for test in tested)
    n = min((test.n for test in tested if test.n), default=0)
    outcome: Outcome = "undecided"
    if "fails" in said:
        outcome = "contradicted"
    elif all(test.outcome == "not measured" for test in tested):
        outcome = "undecided" if any(_seen(test) for test in tested) else "not measured"
    elif not unmade and all(word == "holds" for word in said):
        outcome = "confirmed"
    more = found.needed if found and found.outcome == "undecided" else None
    if more is None:
        more = min((seeds for test in tested if (seeds := _excluding(test))), default=None)
    judged = Judged(claim, outcome, n, tested, needed=more if outcome == "undecided" else None)
    return replace(judged, basis=found.basis, p=found.p) if found else judged


def _seen(tested: Tested) -> bool:
    """Whether there are numbers on all sides, though they may not be comparable."""
    alone = isinstance(tested.test, Beyond)
    return tested.here is not None and (alone or tested.there is not None or tested.lead is not None)


def _test(findings: Findings, claim: Claim, test: Test) -> Tested:
    known: tuple[Measured | Missing, ...] = (*findings.rows, *findings.missing)
    picked: list[dict[Pair, Measured]] = []
    for where in sides(test):
        able = in_pairs([row for row in findings.rows if test.of in row.numbers], where, test.by, claim.sentence)
        if not able:
            rows = rows_of(findings.rows, where)
            why = why_no_number(rows, test.of) if rows else why_none(known, where)
            return Tested(test, "not measured", why=why)
        for needed in filter(None, (getattr(test, "error", ""), getattr(test, "apart", ""))):
            if not all(needed in row.numbers for row in able.values()):
                return Tested(test, "not measured", why=why_no_number(list(able.values()), needed))
            if not all(math.isfinite(row.numbers[needed]) for row in able.values()):
                return Tested(test, "not measured", why=f"{needed} is not finite in every row")
        picked.append(able)
    if isinstance(test, Agrees):
        return _agrees(test, _values(test, picked[0]))
    if isinstance(test, Beyond):
        return _beyond(test, picked[0])
    return _compared(test, picked[0], picked[1])


def _values(test: Test, rows: Mapping[Pair, Measured]) -> list[float]:
    return _by_run(test, {pair: float(row.numbers[test.of]) for pair, row in rows.items()})


def _by_run(test: Test, values: Mapping[Pair, float]) -> list[float]:
    """One value a run: pairs of the same run are no independent evidence, so they count together, by their mean."""
    found: dict[Label | None, list[float]] = {}
    for pair, value in values.items():
        found.setdefault(dict(zip(test.by, pair, strict=True)).get(run_label(test.by)), []).append(value)
    return [sum(inside) / len(inside) for inside in found.values()]


def _compared(test: Better | NotWorse, here: Mapping[Pair, Measured], there: Mapping[Pair, Measured]) -> Tested:
    shared = [pair for pair in here if pair in there]
    both = (sample(_values(test, here)), sample(_values(test, there)))
    dense = all(row.numbers.get("density") == 1.0 for row in there.values())
    known = Tested(test, "not measured", *both, dense=dense)
    what = " and ".join(test.by)
    if not shared:
        return replace(known, why=f"no {what} is on both sides, so nothing can be paired")
    if any(not math.isfinite(side[pair].numbers[test.of]) for pair in shared for side in (here, there)):
        return replace(known, why=f"{test.of} is not finite in every row (a training diverged)")
    for pair in shared if test.equal_density == "required" else ():
        own, other = (side[pair].numbers.get("density") for side in (here, there))
        if own is None or other is None:
            continue
        if not abs(own - other) <= EQUAL * own:  # Also where one of them is not finite.
            both_shown = f"{density_text(own)} and {density_text(other)}"
            return replace(known, why=f"not at equal density: {both_shown} ({_pair(test.by, pair)})")
    sign = 1.0 if test.higher else -1.0
    apart = {pair: here[pair].numbers[test.of] - there[pair].numbers[test.of] for pair in shared}
    differences = tuple(sign * value for value in _by_run(test, apart))
    noise, examples = _test_set(test, [[side[pair] for side in (here, there)] for pair in shared])
    lead = Lead(test.kind, differences, bound=test.bound, clearance=test.clearance, noise=noise)
    alone = len(here) + len(there) - 2 * len(shared)
    notes = [f"{alone} row{'' if alone == 1 else 's'} without a counterpart left out"] * (alone > 0)
    sides = [{here[pair].environment, there[pair].environment} for pair in shared]
    mixed = sum(len(side) == 2 and "" not in side for side in sides)
    notes += [f"{mixed} of {len(shared)} pairs mix environments"] * (mixed > 0)
    told = replace(known, note="; ".join(notes), mixed=mixed, examples=examples)
    return replace(told, outcome=verdict(lead).outcome, lead=lead, between=interval(differences))


def _beyond(test: Beyond, here: Mapping[Pair, Measured]) -> Tested:
    values = _values(test, here)
    found = sample(values)
    if not math.isfinite(found.mean):
        return Tested(test, "not measured", found, why=f"{test.of} is not finite in every row (a training diverged)")
    sign = 1.0 if test.higher else -1.0
    for pair, row in here.items() if test.apart else ():
        if (apart := row.numbers[test.apart]) > EQUAL:
            why = f"not at equal density: {apart:.2g} apart ({_pair(test.by, pair)})"
            return Tested(test, "not measured", found, why=why)
    noise, examples = _test_set(test, [[row] for row in here.values()])
    turned = tuple(sign * value for value in values)
    lead = Lead(test.kind, turned, bound=test.bound, clearance=test.clearance, noise=noise)
    return Tested(test, verdict(lead).outcome, found, lead=lead, between=interval(values), examples=examples)


def _test_set(test: Better | NotWorse | Beyond, pairs: Sequence[Sequence[Measured]]) -> tuple[float, int]:
    """How far another test set might move the mean, and the size of it; runs share it, so they make it no larger."""
    if not test.error:
        return 0.0, 0
    errors = [math.hypot(*(float(row.numbers[test.error]) for row in pair)) for pair in pairs]
    examples = [int(row.numbers["examples"]) for pair in pairs for row in pair if "examples" in row.numbers]
    return BOTH_SIDES * sum(errors) / len(errors), min(examples, default=0)


def _agrees(test: Agrees, values: Sequence[float]) -> Tested:
    found = sample(values)
    if not math.isfinite(found.mean):
        return Tested(test, "not measured", found, why=f"{test.of} is not finite in every row (a training diverged)")
    ends = one_more(values, reading=test.published.reading)
    if ends is None:
        return Tested(test, "undecided", found)
    if not ends[0] <= test.published.value <= ends[1]:
        return Tested(test, "fails", found, between=ends)
    near = abs(found.mean - test.published.value) <= test.margin + test.published.reading
    return Tested(test, "holds" if near else "undecided", found, between=ends)


def _excluding(tested: Tested) -> int | None:
    """How many seeds would exclude a published figure, if mean and spread stay as they are; None if none would."""
    test, found = tested.test, tested.here
    if not isinstance(test, Agrees) or tested.outcome != "undecided" or found is None:
        return None
    if found.sd is None:
        return 2
    off = abs(found.mean - test.published.value) - test.published.reading
    if _reach(found.sd, MOST_SEEDS) >= off:
        return None
    seeds = range(found.n + 1, MOST_SEEDS + 1)  # The reach falls with n.
    return seeds[bisect.bisect_left(seeds, True, key=lambda n: _reach(found.sd or 0.0, n) < off)]


def _reach(sd: float, n: int) -> float:
    """Half the width of Student's prediction interval for one more run."""
    return float(special.stdtrit(n - 1, 1 - ALPHA / 2)) * sd * math.sqrt(1 + 1 / n)


def one_more(values: Sequence[float], *, reading: float = 0.0) -> tuple[float, float] | None:
    """Where one further run would lie with 95 %, widened by a reading error; None for a single value.

    Mean ± (t(n - 1) sd sqrt(1 + 1/n) + reading).

    Example:
        >>> low, high = one_more([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-2.968, 6.968)
    """
    found = sample(values)
    if found.sd is None:
        return None
    reach = _reach(found.sd, found.n) + reading
    return found.mean - reach, found.mean + reach


def _pair(by: tuple[str, ...], pair: Pair) -> str:
    return ", ".join(f"{name} {label_text(value)}" for name, value in zip(by, pair, strict=True) if value is not None)
