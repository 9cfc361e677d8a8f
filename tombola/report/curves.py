"""What the figures draw: each arm's curve over density, and how the arms are told apart."""

from dataclasses import dataclass

from tombola.report.judge import accuracy, arms, density_of, levels, rows_of
from tombola.report.statistics import Sample
from tombola.report.summary import Row, Summary
from tombola.report.wording import density_text, with_n


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
"""Okabe and Ito's colours, safe for colour-blind readers, in the order of the arms; used again from the start."""


def style_of(index: int) -> Style:
    """The style of the arm with this place in `arms`.

    Example:
        >>> style_of(0).plot_mark, style_of(5) == style_of(0)
        ('o', True)
    """
    return STYLES[index % len(STYLES)]


@dataclass(frozen=True)
class Point:
    """One arm at one density: all seeds together, and one by one."""

    level: int
    density: float
    found: Sample
    rows: tuple[Row, ...]


def curve(summary: Summary, name: str) -> tuple[Point, ...]:
    """The points of one arm from dense to sparse; a density of 0 has no place on a logarithmic axis and is left out.

    Example:
        >>> curve(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()), "ticket")
        ()
    """
    points: list[Point] = []
    for level in levels(summary):
        density, found = density_of(summary, level, name), accuracy(summary, name, level)
        if density and found:
            points.append(Point(level, density, found, rows_of(summary, name, level)))
    return tuple(sorted(points, key=lambda point: -point.density))


def in_words(summary: Summary) -> str:
    """What a reader who cannot see the plot needs: where each arm begins and where it ends."""
    said: list[str] = []
    for name in arms(summary):
        if points := curve(summary, name):
            first, last = points[0], points[-1]
            start = f"{with_n(first.found)} at {density_text(first.density)} of the weights"
            said.append(f"{name}: {start}, {with_n(last.found)} at {density_text(last.density)}.")
    return " ".join(said)
