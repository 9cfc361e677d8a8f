"""A curve as inline SVG that takes its colours from the page; marks are links that the keyboard reaches."""

from markupsafe import Markup

from tombola.report.curves import STYLES, Arm, Drawn, in_words, style_of
from tombola.report.gather import value_of
from tombola.report.links import to_key, to_rows
from tombola.report.svg import Axis, LogAxis, path, tag
from tombola.report.wording import is_share, number_text, percent_number, spoken, with_n

MOST_SEEDS = 600
"""Single rows are drawn up to this many; beyond it they are a cloud, and the band says the same."""


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


def curve_svg(figure: Drawn, *, width: int, height: int) -> Markup:
    """A figure in a box of `width` by `height` pixels; empty text where it has no points.

    Line: mean. Band: smallest to largest. Faint dots: single rows. Level band: the baseline, likewise.
    """
    if not figure.points:
        return Markup("")
    y = y_axis(figure, 30.0, float(height - 46))
    left = 22.0 + 7 * max(len(tick_text(figure.curve.y, tick)) for tick in y.ticks(5))
    x = x_axis(figure, left, float(width - 16))
    parts = [_frame(figure, x, y, width, height), _baseline(figure, left, float(width - 16), y)]
    many = sum(len(point.rows) for point in figure.points) > MOST_SEEDS
    for index, arm in enumerate(figure.arms):
        parts.append(tag("g", *_arm(figure, arm, index, x, y, many=many), class_=arm_class(index)))
    label = f"{figure.title}. {in_words(figure)}"
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="group", aria_label=label, class_="plot")


def y_axis(figure: Drawn, top: float, bottom: float) -> Axis:
    """The upright axis, a little longer than what is drawn; fractions stay within 0 and 1."""
    samples = [point.found for point in figure.points] + ([figure.baseline] if figure.baseline else [])
    low, high = min(found.low for found in samples), max(found.high for found in samples)
    if is_share(figure.curve.y):
        pad = max(0.06 * (high - low), 0.004)
        return Axis(max(0.0, low - pad), min(1.0, high + pad), bottom, top)
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(low - pad, high + pad, bottom, top)


def x_axis(figure: Drawn, left: float, right: float) -> Axis | LogAxis:
    """The level axis: density from dense to sparse, everything else upwards."""
    values = [point.x for point in figure.points]
    low, high = min(values), max(values)
    if figure.curve.log_x:
        return LogAxis(low, high, left, right) if figure.curve.x == "density" else LogAxis(low, high, right, left)
    return Axis(high, low, left, right) if figure.curve.x == "density" else Axis(low, high, left, right)


def x_ticks(figure: Drawn, axis: Axis | LogAxis, *, apart: float) -> tuple[float, ...]:
    """The values that occur, where they are few and on a plain axis; else round ones."""
    if isinstance(axis, LogAxis):
        return axis.ticks(apart)
    values = sorted({point.x for point in figure.points})
    room = abs(axis.stop - axis.start) / apart
    if len(values) <= min(12.0, room):
        return tuple(values)
    return Axis(min(axis.low, axis.high), max(axis.low, axis.high), axis.start, axis.stop).ticks(int(room / 1.5))


def tick_text(name: str, value: float) -> str:
    """A value on an axis, whose title has the unit."""
    if name == "density":
        return percent_number(value)
    return f"{100 * value:g}" if is_share(name) else f"{value:g}"


def axis_title(name: str) -> str:
    """What an axis shows, with its unit.

    Example:
        >>> axis_title("density"), axis_title("test_accuracy"), axis_title("barrier")
        ('weights kept, %', 'test accuracy, %', 'barrier')
    """
    return "weights kept, %" if name == "density" else f"{spoken(name)}{', %' if is_share(name) else ''}"


def _dashes(index: int) -> str:
    return " ".join(f"{dash:g}" for dash in style_of(index).dashes) or "none"


