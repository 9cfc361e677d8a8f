"""The figures and tables that a study declares: which number is drawn or laid out against which labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from tombola.core.errors import Refused
from tombola.report.claims import Label, Where


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One number against another (or against a label), a line for each value of a label, over the seeds.

    Args:
        x: A number or a label that is a number. Density runs from dense to sparse, everything else upwards.
        y: The number on the upright axis.
        by: The label, or labels, whose values are told apart by colour.
        where: Only rows with these labels.
        baseline: Labels of rows that are drawn as a level band across, such as the dense network.
        over: Labels whose rows are drawn together as a mean and a band.
        log_x: Whether the x axis is logarithmic.
        table: The rows' table in whose lines x and y are, such as the points of a barrier; "" for numbers of the rows.

    Example:
        >>> Curve(by="name", baseline={"name": "ticket", "level": 0}).y
        'test_accuracy'
    """

    kind: ClassVar[Literal["curve"]] = "curve"
    x: str = "density"
    y: str = "test_accuracy"
    by: str | tuple[str, ...] = "name"
    where: Where = field(default_factory=dict, hash=False)
    baseline: Where | None = field(default=None, hash=False)
    baseline_name: str = "dense network"
    over: tuple[str, ...] = ("seed",)
    title: str = ""
    log_x: bool = True
    table: str = ""

    def __post_init__(self) -> None:
        """Settle the labels."""
        object.__setattr__(self, "where", _labels("Curve", "where", self.where))
        if self.baseline is not None:
            object.__setattr__(self, "baseline", _labels("Curve", "baseline", self.baseline))

    @property
    def arms(self) -> tuple[str, ...]:
        """The labels that tell the lines apart."""
        return (self.by,) if isinstance(self.by, str) else tuple(self.by)


@dataclass(frozen=True, kw_only=True)
class Pivot:
    """A number laid out in lines and columns by two labels; each cell a mean and its spread over the seeds.

    Args:
        columns: A label; "" gives one column.
        beside: Numbers shown once a line, where the rows have them.
        over: Labels whose rows share a cell.
        verdicts: Whether the verdicts on claims about a line stand at its end.

    Example:
        >>> Pivot(lines="depth", columns="ticket", of="barrier").verdicts
        'show'
    """

    kind: ClassVar[Literal["pivot"]] = "pivot"
    lines: str = "level"
    columns: str = "name"
    of: str = "test_accuracy"
    where: Where = field(default_factory=dict, hash=False)
    beside: tuple[str, ...] = ("density",)
    over: tuple[str, ...] = ("seed",)
    title: str = ""
    verdicts: Literal["show", "hide"] = "show"

    def __post_init__(self) -> None:
        """Settle the labels."""
        object.__setattr__(self, "where", _labels("Pivot", "where", self.where))
        if not self.lines or self.lines == self.columns:
            raise Refused(f"Pivot: lines={self.lines!r}, columns={self.columns!r}. Give two different labels.")


def _labels(what: str, name: str, given: object) -> Mapping[str, Label]:
    if not isinstance(given, Mapping):
        raise Refused(f"{what}: {name} is {given!r}. Give labels and values: {{'name': 'ticket'}}.")
    return MappingProxyType(dict(given))
