"""Accuracy against density, as inline SVG that takes its colours from the page."""

from markupsafe import Markup

from tombola.report.curves import STYLES, Point, curve, in_words, style_of
from tombola.report.judge import TICKET, accuracy, arms
from tombola.report.summary import Summary
from tombola.report.svg import Axis, LogAxis, path, tag
from tombola.report.wording import density_text, percent_number, with_n


def arm_class(index: int) -> str:
    """The CSS class that gives an arm its colour: a number, so that no name from outside reaches the style.

    Example:
        >>> arm_class(1)
        'arm1'
    """
    return f"arm{index % len(STYLES)}"


def legend_mark(index: int) -> Markup:
    """The dash and the mark of one arm, for the legend above the plot."""
    line = tag("path", d="M1 8H35", class_="line", stroke_dasharray=_dashes(index))
    mark = tag("path", d=style_of(index).mark, class_="mark", transform="translate(18 8)")
    box = {"viewBox": "0 0 36 16", "width": "36", "height": "16", "aria_hidden": "true"}
    return tag("svg", line, mark, class_=arm_class(index), **box)


def accuracy_svg(summary: Summary, *, width: int, height: int) -> Markup:
    """Test accuracy against density (log axis), in a box of `width` by `height` pixels.

    Line: mean. Band: smallest to largest seed. Faint dots: single seeds. Horizontal band: the dense network, likewise.
    """
    curves = {name: curve(summary, name) for name in arms(summary)}
    everything = [point for points in curves.values() for point in points]
    if not everything:
        return Markup("")
    x = LogAxis(min(point.density for point in everything), 1.0, 46.0, float(width - 16))
    y = _accuracy_axis(everything, 24.0, float(height - 46))
    parts = [_frame(x, y, width, height), _dense_band(summary, x, y)]
    for index, points in enumerate(curves.values()):
        parts.append(tag("g", *_arm(points, index, x, y), class_=arm_class(index)))
    label = f"Test accuracy against density. {in_words(summary)}"
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_="plot")


def _accuracy_axis(points: list[Point], top: float, bottom: float) -> Axis:
    low, high = min(point.found.low for point in points), max(point.found.high for point in points)
    pad = max(0.06 * (high - low), 0.004)
    return Axis(max(0.0, low - pad), min(1.0, high + pad), bottom, top)


def _dashes(index: int) -> str:
    return " ".join(f"{dash:g}" for dash in style_of(index).dashes) or "none"


def _frame(x: LogAxis, y: Axis, width: int, height: int) -> Markup:
    lines: list[Markup] = []
    for value in y.ticks(6 if height > 340 else 5):
        lines.append(tag("path", d=path([(x.start, y(value)), (x.stop, y(value))]), class_="grid"))
        lines.append(tag("text", f"{100 * value:g}", x=x.start - 10, y=y(value) + 4, text_anchor="end"))
    for value in x.ticks(44.0 if width > 500 else 36.0):
        lines.append(tag("path", d=path([(x(value), y.start), (x(value), y.start + 5)]), class_="tick"))
        lines.append(tag("text", percent_number(value), x=x(value), y=y.start + 20, text_anchor="middle"))
    middle = (x.start + x.stop) / 2
    lines.append(tag("text", "weights kept, %", x=middle, y=height - 6, text_anchor="middle", class_="name"))
    return tag("g", *lines, class_="frame")


def _dense_band(summary: Summary, x: LogAxis, y: Axis) -> Markup:
    dense = accuracy(summary, TICKET, 0)
    if dense is None:
        return Markup("")
    top, bottom = y(dense.high), y(dense.low)
    title = tag("title", f"dense network: {with_n(dense)}, single seeds from {dense.low:.2%} to {dense.high:.2%}")
    band = tag("rect", x=x.start, y=top - 1, width=x.stop - x.start, height=bottom - top + 2, class_="band")
    line = tag("path", d=path([(x.start, y(dense.mean)), (x.stop, y(dense.mean))]), class_="line")
    name = tag("text", "dense network", x=x.stop, y=top - 6, text_anchor="end", class_="halo")
    return tag("g", title, band, line, name, class_="dense")


def _arm(points: tuple[Point, ...], index: int, x: LogAxis, y: Axis) -> list[Markup]:
    if not points:
        return []
    upper = [(x(point.density), y(point.found.high)) for point in points]
    lower = [(x(point.density), y(point.found.low)) for point in reversed(points)]
    means = [(x(point.density), y(point.found.mean)) for point in points]
    drawn = [
        tag("path", d=path(upper + lower, closed=True), class_="band"),
        tag("path", d=path(means), class_="line", stroke_dasharray=_dashes(index)),
    ]
    for point in points:
        for row in point.rows:
            title = f"{row.name}, seed {row.seed}, {density_text(row.density)}: {row.test_accuracy:.2%}, key {row.key}"
            dot = tag("circle", tag("title", title), cx=x(row.density), cy=y(row.test_accuracy), r=2.2, class_="seed")
            drawn.append(dot)
    for point in points:
        said = f"{point.rows[0].name}, level {point.level}, {density_text(point.density)}: {with_n(point.found)}"
        title = tag("title", f"{said}, single seeds from {point.found.low:.2%} to {point.found.high:.2%}")
        place = f"translate({x(point.density):.2f} {y(point.found.mean):.2f})"
        touch = tag("circle", r=12, class_="touch")
        drawn.append(tag("g", title, touch, tag("path", d=style_of(index).mark, class_="mark"), transform=place))
    return drawn
