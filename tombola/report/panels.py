"""The smaller figures: the density of each layer over the levels, and the masks themselves."""

import math

from markupsafe import Markup

from tombola.report.statistics import sample
from tombola.report.summary import Picture, Summary
from tombola.report.svg import tag
from tombola.report.wording import density_text, percent_number

SHADES = 10
"""How many strengths of colour a picture of a mask is drawn with."""


def layers_svg(summary: Summary, *, width: int) -> Markup:
    """One line a layer, one column a level, each cell the mean density over the seeds in percent.

    The stronger the colour the more of the layer is kept, on a logarithmic scale. Empty text when nothing is known.
    """
    names = tuple(dict.fromkeys(layer.layer for layer in summary.layers))
    columns = sorted({layer.level for layer in summary.layers})
    if not names:
        return Markup("")
    left, top, tall = (150, 26, 34) if width > 500 else (78, 24, 30)
    wide = (width - left) / len(columns)
    found = {name: {level: _mean(summary, name, level) for level in columns} for name in names}
    lowest = min((value for line in found.values() for value in line.values() if value), default=1.0)
    head = [_words(str(level), left + wide * (at + 0.5), 14) for at, level in enumerate(columns)]
    parts = [tag("text", "level", x=left - 10, y=14, text_anchor="end"), *head]
    for at, name in enumerate(names):
        y = top + at * tall
        shown = _shortened(name.removesuffix(".weight"), 20 if width > 500 else 10)
        parts.append(tag("text", tag("title", name), shown, x=left - 10, y=y + tall / 2 + 4, text_anchor="end"))
        for column, level in enumerate(columns):
            value = found[name][level]
            if value is not None:
                parts.append(_cell(left + column * wide, y, wide, tall, value, lowest, f"{name}, level {level}"))
    label = f"Density of {len(names)} layers over {len(columns)} levels, in percent. " + " ".join(
        f"{name}: {_span(found[name])}." for name in names
    )
    height = top + tall * len(names) + 2
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_="layers")


def _mean(summary: Summary, name: str, level: int) -> float | None:
    values = [layer.density for layer in summary.layers if layer.layer == name and layer.level == level]
    return sample(values).mean if values else None


def _span(line: dict[int, float | None]) -> str:
    values = [value for value in line.values() if value is not None]
    return f"from {density_text(values[0])} to {density_text(values[-1])}"


def _shortened(name: str, most: int) -> str:
    """Both ends of a long name: the start says which stage, the end says what.

    Example:
        >>> _shortened("stages.0.1.conv1.weight", 12)
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


def mask_svg(picture: Picture) -> Markup:
    """One mask as a grid of squares; full colour is the largest value of this picture, so that sparse ones show."""
    top = max(max(line) for line in picture.values)
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
    said = f"{picture.caption}: {picture.name}, seed {picture.seed}, level {picture.level}"
    label = f"{said}, {density_text(picture.density)} of the weights kept; full colour is {density_text(top)}"
    return tag("svg", tag("title", label), *drawn, viewBox=box, role="img", aria_label=label, class_="mask")


def strongest(picture: Picture) -> str:
    """What full colour stands for in `mask_svg`.

    Example:
        >>> strongest(Picture(seed=0, name="ticket", level=1, density=0.5, values=((0.0, 0.4),), caption="c"))
        '40 %'
    """
    return f"{percent_number(max(max(line) for line in picture.values))} %"


def _shade(value: float, top: float) -> int:
    return math.ceil(value / top * SHADES) if top else 0
