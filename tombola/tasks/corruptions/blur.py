"""Blur: out of focus, through frosted glass, in motion, while zooming. Lengths grow with the side of the picture."""

import functools
import itertools

import numpy as np
from scipy import ndimage, sparse

from tombola.tasks.corruptions.shared import REFERENCE, Draws, Floats, drifted, mapped, scale, zoom

DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))  # radius of the disk, sigma of its edge
GLASS = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))  # sigma, farthest move, rounds
MOTION = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))  # radius, sigma
ZOOM = (7, 12, 16, 21, 26)  # How many factors of 1, 1.01, 1.02, ...


@functools.lru_cache(maxsize=64)
def disk(side: int, severity: int) -> Floats:
    """The kernel of a lens out of focus: a disk with a soft edge, which sums to 1.

    It is made on the paper's grid of 32 pixels: the pixels whose middle is within the radius, softened by a Gaussian of
    3 by 3 pixels. For another side its weights move to their places there, and each is shared among the pixels about
    it, by triangles of one pixel of the coarser grid.
    """
    radius, sigma = DEFOCUS[severity - 1]
    grid = np.arange(-2, 3)
    hard = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(float)
    soft = np.exp(-((np.arange(-1, 2) / sigma) ** 2) / 2)
    soft /= soft.sum()
    fine = ndimage.correlate(hard / hard.sum(), np.outer(soft, soft), mode="constant")
    k = side / REFERENCE
    reach = int(np.ceil((2 + 1) * max(1.0, k)))
    places = np.arange(-reach, reach + 1)
    shared = np.maximum(0, 1 - np.abs(places[:, None] - k * grid) / max(1.0, k))
    shared /= shared.sum(0)
    kernel = np.einsum("ij,jk,lk->il", shared, fine, shared)
    return np.where(kernel < 1e-9, 0, kernel)


def defocus_blur(x: Floats, severity: int, draws: Draws) -> Floats:
    """Every point becomes a disk."""
    kernel = disk(x.shape[1], severity)
    reach = len(kernel) // 2
    rows, columns = np.nonzero(kernel)
    out, side = np.zeros_like(x), x.shape[1]
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    for row, column in zip(rows, columns, strict=True):
        out += kernel[row, column] * padded[:, row : row + side, column : column + side]
    return out


def glass_blur(x: Floats, severity: int, draws: Draws, *, swap: bool = True) -> Floats:
    """Blurred a little, each pixel exchanged with one above or left of it, from the last to the first, blurred again.

    `swap=False` overwrites the pixel and leaves the other as it is: what the released code does with colours.
    """
    sigma, far, rounds = GLASS[severity - 1]
    (number, side, _, channels), far = x.shape, max(1, round(far * scale(x)))
    around = {"sigma": (0, sigma * scale(x), sigma * scale(x), 0), "mode": "nearest"}
    steps = list(itertools.product(range(side - far, far, -1), repeat=2))
    moves = draws.each(lambda g, _: g.integers(-far, far, size=(rounds, len(steps), 2)))
    by = (moves[..., 0] * side + moves[..., 1]).transpose(1, 2, 0)  # (rounds, steps, n)
    pixels = np.ascontiguousarray(ndimage.gaussian_filter(x, **around).transpose(1, 2, 0, 3))
    pixels, pictures = pixels.reshape(side * side, number, channels), np.arange(number)
    for turn in range(rounds):
        for step, (row, column) in enumerate(steps):
            here = row * side + column
            there = here + by[turn, step]
            kept = pixels[here].copy()
            pixels[here] = pixels[there, pictures]
            if swap:
                pixels[there, pictures] = kept
    moved = pixels.reshape(side, side, number, channels).transpose(2, 0, 1, 3)
    return ndimage.gaussian_filter(moved, **around)


def motion_blur(x: Floats, severity: int, draws: Draws) -> Floats:
    """Drawn out along a line, at most 45 degrees from level."""
    radius, sigma = MOTION[severity - 1]
    return drifted(x, radius, sigma, draws.each(lambda g, _: g.uniform(-45, 45)))


@functools.lru_cache(maxsize=64)
def zooms(side: int, severity: int) -> sparse.csr_array:
    """The mean of the picture and its enlargements, the first of which, by 1, is the picture again."""
    factors = 1 + np.arange(ZOOM[severity - 1]) / 100
    total = sum((zoom(side, float(factor)) for factor in factors), start=zoom(side, 1.0))
    return total / (len(factors) + 1)


def zoom_blur(x: Floats, severity: int, draws: Draws) -> Floats:
    """The camera moves towards the middle of the picture."""
    return mapped(zooms(x.shape[1], severity), x)
