"""Rotated pictures: a shift of domain with one number for its size."""

import functools
from typing import Literal

import numpy as np
from scipy import sparse

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.tasks.corruptions.shared import mapped, sampling
from tombola.tasks.wrapped import Half, Wrapped

_CHUNK = 2000


@plugin("task", "rotated")
class Rotated(Wrapped):
    """Another task's pictures, rotated about their middle by one angle, anticlockwise.

    Such are the domains of rotated MNIST, 15 degrees apart (Ghifary et al., 2015). Values between pixels are bilinear;
    what comes from outside the picture is black (`fill="zero"`) or the nearest pixel of the border (`fill="edge"`).
    Quarter turns are exact. Beyond a quarter turn a 6 comes to look like a 9.

    Example:
        >>> Rotated(degrees=15, of="test")
        rotated(of='test', degrees=15.0)
    """

    degrees: float = 30.0
    fill: Literal["zero", "edge"] = "zero"

    def __post_init__(self) -> None:
        """Refuse more than half a turn: an angle has one way to be written."""
        if not -180 < self.degrees <= 180:
            raise Refused(
                f"rotated: {self.degrees:g} degrees are more than half a turn. Give an angle above -180, at most 180."
            )

    def changed(self, half: Half) -> Half:
        """The pictures rotated."""
        turn, out = rotation(half.images.shape[1], self.degrees, self.fill), np.empty_like(half.images)
        for start in range(0, len(out), _CHUNK):
            rows = slice(start, start + _CHUNK)
            out[rows] = np.rint(mapped(turn, half.images[rows].astype(np.float64)))
        return half._replace(images=out)


@functools.lru_cache(maxsize=64)
def rotation(side: int, degrees: float, fill: Literal["zero", "edge"]) -> sparse.csr_array:
    """The linear map of a picture to its rotation."""
    down, right = np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    middle = (side - 1) / 2
    return sampling(middle + cosine * down + sine * right, middle + cosine * right - sine * down, side, fill)
