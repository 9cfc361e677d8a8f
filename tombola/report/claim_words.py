"""Claims and their verdicts in words."""

import math
from collections.abc import Sequence

from tombola.report.claims import Agrees, Better, Beyond, NotWorse, Published
from tombola.report.judge import Judged, Tested
from tombola.report.match import run_label
from tombola.report.statistics import FEW
from tombola.report.wording import (
    difference_text,
    labels_text,
    margin_text,
    number_text,
    spoken,
    with_unit,
)

MARKS = {
    "confirmed": "✓", "contradicted": "✗", "undecided": "?", "not measured": "–", "holds": "✓", "fails": "✗",
}  # fmt: skip
FEW_NAMED = 3
"""So many confirmed claims are named at the top."""


def outcome_text(judged: Judged) -> str:
    """The verdict in a word or two, with the n that it holds for.

    Example:
        >>> from tombola.report.claims import winning
        >>> outcome_text(Judged(winning(1), "undecided", 3, ()))
        'undecided at n = 3'
    """
    if judged.outcome == "undecided":
        return f"undecided at n = {judged.n}" if judged.n else "undecided"
    return judged.outcome


def basis_text(judged: Judged) -> str:
    """What the verdict rests on, or what would decide it, or what is not there."""
    if judged.outcome == "not measured":
        return "; ".join(judged.reasons)
    if judged.outcome == "undecided":
        return "; ".join([*_those(judged, "undecided"), *judged.reasons, *_more(judged)])
    return "; ".join([*(_those(judged, "fails") if judged.outcome == "contradicted" else []), _rests_on(judged)])


def _those(judged: Judged, outcome: str) -> list[str]:
    """Which of several tests are to blame."""
    named = [statement_text(tested) for tested in judged.tested if tested.outcome == outcome]
    what = "open" if outcome == "undecided" else outcome
    return [f"{what}: {' and '.join(named)}"] if named and len(judged.tested) > 1 else []


def _rests_on(judged: Judged) -> str:
    if all(isinstance(tested.test, Agrees) for tested in judged.tested):
        return f"95 % interval for one more run, n = {judged.n}"
    if judged.basis == "clear":
        return f"clear: every {_run(judged)} agrees beyond the margin, n = {judged.n}"
    return f"95 % interval, n = {judged.n}" + ("" if judged.p is None else f", corrected p {_p(judged.p)}")


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _more(judged: Judged) -> list[str]:
    if small := [tested for tested in judged.tested if tested.within]:
        return [_larger_test(tested) for tested in small]
    if judged.needed is not None:
        return [f"about {judged.needed:,} {_several(_run(judged))} would decide"]
    if judged.reasons:
        return []
    if judged.n < 2:
        return [f"one {_run(judged)} has no spread, at least {FEW} are needed"]
    return [f"no number of {_several(_run(judged))} in reach would decide"]


def _run(judged: Judged) -> str:
    """What tells the runs apart: the seed, most often."""
    return spoken(run_label(judged.claim.tests[0].by))


def _several(word: str) -> str:
    """The plural of a label's name.

    Example:
        >>> _several("seed"), _several("vocabulary")
        ('seeds', 'vocabularies')
    """
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _larger_test(tested: Tested) -> str:
    """How many test examples would decide, if the difference stays: errors fall with the root of their number."""
    if tested.lead is None or not tested.examples:
        return "the test set is too small"
    said = f"{tested.examples:,} test examples are too few"
    if not tested.lead.gap:
        return said
    return f"{said}, about {rounded_up(tested.examples * (tested.test_set / tested.lead.gap) ** 2):,} would decide"


def rounded_up(value: float) -> int:
    """A whole number not below the value, of two figures.

    Example:
        >>> rounded_up(1234.5), rounded_up(7.2), rounded_up(1300)
        (1300, 8, 1300)
    """
    unit = 10 ** max(0, math.floor(math.log10(max(value, 1.0))) - 1)
    return math.ceil(value / unit - 1e-9) * unit


def tally(judged: Sequence[Judged]) -> str:
    """How many claims came out which way.

    Example:
        >>> from tombola.report.claims import winning
        >>> tally([Judged(winning(1), "confirmed", 3, ()), Judged(winning(2), "undecided", 3, ())])
        '1 of 2 claims is confirmed, 1 is undecided.'
    """
    if not judged:
        return ""
    counts = {word: sum(claim.outcome == word for claim in judged) for word in MARKS}
    said = [f"{count} {'is' if count == 1 else 'are'} {word}" for word, count in counts.items() if count]
    first, *rest = said
    head, _, tail = first.partition(" ")
    total = f"{head} of {len(judged)} claim{'' if len(judged) == 1 else 's'} {tail}"
    return ", ".join([total, *rest]) + "."


