"""What the figures draw: the points of each arm over the seeds, and how the arms are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tombola.report.claims import Where
from tombola.report.declared import Curve
from tombola.report.findings import Findings, Measured
from tombola.report.gather import grouped, sampled, value_of
from tombola.report.match import rows_of
from tombola.report.statistics import Sample
from tombola.report.wording import label_text, labels_text, number_text, spoken, with_n

MOST_ARMS = 12
"""More lines than this cannot be told apart; the rest is in the table of rows."""


@dataclass(frozen=True)
class Style:
    """How one arm is told from the others: by colour, by dashes and by the shape of its marks."""

    colour: str
    dashes: tuple[float, ...]
    mark: str
    plot_mark: str


STYLES = (
    Style("#0072b2", (), "M-4.6 0A4.6 4.6 0 1 0 4.6 0A4.6 4.6 0 1 0 -4.6 0Z", "o"),
    Style("#d55e00", (7.0, 4.0), "M-4.2 -4.2H4.2V4.2H-4.2Z", "s"),
    Style("#009e73", (2.0, 3.5), "M0 -5.4L5 3.8H-5Z", "^"),
    Style("#b0568c", (9.0, 3.0, 2.0, 3.0), "M0 -5.8L5.8 0L0 5.8L-5.8 0Z", "D"),
    Style("#8a6d00", (12.0, 4.0), "M0 5.4L5 -3.8H-5Z", "v"),
)
"""Okabe and Ito's colours, safe for colour-blind readers, in the order of the arms."""


def style_of(index: int) -> Style:
    """The style of the arm with this place; where the colours begin again, dashes and marks are others.

    Example:
        >>> style_of(0).plot_mark, style_of(5).colour == style_of(0).colour, style_of(5).plot_mark
        ('o', True, '^')
    """
    again, count = index // len(STYLES), len(STYLES)
    colour, dashes, mark = (STYLES[(index + turn * again) % count] for turn in (0, 1, 2))
    return Style(colour.colour, dashes.dashes, mark.mark, mark.plot_mark)


@dataclass(frozen=True)
class Point:
    """The rows that share all labels but the seed: where they lie, all together and one by one."""

    x: float
    found: Sample
    rows: tuple[Measured, ...]
    where: Where = field(hash=False)

    @property
    def said(self) -> str:
        """Its labels in words."""
        return labels_text(self.where)


@dataclass(frozen=True)
class Arm:
    """One line of a figure."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Drawn:
    """A figure ready to be drawn; `left_out` counts arms that are one too many."""

    curve: Curve
    title: str
    arms: tuple[Arm, ...]
    baseline: Sample | None = None
    left_out: int = 0

    @property
    def points(self) -> list[Point]:
        """The points of all arms."""
        return [point for arm in self.arms for point in arm.points]


def drawn(findings: Findings, curve: Curve) -> Drawn:
    """The points of a curve; a value of 0 or less has no place on a logarithmic axis and is left out."""
    arms: dict[str, list[Point]] = {}
    for labels, rows in grouped(plotted(findings.rows, curve), without=curve.over):
        inside = [row for row in rows if value_of(row, curve.x) is not None and curve.y in row.numbers]
        x, found = sampled(inside, curve.x), sampled(inside, curve.y)
        if not x or not found or found.mean != found.mean or (curve.log_x and x.mean <= 0):
            continue
        name = ", ".join(_said(part, labels[part]) for part in curve.arms if labels.get(part, "") != "") or spoken(
            curve.y
        )
        where = {label: value for label, value in labels.items() if not (curve.table and label == curve.x)}
        arms.setdefault(name, []).append(Point(x.mean, found, tuple(inside), where))
    base = sampled(rows_of(findings.rows, curve.baseline), curve.y) if curve.baseline is not None else None
    title = curve.title or f"{spoken(curve.y).capitalize()} against {spoken(curve.x)}"
    kept = [Arm(name, tuple(sorted(points, key=lambda point: point.x))) for name, points in arms.items()]
    return Drawn(curve, title, tuple(kept[:MOST_ARMS]), base, max(0, len(kept) - MOST_ARMS))


def plotted(rows: Sequence[Measured], curve: Curve) -> list[Measured]:
    """The rows that a curve is of; of a table each line as a row by itself, its x among the labels."""
    found = rows_of(rows, curve.where)
    if not curve.table:
        return found
    return [
        replace(row, labels={**row.labels, curve.x: line[curve.x]}, numbers={curve.y: line[curve.y]}, tables={})
        for row in found
        for line in row.tables.get(curve.table, ())
        if _is_number(line.get(curve.x)) and _is_number(line.get(curve.y))
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(name: str, value: str | int | float | bool) -> str:
    return label_text(value) if name == "name" or type(value) is str else labels_text({name: value})


def in_words(figure: Drawn) -> str:
    """What a reader who cannot see the plot needs: where each arm begins and where it ends."""
    said: list[str] = []
    for arm in figure.arms:
        first, last = _ends(arm.points, figure.curve)
        start, stop = (
            f"{with_n(figure.curve.y, point.found)} at {spoken(figure.curve.x)} {number_text(figure.curve.x, point.x)}"
            for point in (first, last)
        )
        said.append(f"{arm.name}: {start}, {stop}.")
    return " ".join(said)


def _ends(points: Sequence[Point], curve: Curve) -> tuple[Point, Point]:
    first, last = points[0], points[-1]
    return (last, first) if curve.x == "density" else (first, last)
