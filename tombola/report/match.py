"""Which rows a test speaks of: picked by their labels, one for each pair, and in words why there are none."""

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

from tombola.core.counted import number_of
from tombola.core.errors import Refused
from tombola.report.claims import Claim, Label, Where, sides
from tombola.report.findings import Measured, Missing
from tombola.report.wording import label_text, labels_text, spoken

Named = TypeVar("Named", bound=Measured | Missing)
Pair = tuple[Label | None, ...]


def run_label(by: tuple[str, ...]) -> str:
    """The label that tells one run from the next, of those that pair rows: the seed, else the first.

    Example:
        >>> run_label(("depth", "seed")), run_label(("vocabulary", "depth"))
        ('seed', 'vocabulary')
    """
    return by[0] if by and "seed" not in by else "seed"


def fits(row: Measured | Missing, where: Where) -> bool:
    """Whether a row has all these labels."""
    return where.items() <= row.labels.items()


def rows_of(rows: Sequence[Named], where: Where) -> list[Named]:
    """The rows that have all these labels, in order."""
    wanted = where.items()
    return [row for row in rows if wanted <= row.labels.items()]  # Asked a thousand times of thousands of rows.


def in_pairs(rows: Sequence[Named], where: Where, by: tuple[str, ...], claim: str) -> dict[Pair, Named]:
    """The rows with these labels, one for each value of the labels `by`.

    Raises:
        Refused: If two rows stand for one value: which of them is meant cannot be known.
    """
    found: dict[Pair, Named] = {}
    for row in rows_of(rows, where):
        pair = tuple(row.labels.get(name) for name in by)
        if pair in found and _step(found[pair]) != _step(row) and isinstance(row, Missing):
            continue  # What another kind of step will have measured is known afterwards.
        if pair in found:
            raise Refused(_twice(claim, where, by, found[pair], row))
        found[pair] = row
    return found


def check(claims: Iterable[Claim], rows: Sequence[Measured | Missing]) -> list[str]:
    """Find out before a long run whether each claim picks its rows unambiguously; rows not run yet may be `Missing`.

    Returns:
        In words, for each test that picks no row at all, why: it can never be measured.

    Raises:
        Refused: If a test picks two rows for one pair.
    """
    said: list[str] = []
    for claim in claims:
        for test in claim.tests:
            for where in sides(test):
                if not in_pairs(rows, where, test.by, claim.sentence):
                    said.append(f"the claim {claim.sentence!r} cannot be measured: {why_none(rows, where)}.")
    return list(dict.fromkeys(said))


def _step(row: Measured | Missing) -> str:
    return row.key.partition(":")[0]


def _twice(claim: str, where: Where, by: tuple[str, ...], first: Measured | Missing, second: Measured | Missing) -> str:
    given = dict(where)
    which = ", ".join(f"{name} {label_text(first.labels[name])}" for name in by if name in first.labels) or "one pair"
    names = {**first.labels, **second.labels}
    apart = [name for name in names if first.labels.get(name) != second.labels.get(name)]
    said = [f"{row.key} ({labels_text(row.labels)})" for row in (first, second)]
    if apart:
        example = f"{{..., {apart[0]!r}: {_value(first, apart[0])}}}"
        way = f"They differ in {' and '.join(apart)}: say which is meant, as in {example}, "
        way += f"or pair by it: by={(*by, apart[0])!r}."
    else:
        way = "Their labels are the same: give row() a label that tells them apart."
    return f"claim {claim!r}: {given} picks two rows for {which}: {said[0]} and {said[1]}. {way}"


def _value(row: Measured | Missing, name: str) -> str:
    return repr(row.labels[name]) if name in row.labels else "..."


def why_none(rows: Sequence[Measured | Missing], where: Where) -> str:
    """Why no row has these labels, naming what comes nearest."""
    for name, value in where.items():
        values = list(dict.fromkeys(row.labels[name] for row in rows if name in row.labels))
        if not values:
            known = list(dict.fromkeys(label for row in rows for label in row.labels))
            return f"no row has the label {name!r}{_near(name, known)}"
        if value not in values:
            return f"no row has {spoken(name)} {label_text(value)}{_near_value(value, values)}"
    absent = [row for row in rows if isinstance(row, Missing) and fits(row, where)]
    if absent:
        return f"{labels_text(where)}: {number_of(len(absent), 'row is', 'rows are')} missing ({absent[0].why})"
    return f"no row is {labels_text(where)}"


def why_no_number(rows: Sequence[Measured], name: str) -> str:
    """Why rows have no number of this name."""
    known = list(dict.fromkeys(number for row in rows for number in row.numbers))
    which = "its only row has no" if len(rows) == 1 else f"none of its {len(rows):,} rows has the"
    return f"{which} number {name!r}{_near(name, known)}"


def _near_value(value: Label, known: list[Label]) -> str:
    numbers = [other for other in known if isinstance(other, int | float)]
    if isinstance(value, int | float) and len(numbers) == len(known):
        return f"; the nearest is {label_text(min(numbers, key=lambda other: abs(other - value)))}"
    return _near(label_text(value), [label_text(other) for other in known])


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; known: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" if known else ""
