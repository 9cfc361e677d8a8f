"""What is done to pictures that are digital: contrast, elastic deformation, coarse pixels, JPEG."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from tombola.tasks.arrays import Pixels
from tombola.tasks.corruptions.shared import Draws, Floats, sampled

CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
ELASTIC = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)
JPEG = (80, 65, 58, 50, 40)


def contrast(x: Floats, severity: int, draws: Draws) -> Floats:
    """Every channel is drawn together about its mean over the picture."""
    means = x.mean((1, 2), keepdims=True)
    return (x - means) * CONTRAST[severity - 1] + means


def elastic_transform(x: Floats, severity: int, draws: Draws) -> Floats:
    """Bent by an affine map of three jittered points, and by a smooth field of shifts.

    Constants are shares of the side: strength and smoothness of the field, farthest jitter of a point. The first of the
    five has no field. Both are one bilinear sampling here, where the paper's code samples twice; beyond the border the
    picture is mirrored.
    """
    number, side = x.shape[:2]
    strength, smooth, jitter = (side * share for share in ELASTIC[severity - 1])
    middle, arm = side // 2, side // 3
    points = np.array([[1, 1], [1, -1], [-1, -1]]) * arm + middle
    moved = points + draws.each(lambda g, _: g.uniform(-jitter, jitter, (3, 2)))
    ones = np.ones((number, 3, 1))
    back = np.linalg.solve(np.concatenate([moved, ones], 2), np.broadcast_to(points.astype(float), moved.shape))
    grid = np.stack(np.meshgrid(np.arange(float(side)), np.arange(float(side)), indexing="ij"), 2)
    where = np.broadcast_to(grid, (number, side, side, 2))
    if strength:
        field = draws.each(lambda g, _: g.uniform(-1, 1, (side, side, 2)))
        field = ndimage.gaussian_filter(field, (0, smooth, smooth, 0), mode="reflect", truncate=3)
        where = where + strength * field
    source = np.einsum("nijk,nkl->nijl", where, back[:, :2]) + back[:, None, 2:]
    return sampled(x, source[..., 0], source[..., 1], "mirror")


def pixelate(x: Floats, severity: int, draws: Draws) -> Floats:
    """Made smaller and larger again, each pixel the mean of those whose middles it covers (Pillow's box)."""
    side = x.shape[1]
    small = int(side * PIXELATE[severity - 1])
    box = Image.Resampling.BOX
    return _by_pillow(x, lambda image: image.resize((small, small), box).resize((side, side), box))


def jpeg_compression(x: Floats, severity: int, draws: Draws) -> Floats:
    """Written as JPEG of a low quality, and read."""

    def written(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=JPEG[severity - 1])
        return Image.open(file)

    return _by_pillow(x, written)


def _by_pillow(x: Floats, change: Callable[[Image.Image], Image.Image]) -> Floats:
    pixels: Pixels = np.rint(x * 255).astype(np.uint8)
    out = np.empty_like(pixels)
    for at, picture in enumerate(pixels):
        image = Image.fromarray(picture[..., 0] if x.shape[3] == 1 else picture)
        out[at] = np.asarray(change(image)).reshape(picture.shape)
    return out / 255
