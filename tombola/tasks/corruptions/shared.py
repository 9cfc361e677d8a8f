"""What the corruptions are made with: draws that belong to a picture, sub-pixel sampling, clouds.

Shape legend: n pictures, S rows of S pixels of C channels, values from 0 to 1.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tombola.core.seeds import numbers

Floats = NDArray[np.float64]
Border = Literal["zero", "edge", "mirror"]
REFERENCE = 32  # The side, in pixels, that the paper's lengths for CIFAR are meant for.


class Draws:
    """The random numbers of some pictures, each with a generator of its own: no picture depends on another."""

    def __init__(self, *names: str | int, pictures: range) -> None:
        """Name the generators: by the names and the position of the picture."""
        self.names, self.pictures = names, pictures

    @functools.cached_property
    def generators(self) -> list[np.random.Generator]:
        """One for each picture, made when first asked for."""
        return [numbers(*self.names, picture) for picture in self.pictures]

    def each(self, draw: Callable[[np.random.Generator, int], Any]) -> NDArray[Any]:
        """What is drawn for each picture, given its generator and its turn, as one array."""
        return np.stack([draw(generator, turn) for turn, generator in enumerate(self.generators)])


def scale(x: Floats) -> float:
    """What a length of the paper is multiplied by: the side in units of CIFAR's."""
    return x.shape[1] / REFERENCE


def grey(x: Floats) -> Floats:
    """The luma of pictures (ITU-R 601), (n, S, S, 1)."""
    return x if x.shape[3] == 1 else x @ np.array([[0.299], [0.587], [0.114]])


def corners(rows: Floats, columns: Floats, side: int, border: Border) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """The four pixels about each point, as positions row * side + column, with their bilinear weights.

    Beyond the border lie zeros, the nearest pixel, or the picture mirrored at its outermost pixels.
    """
    rows, columns = np.round(rows, 9), np.round(columns, 9)  # So that a whole number of pixels is one.
    top, left = np.floor(rows), np.floor(columns)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - (rows - top)) * np.abs(1 - right - (columns - left))
            r, c = (top + down).astype(np.int64), (left + right).astype(np.int64)
            if border == "zero":
                weight = weight * ((r >= 0) & (r < side) & (c >= 0) & (c < side))
            elif border == "mirror":
                r, c = (side - 1 - np.abs(side - 1 - np.abs(at) % (2 * side - 2)) for at in (r, c))
            yield np.clip(r, 0, side - 1) * side + np.clip(c, 0, side - 1), weight


def sampling(rows: Floats, columns: Floats, side: int, border: Border) -> sparse.csr_array:
    """The linear map that shows each pixel of a picture what lies at a point of it; both are (S, S)."""
    targets = np.arange(side * side)
    return sum(
        (
            sparse.csr_array((weight.ravel(), (targets, at.ravel())), shape=(side * side,) * 2)
            for at, weight in corners(rows, columns, side, border)
        ),
        start=sparse.csr_array((side * side,) * 2),
    )


def mapped(operator: sparse.csr_array, x: Floats) -> Floats:
    """The same linear map of all pictures and channels."""
    number, side, _, channels = x.shape
    flat = np.ascontiguousarray(x.transpose(1, 2, 0, 3)).reshape(side * side, number * channels)
    return (operator @ flat).reshape(side, side, number, channels).transpose(2, 0, 1, 3)


def sampled(x: Floats, rows: Floats, columns: Floats, border: Border) -> Floats:
    """What lies at the points (n, S, S) of each picture: each its own, unlike `mapped`."""
    number, side, _, channels = x.shape
    flat = np.ascontiguousarray(x).reshape(number * side * side, channels)
    first = np.arange(number)[:, None, None] * side * side
    out = np.zeros_like(x)
    for at, weight in corners(rows, columns, side, border):
        out += weight[..., None] * flat[first + at]
    return out


@functools.lru_cache(maxsize=64)
def zoom(side: int, factor: float) -> sparse.csr_array:
    """A picture's middle, enlarged about its centre."""
    middle: float = (side - 1) / 2
    at: Floats = middle + (np.arange(side, dtype=np.float64) - middle) / factor
    rows, columns = np.meshgrid(at, at, indexing="ij")
    return sampling(rows, columns, side, "edge")


def drifted(x: Floats, radius: float, sigma: float, degrees: Floats) -> Floats:
    """Blurred along a line, each picture along its own: ImageMagick's motion blur, which the paper used.

    Pixel p becomes the mean of p, p + d, p + 2d and so on, for a step d of one pixel along the angle, rounded to whole
    pixels: 2 * radius + 1 of them, under half a Gaussian of that sigma. The border is repeated.
    """
    number, side, _, _ = x.shape
    taps = np.arange(2 * np.ceil(radius) + 1)
    weights = np.exp(-((taps / sigma) ** 2) / 2)
    weights /= weights.sum()
    radians, pictures, out = np.deg2rad(degrees), np.arange(number)[:, None, None], np.zeros_like(x)
    for tap, weight in zip(taps * scale(x), weights, strict=True):
        if weight < 1e-6:  # Not a thousandth of a grey level.
            break
        down, right = (np.ceil(tap * f(radians) - 0.5).astype(np.int64)[:, None] for f in (np.sin, np.cos))
        rows, columns = (np.clip(np.arange(side) + by, 0, side - 1) for by in (down, right))
        out += weight * x[pictures, rows[:, :, None], columns[:, None, :]]
    return out / weights[weights >= 1e-6].sum()


def clouds(draws: Draws, side: int, decay: float) -> Floats:
    """Plasma clouds by the diamond-square algorithm (Fournier, Fussell & Carpenter, 1982), (n, S, S) from 0 to 1.

    A map whose side is a power of two is halved again and again: the middle of each square, then of each edge, is the
    mean of its four neighbours, around the map's border too, and a uniform draw whose range falls by decay squared each
    time. Squared, because the paper's code multiplies its range by itself.
    """
    whole = 1 << max(side - 1, 1).bit_length()
    uniform = draws.each(lambda g, _: g.uniform(-1, 1, whole * whole - 1))
    field, start, extent, step = np.zeros((len(uniform), whole, whole)), 0, 1.0, whole

    def jitter(like: Floats) -> Floats:
        nonlocal start
        size = like[0].size
        start += size
        return extent * uniform[:, start - size : start].reshape(like.shape)

    while step > 1:
        half = step // 2
        corner = field[:, ::step, ::step]
        pair = corner + np.roll(corner, -1, 1)
        middle = (pair + np.roll(pair, -1, 2)) / 4 + jitter(corner)
        field[:, half::step, half::step] = middle
        across = (corner + np.roll(corner, -1, 2) + middle + np.roll(middle, 1, 1)) / 4
        field[:, ::step, half::step] = across + jitter(corner)
        along = (corner + np.roll(corner, -1, 1) + middle + np.roll(middle, 1, 2)) / 4
        field[:, half::step, ::step] = along + jitter(corner)
        step, extent = half, extent / decay**2
    field -= field.min((1, 2), keepdims=True)
    return (field / field.max((1, 2), keepdims=True))[:, :side, :side]