def other_text(tested: Tested) -> str:
    """What the rows of `where` were held against, by the labels that are not theirs."""
    test = tested.test
    if isinstance(test, Agrees):
        return f"the published {number_text(test.of, test.published.value)}"
    if isinstance(test, Beyond):
        return number_text(test.of, test.value)
    if tested.dense:
        return "the dense network"
    apart = {name: value for name, value in test.than.items() if name not in test.where or test.where[name] != value}
    return labels_text(apart or test.than)


def statement_text(tested: Tested) -> str:
    """What a test says."""
    test = tested.test
    match test:
        case Agrees():
            return f"{other_text(tested)} {spoken(test.of)} agrees with ours"
        case Beyond():
            return f"{spoken(test.of)} {'above' if test.higher else 'below'} {other_text(tested)}"
        case Better():
            far = f" by more than {margin_text(test.of, test.margin)}" if test.margin else ""
            said = f"better than {other_text(tested)}{far}"
        case NotWorse():
            said = f"not worse than {other_text(tested)} by more than {margin_text(test.of, test.margin)}"
    return said if test.of == "test_accuracy" else f"{said} in {spoken(test.of)}"


def evidence_text(tested: Tested) -> str:
    """The figures behind a test."""
    test = tested.test
    if tested.why:
        return tested.why
    if isinstance(test, Agrees):
        ends = f", one more run would lie between {between_text(tested)}" if tested.between else ""
        return f"ours {with_unit(test.of, tested.here, decimals=2)}{ends}, n = {tested.n}"
    here, there = (with_unit(test.of, side, decimals=2) for side in (tested.here, tested.there))
    said = here
    if not isinstance(test, Beyond):
        lower = "" if test.higher else ", lower is better"
        said = f"{here} against {there}{lower}: {lead_text(tested)}"
    ends = f", 95 % interval {between_text(tested)}" if tested.between else ""
    note = f"; {tested.note}" if tested.note else ""
    return f"{said}{ends}, n = {tested.n}{_test_set_text(tested)}{note}"


def _test_set_text(tested: Tested) -> str:
    if not tested.test_set:
        return ""
    size = f" of {tested.examples:,} examples" if tested.examples else ""
    far = difference_text(tested.test.of, tested.test_set).removeprefix("+")
    return f"; another test set{size} might move it by {far}"


def lead_text(tested: Tested) -> str:
    """The mean difference; above 0 is better, whichever way the number runs."""
    if tested.lead is None or isinstance(tested.test, Agrees | Beyond):
        return ""
    return difference_text(tested.test.of, sum(tested.lead.differences) / len(tested.lead.differences))


def between_text(tested: Tested) -> str:
    """The interval of a test in the unit of its number."""
    if tested.between is None:
        return ""
    name = tested.test.of
    if isinstance(tested.test, Agrees | Beyond):
        return " and ".join(number_text(name, end) for end in tested.between)
    first, second = (difference_text(name, end) for end in tested.between)
    return f"{first.removesuffix(' points')} to {second}"


def published_text(name: str, published: Published) -> str:
    """A published figure, how exactly it can be read, and where it stands.

    Example:
        >>> published_text("test_accuracy", Published(value=0.9835, source="a plot", reading=0.002))
        '98.35 % ± 0.2 points of reading (a plot)'
    """
    reading = f" ± {margin_text(name, published.reading)} of reading" if published.reading else ""
    return f"{number_text(name, published.value)}{reading} ({published.source})"


def published_of(judged: Judged) -> tuple[tuple[str, Published, str], ...]:
    """The published figures of a claim, each once, with the name of its number and what ours is."""
    found: dict[tuple[str, Published], str] = {}
    first = judged.tested[0] if judged.tested else None
    if judged.claim.published is not None and first is not None:
        test = first.test
        found[test.of, judged.claim.published] = with_unit(test.of, first.here, decimals=2)
    for tested in judged.tested:
        if isinstance(test := tested.test, Agrees):
            found[test.of, test.published] = with_unit(test.of, tested.here, decimals=2)
    return tuple((name, published, ours) for (name, published), ours in found.items())


def confirmed_text(judged: Sequence[Judged]) -> str:
    """The claims that are confirmed, where they are few.

    Example:
        >>> from tombola.report.claims import winning
        >>> confirmed_text([Judged(winning(1), "confirmed", 3, ())])
        'Confirmed: the ticket wins at level 1.'
    """
    said = [one.claim.sentence for one in judged if one.outcome == "confirmed"]
    return f"Confirmed: {'; '.join(said)}." if 0 < len(said) <= FEW_NAMED else ""