def _frame(figure: Drawn, x: Axis | LogAxis, y: Axis, width: int, height: int) -> Markup:
    left, right = min(x.start, x.stop), max(x.start, x.stop)
    lines: list[Markup] = [tag("text", axis_title(figure.curve.y), x=0, y=12, class_="name")]
    for value in y.ticks(6 if height > 340 else 5):
        lines.append(tag("path", d=path([(left, y(value)), (right, y(value))]), class_="grid"))
        lines.append(tag("text", tick_text(figure.curve.y, value), x=left - 10, y=y(value) + 4, text_anchor="end"))
    for value in x_ticks(figure, x, apart=44.0 if width > 500 else 36.0):
        lines.append(tag("path", d=path([(x(value), y.start), (x(value), y.start + 5)]), class_="tick"))
        lines.append(tag("text", tick_text(figure.curve.x, value), x=x(value), y=y.start + 20, text_anchor="middle"))
    middle = (left + right) / 2
    lines.append(tag("text", axis_title(figure.curve.x), x=middle, y=height - 6, text_anchor="middle", class_="name"))
    return tag("g", *lines, class_="frame", aria_hidden="true")


def _baseline(figure: Drawn, left: float, right: float, y: Axis) -> Markup:
    found, curve = figure.baseline, figure.curve
    if found is None or found.mean != found.mean:
        return Markup("")
    top, bottom = y(found.high), y(found.low)
    low, high = number_text(curve.y, found.low), number_text(curve.y, found.high)
    title = tag("title", f"{curve.baseline_name}: {with_n(curve.y, found)}, single rows from {low} to {high}")
    band = tag("rect", x=left, y=top - 1, width=right - left, height=bottom - top + 2, class_="band")
    line = tag("path", d=path([(left, y(found.mean)), (right, y(found.mean))]), class_="line")
    name = tag("text", curve.baseline_name, x=right, y=top - 6, text_anchor="end", class_="halo")
    return tag("g", title, band, line, name, class_="dense")


def _arm(figure: Drawn, arm: Arm, index: int, x: Axis | LogAxis, y: Axis, *, many: bool) -> list[Markup]:
    curve, points = figure.curve, arm.points
    upper = [(x(point.x), y(point.found.high)) for point in points]
    lower = [(x(point.x), y(point.found.low)) for point in reversed(points)]
    means = [(x(point.x), y(point.found.mean)) for point in points]
    drawn = [
        tag("path", d=path(upper + lower, closed=True), class_="band"),
        tag("path", d=path(means), class_="line", stroke_dasharray=_dashes(index)),
    ]
    for point in points:
        for row in point.rows if not many else ():
            at, high = value_of(row, curve.x), value_of(row, curve.y)
            if at is None or high is None or (isinstance(x, LogAxis) and at <= 0):
                continue
            over = ", ".join(f"{name} {row.labels[name]}" for name in curve.over if name in row.labels)
            said = f"{arm.name}, {over}: {number_text(curve.y, high)} at {spoken(curve.x)} {number_text(curve.x, at)}"
            dot = tag("circle", cx=x(at), cy=y(high), r=2.2, class_="seed")
            more = {"href": to_key(row.key), "tabindex": "-1", "aria_hidden": "true"}
            drawn.append(tag("a", tag("title", f"{said}, {row.key}"), dot, **more))
    for point in points:
        low, high = number_text(curve.y, point.found.low), number_text(curve.y, point.found.high)
        said = f"{point.said}, {spoken(curve.x)} {number_text(curve.x, point.x)}: {with_n(curve.y, point.found)}"
        said += f", single rows from {low} to {high}" if point.found.n > 1 else ""
        place = f"translate({x(point.x):.2f} {y(point.found.mean):.2f})"
        mark = tag(
            "g",
            tag("circle", r=12, class_="touch"),
            tag("path", d=style_of(index).mark, class_="mark"),
            transform=place,
        )
        href = to_key(point.rows[0].key) if len(point.rows) == 1 else to_rows(point.where)
        drawn.append(tag("a", tag("title", said), mark, href=href, class_="point", aria_label=said))
    return drawn
