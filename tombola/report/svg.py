"""Small pieces for drawing: escaped SVG elements, and axes that turn values into places and pick their own ticks."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def tag(name: str, *children: Markup | str, **attributes: str | int | float) -> Markup:
    """One element; text and attributes are escaped. `class_` is class, and an underscore becomes a hyphen.

    Example:
        >>> tag("g", tag("title", "a < b"), class_="dot", fill_opacity=0.25)
        Markup('<g class="dot" fill-opacity="0.25"><title>a &lt; b</title></g>')
    """
    named = ((key.rstrip("_").replace("_", "-"), _text(value)) for key, value in attributes.items())
    said = "".join(f' {key}="{escape(value)}"' for key, value in named)
    return Markup(f"<{name}{said}>{''.join(escape(child) for child in children)}</{name}>")


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def path(points: list[tuple[float, float]], *, closed: bool = False) -> str:
    """The `d` of a line through the points.

    Example:
        >>> path([(0.0, 1.0), (2.5, 3.0)], closed=True)
        'M0 1L2.5 3Z'
    """
    return "M" + "L".join(f"{_text(x)} {_text(y)}" for x, y in points) + ("Z" if closed else "")


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, laid from the pixel `start` to the pixel `stop`.

    Example:
        >>> Axis(0.0, 1.0, 100.0, 0.0)(0.25)
        75.0
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.stop - self.start)

    def ticks(self, about: int = 5) -> tuple[float, ...]:
        """Round values within the axis, 1, 2 or 5 times a power of ten apart.

        Example:
            >>> Axis(0.83, 0.97, 0.0, 1.0).ticks(4)
            (0.85, 0.9, 0.95)
        """
        raw = ((self.high - self.low) or 1.0) / about
        power = 10 ** math.floor(math.log10(raw))
        step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(round(index * step, 12) for index in range(first, last + 1))


@dataclass(frozen=True)
class LogAxis:
    """Positive values from `low` to `high` on a logarithmic scale, `high` at `start` (dense left, sparse right)."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = math.log(self.high / self.low) or 1.0
        return self.start + math.log(self.high / value) / span * (self.stop - self.start)

    def ticks(self, apart: float = 44.0) -> tuple[float, ...]:
        """1, 2 and 5 times the powers of ten, leaving out those closer than `apart` pixels to one already there.

        Example:
            >>> LogAxis(0.01, 1.0, 0.0, 600.0).ticks()
            (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
        """
        bottom, top = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        kept: list[float] = []
        for factor in (1, 5, 2):  # Whole powers of ten first: they are the last to go on a narrow axis.
            for power in range(bottom, top + 1):
                value = factor * 10.0**power
                inside = self.low * 0.999 <= value <= self.high * 1.001
                if inside and all(abs(self(value) - self(other)) >= apart for other in kept):
                    kept.append(value)
        return tuple(sorted((float(f"{value:.6g}") for value in kept), reverse=True))
