"""The smaller figures: the density of each layer over the levels, and the pictures that belong to rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tombola.report.claims import Label
from tombola.report.findings import Findings, Measured, Picture
from tombola.report.gather import grouped, label_values, varying
from tombola.report.links import to_key
from tombola.report.statistics import sample
from tombola.report.svg import tag
from tombola.report.wording import density_text, label_text, labels_text, percent_number

SHADES = 10
"""How many strengths of colour a picture is drawn with."""
MOST_PICTURES = 72
"""What one page holds; albums beyond it are named on the page, not drawn."""


@dataclass(frozen=True)
class Heat:
    """Density by layer for the rows that share a name: layer -> level -> mean over the seeds."""

    title: str
    along: str
    columns: tuple[str, ...]
    lines: Mapping[str, Mapping[str, float]]


def heats(findings: Findings) -> tuple[Heat, ...]:
    """One map of densities for each set of rows that share all labels but seed and level, titled by what varies."""
    rows = [row for row in findings.rows if "layers" in row.tables]
    found: list[Heat] = []
    vary = varying(rows, without=("seed", "level"))
    for labels, inside in grouped(rows, without=("seed", "level")):
        levels: list[Label | None] = [*label_values(inside, "level")] or [None]
        values: dict[str, dict[str, list[float]]] = {}
        for row in inside:
            column = label_text(row.labels["level"]) if "level" in row.labels else ""
            for line in row.tables["layers"]:
                layer, density = line.get("layer"), line.get("density")
                if isinstance(layer, str) and isinstance(density, int | float):
                    values.setdefault(layer, {}).setdefault(column, []).append(float(density))
        columns = tuple("" if level is None else label_text(level) for level in levels)
        means = {layer: {at: sample(seen).mean for at, seen in line.items()} for layer, line in values.items()}
        if means:
            found.append(
                Heat(
                    labels_text({name: labels[name] for name in vary if name in labels}),
                    "level" if columns != ("",) else "",
                    columns,
                    means,
                )
            )
    return tuple(found)


def heat_svg(heat: Heat, *, width: int) -> Markup:
    """One line a layer, one column a level, each cell the mean density in percent.

    The stronger the colour the more of the layer is kept, on a logarithmic scale.
    """
    left, top, tall = (150, 26, 34) if width > 500 else (78, 24, 30)
    wide = (width - left) / len(heat.columns)
    lowest = min((value for line in heat.lines.values() for value in line.values() if value), default=1.0)
    step = math.ceil(15 / wide)
    head = [_words(text, left + wide * (at + 0.5), 14) for at, text in enumerate(heat.columns) if at % step == 0]
    parts = [tag("text", heat.along, x=left - 10, y=14, text_anchor="end"), *head]
    for at, (name, line) in enumerate(heat.lines.items()):
        y = top + at * tall
        shown = shortened(name.removesuffix(".weight"), 20 if width > 500 else 10)
        parts.append(tag("text", tag("title", name), shown, x=left - 10, y=y + tall / 2 + 4, text_anchor="end"))
        for column, level in enumerate(heat.columns):
            if level in line:
                said = f"{name}, level {level}" if level else name
                parts.append(_cell(left + column * wide, y, wide, tall, line[level], lowest, said))
    spans = " ".join(f"{name}: {_span([*line.values()])}." for name, line in heat.lines.items())
    label = f"Density of {len(heat.lines)} layers over {len(heat.columns)} levels, in percent. {spans}"
    height = top + tall * len(heat.lines) + 2
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_="layers")


def _span(values: Sequence[float]) -> str:
    return f"from {density_text(values[0])} to {density_text(values[-1])}"


def shortened(name: str, most: int) -> str:
    """Both ends of a long name: the start says which stage, the end says what.

    Example:
        >>> shortened("stages.0.1.conv1.weight", 12)
        'stages…eight'
    """
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - most // 2 + 1 :]}"


def _words(text: str, x: float, y: float, **more: str) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor="middle", **more)


def _cell(x: float, y: float, wide: float, tall: float, value: float, lowest: float, said: str) -> Markup:
    """Colour from 8 % to 100 % strength; the number is left to the hover text where it would not fit."""
    strength = 1.0 if value >= 1 else 0.0 if not value else 1 - math.log(value) / (math.log(lowest) or -1.0)
    opacity = 0.08 + 0.92 * max(0.0, strength)
    parts = [tag("title", f"{said}: {density_text(value)} kept")]
    parts.append(tag("rect", x=x + 1, y=y + 1, width=wide - 2, height=tall - 2, rx=3, fill_opacity=opacity))
    number = _number(value, wide)
    if number:
        contrast = "on" if opacity > 0.8 else "middle" if opacity > 0.6 else "off"
        parts.append(_words(number, x + wide / 2, y + tall / 2 + 4, class_=contrast))
    return tag("g", *parts)


def _number(value: float, wide: float) -> str:
    """As many figures as the cell has room for, at about seven pixels each."""
    for figures in (3, 2, 1):
        text = f"{100 * float(f'{value:.{figures}g}'):.6g}" if value else "0"
        if 7 * len(text) <= wide:
            return text
    return ""


@dataclass(frozen=True)
class Album:
    """Pictures of the rows that share all labels but the level, dense to sparse; `left_out` counts those too many."""

    title: str
    caption: str
    pictures: tuple[tuple[Measured, Picture], ...]
    left_out: int = 0

    @property
    def marked(self) -> bool:
        """Whether places are marked on them: such are drawn large."""
        return any(picture.path for _, picture in self.pictures)


def albums(findings: Findings) -> tuple[Album, ...]:
    """An album for every picture's name and every set of rows that share all labels but the level.

    What a page has no room for is counted in its album; the last ones may have no picture at all.
    """
    found: list[Album] = []
    rows = [row for row in findings.rows if row.pictures]
    vary = varying(rows, without=("level",))
    room = MOST_PICTURES
    for labels, inside in grouped(rows, without=("level",)):
        for name in dict.fromkeys(picture.name for row in inside for picture in row.pictures):
            shown = [(row, picture) for row in inside for picture in row.pictures if picture.name == name]
            shown.sort(key=lambda item: -float(item[0].numbers.get("density", 0.0)))
            kept = shown[: max(room, 0)]
            room -= len(kept)
            if shown:
                apart = {label: labels[label] for label in vary if label in labels}
                title = f"{name}: {labels_text(apart)}" if apart else name
                found.append(Album(title, shown[0][1].caption, tuple(kept), len(shown) - len(kept)))
    return tuple(found)


def picture_svg(row: Measured, picture: Picture) -> Markup:
    """A picture as a grid of squares; full colour is its largest value, so that sparse ones show, unless it says so."""
    top = picture.top
    pieces: list[list[str]] = [[] for _ in range(SHADES + 1)]
    for y, line in enumerate(picture.values):
        x = 0
        while x < len(line):
            shade, start = _shade(line[x], top), x
            while x < len(line) and _shade(line[x], top) == shade:
                x += 1
            pieces[shade].append(f"M{start} {y}h{x - start}v1h-{x - start}z")
    drawn = [
        tag("path", d="".join(found), fill_opacity=shade / SHADES)
        for shade, found in enumerate(pieces)
        if shade and found
    ]
    box = f"0 0 {len(picture.values[0])} {len(picture.values)}"
    label = f"{picture.caption}: {labels_text(row.labels)}; full colour is {density_text(top)}"
    drawing = tag(
        "svg", tag("title", label), *drawn, *_path(picture), viewBox=box, role="img", aria_label=label, class_="mask"
    )
    return tag("a", drawing, href=to_key(row.key))


def _path(picture: Picture) -> list[Markup]:
    """The places that a picture marks, from a small dot to the last and largest, and the line that joins them."""
    size = len(picture.values[0])
    line = " ".join(f"{x:.6g},{y:.6g}" for x, y in picture.path)
    drawn = [tag("polyline", points=line, class_="path", stroke_width=size / 120)] if len(picture.path) > 1 else []
    for number, (x, y) in enumerate(picture.path):
        radius = size / 50 if number == len(picture.path) - 1 else size / 90
        drawn.append(tag("circle", tag("title", f"network {number}"), cx=x, cy=y, r=radius, class_="place"))
    return drawn


def strongest(picture: Picture) -> str:
    """What full colour stands for in `picture_svg`.

    Example:
        >>> strongest(Picture(name="first layer", values=((0.0, 0.4),), caption="c"))
        '40 %'
    """
    return f"{percent_number(picture.top)} %"


def _shade(value: float, top: float) -> int:
    return min(SHADES, math.ceil(value / top * SHADES)) if top else 0
