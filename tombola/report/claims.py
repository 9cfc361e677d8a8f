"""What a study claims, said before its numbers are known: a sentence, and the tests that must all hold for it.

A test picks rows by their labels (`where`, `than`), pairs them (`by`) and holds one number (`of`) of the one against
that of the other. `tombola.report.judge` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from tombola.core.errors import Refused

Label = str | int | float | bool
Where = Mapping[str, Label]

MARGIN = 0.002
MOST_MARGIN = 0.1
"""0.2 points of accuracy: what counts as no loss, and how clear a lead must be where seeds are few."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure that others published, in the unit of the rows (an accuracy of 98.35 % is 0.9835).

    Args:
        source: Who published it and where: "Maene et al. 2021, figure 3".
        reading: How exactly it can be known, such as 0.002 for a plot that is read to 0.2 points.
    """

    value: float
    source: str
    reading: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a reading error below 0."""
        if self.reading < 0:
            raise Refused(f"the reading error is {self.reading!r}. It is a distance, 0 or more.")


@dataclass(frozen=True, kw_only=True)
class Better:
    """That the rows of `where` have more of a number than those of `than`, by more than `margin`, paired.

    Args:
        where: Labels of the rows that should lead.
        than: Labels of the rows that they should leave behind.
        of: The number that is compared.
        by: Labels that pair a row with its counterpart; all others should be settled by `where` and `than`. The
            seed, or the first where it is not among them, tells the runs apart, and they are what n counts: pairs of
            one run are taken together by their mean.
        margin: How far the true mean difference must lie above 0.
        clearance: With fewer than five runs, how far beyond the margin each single one must lie.
        higher: Whether more is better; else the fewer the better, as with a loss.
        equal_density: Rows that have a density are compared within 1 % of each other only; "any" lifts that.
        error: The number of both rows that is the standard error of `of` because the test set is no larger: a lead
            within 1.96 times it, of both sides together, is undecided however many runs agree on it.

    Example:
        >>> Better(where={"name": "ticket", "level": 5}, than={"name": "reinit", "level": 5}).of
        'test_accuracy'
    """

    kind: ClassVar[Literal["better"]] = "better"
    where: Where = field(hash=False)
    than: Where = field(hash=False)
    of: str = "test_accuracy"
    by: tuple[str, ...] = ("seed",)
    margin: float = 0.0
    clearance: float = MARGIN
    higher: bool = True
    equal_density: Literal["required", "any"] = "required"
    error: str = ""

    def __post_init__(self) -> None:
        """Settle the labels."""
        _settle(self, "where", "than")
        _pairs(self.by)
        _small(self, self.of, self.margin)

    @property
    def bound(self) -> float:
        """What the mean difference must lie above."""
        return self.margin


@dataclass(frozen=True, kw_only=True)
class NotWorse:
    """That the rows of `where` fall behind those of `than` by less than `margin`, paired; arguments as of `Better`.

    Example:
        >>> NotWorse(where={"level": 5}, than={"level": 0}, equal_density="any").bound
        -0.002
    """

    kind: ClassVar[Literal["not_worse"]] = "not_worse"
    where: Where = field(hash=False)
    than: Where = field(hash=False)
    of: str = "test_accuracy"
    by: tuple[str, ...] = ("seed",)
    margin: float = MARGIN
    clearance: float = 0.0
    higher: bool = True
    equal_density: Literal["required", "any"] = "required"
    error: str = ""

    def __post_init__(self) -> None:
        """Settle the labels."""
        _settle(self, "where", "than")
        _pairs(self.by)
        _small(self, self.of, self.margin)
        if self.margin < 0:
            raise Refused(f"the margin of NotWorse is {self.margin!r}. It is what may be lost, 0 or more.")

    @property
    def bound(self) -> float:
        """What the mean difference must lie above."""
        return -self.margin


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """That a number of the rows of `where` lies above a value, or below it (`higher=False`); for numbers that compare
    already, such as a lead, a barrier or a ratio. Arguments as of `Better`.

    Args:
        value: What the true mean must lie above, in the unit of the rows.
        apart: The number of the rows that says how far the weights of two sides are apart, as a share: beyond 1 % they
            are not compared.

    Example:
        >>> Beyond(where={"probe": "barrier"}, of="barrier", value=0.02, higher=False).bound
        -0.02
    """

    kind: ClassVar[Literal["beyond"]] = "beyond"
    where: Where = field(hash=False)
    of: str
    value: float = 0.0
    by: tuple[str, ...] = ("seed",)
    clearance: float = 0.0
    higher: bool = True
    error: str = ""
    apart: str = ""

    def __post_init__(self) -> None:
        """Settle the labels."""
        _settle(self, "where")
        _pairs(self.by)

    @property
    def bound(self) -> float:
        """What the mean, turned so that more is better, must lie above."""
        return self.value if self.higher else -self.value


@dataclass(frozen=True, kw_only=True)
class Agrees:
    """That a published single run agrees with ours.

    It is contradicted where one more run of ours would not lie with 95 %: outside of Student's prediction interval,
    mean ± t(n - 1) sd sqrt(1 + 1/n), widened by the reading error. It is confirmed inside, if our mean is also no
    farther off than the margin and the reading error. In between it is undecided: few seeds exclude little.

    Example:
        >>> Agrees(where={"level": 15}, published=Published(value=0.9835, source="a plot", reading=0.002)).of
        'test_accuracy'
    """

    kind: ClassVar[Literal["agrees"]] = "agrees"
    where: Where = field(hash=False)
    published: Published
    of: str = "test_accuracy"
    by: tuple[str, ...] = ("seed",)
    margin: float = MARGIN

    def __post_init__(self) -> None:
        """Settle the labels."""
        _settle(self, "where")
        _pairs(self.by)
        _small(self, self.of, self.margin)


Test = Better | NotWorse | Beyond | Agrees


def sides(test: Test) -> tuple[Where, ...]:
    """The rows that a test speaks of: one choice of them, or two that are compared."""
    return (test.where, test.than) if isinstance(test, Better | NotWorse) else (test.where,)


@dataclass(frozen=True)
class Claim:
    """A sentence that is confirmed when all its tests hold, and contradicted when one fails.

    Args:
        sentence: What is claimed, as a reader would say it.
        tests: What must hold, one or more.
        published: A figure to show beside ours; it decides nothing (`Agrees` does).
        family: Claims of one family are corrected together (Holm); those without a name are one family too.

    Example:
        >>> ahead = Better(where={"name": "ticket"}, than={"name": "reinit"})
        >>> Claim("tickets beat their reinit", tests=(ahead,)).family
        ''
    """

    sentence: str
    tests: tuple[Test, ...] = field(kw_only=True)
    published: Published | None = field(default=None, kw_only=True)
    family: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a claim that says or tests nothing."""
        object.__setattr__(self, "tests", tuple(self.tests))
        if not self.sentence.strip():
            raise Refused(
                "a claim has no sentence. Say what is claimed: Claim('tickets beat their reinit', tests=...)."
            )
        if not self.tests:
            raise Refused(
                f"the claim {self.sentence!r} has no tests. Give one or more: Better, NotWorse, Beyond or Agrees."
            )
        if wrong := [test for test in self.tests if not isinstance(test, Test)]:
            raise Refused(
                f"the claim {self.sentence!r} has a test of type {type(wrong[0]).__name__}. "
                "Tests are Better, NotWorse, Beyond and Agrees."
            )


def winning(
    level: Label,
    *,
    controls: Sequence[str] = ("reinit", "shuffle"),
    margin: float = MARGIN,
    of: str = "test_accuracy",
    where: Where = MappingProxyType({}),
    sentence: str = "",
    family: str = "winning",
) -> Claim:
    """That the ticket wins at a level: not worse than the dense network (level 0), and better than each control.

    The rows are those labelled name="ticket" or the control's name, and level. The margin is what may be lost to the
    dense network, and how clear the lead over a control must be where seeds are few.

    Args:
        where: Labels that all rows share beside name and level, such as depth=20.

    Example:
        >>> claim = winning(7, controls=("reinit",))
        >>> claim.sentence, len(claim.tests)
        ('the ticket wins at level 7', 2)
    """
    ticket: Where = {**where, "name": "ticket", "level": level}
    dense: Where = {**where, "name": "ticket", "level": 0}
    said = ", ".join(f"{name} {value}" for name, value in where.items())
    tests = (
        NotWorse(where=ticket, than=dense, of=of, margin=margin, equal_density="any"),
        *(Better(where=ticket, than={**ticket, "name": name}, of=of, clearance=margin) for name in controls),
    )
    return Claim(
        sentence or f"the ticket wins at level {level}{f' ({said})' if said else ''}", tests=tests, family=family
    )


def _settle(test: object, *names: str) -> None:
    for name in names:
        given = getattr(test, name)
        if not isinstance(given, Mapping):
            raise Refused(f"{type(test).__name__}: {name} is {given!r}. Give labels and values: {{'name': 'ticket'}}.")
        object.__setattr__(test, name, MappingProxyType(dict(given)))


def _small(test: object, of: str, margin: float) -> None:
    """Margins of accuracies are fractions: who writes 0.2 for 0.2 points would have every claim confirmed."""
    if of.endswith("accuracy") and abs(margin) > MOST_MARGIN:
        raise Refused(
            f"{type(test).__name__}: the margin is {margin!r}, {100 * margin:g} points of {of}. For an accuracy it "
            f"is a fraction, at most {MOST_MARGIN}: 0.2 points are 0.002."
        )


def _pairs(by: object) -> None:
    if not isinstance(by, tuple) or not all(isinstance(name, str) for name in by):
        raise Refused(f"by is {by!r}. Give the labels that tell one run from the next as a tuple: ('seed',).")
