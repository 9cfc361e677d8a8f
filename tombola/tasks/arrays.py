"""Pictures as plain arrays: what a data set is once it is decoded, its digest, and its other sizes and colours."""

import hashlib
import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Groups = NDArray[np.int64]


class Arrays(NamedTuple):
    """A decoded image set: pictures as (number, height, width, channels) bytes, labels from 0 on.

    Where its examples belong to groups, `groups` has the group numbers of the training and of the test examples, which
    are positions in `group_names`.
    """

    train_images: Pixels
    train_labels: Labels
    test_images: Pixels
    test_labels: Labels
    classes: int
    groups: tuple[Groups, Groups] | None = None
    group_names: tuple[str, ...] = ()


def digest(arrays: Arrays) -> str:
    """The SHA-256 of a data set's content, in hexadecimal.

    Hashed are, for `train` and then `test`: the text "<split> <number> <height> <width> <channels>" and a line feed,
    the pixels in C order, the labels as little-endian 64-bit integers. Where there are groups, "groups " and the JSON
    list of their names and a line feed follow, and the group numbers of both splits, written as the labels are. Where
    the data came from does not enter.

    Example:
        >>> tiny = Arrays(*(np.zeros(s, t) for s, t in [((1, 2, 2, 1), "u1"), (1, "i8")] * 2), classes=2)
        >>> digest(tiny)[:16]
        '2df824469feae245'
    """
    total = hashlib.sha256()
    for split, images, labels in (
        ("train", arrays.train_images, arrays.train_labels),
        ("test", arrays.test_images, arrays.test_labels),
    ):
        total.update(f"{split} {' '.join(map(str, images.shape))}\n".encode())
        total.update(np.ascontiguousarray(images).data)
        total.update(np.ascontiguousarray(labels, dtype="<i8").data)
    if arrays.groups is not None:
        total.update(f"groups {json.dumps(arrays.group_names)}\n".encode())
        for numbers in arrays.groups:
            total.update(np.ascontiguousarray(numbers, dtype="<i8").data)
    return total.hexdigest()


def picture(image: Image.Image, *, side: int, channels: int) -> Pixels:
    """One picture as (height, width, channels) bytes; with a side, its centred square at that size.

    Resizing is Pillow's antialiased bilinear filter, which computes in integers and so is the same on every machine.
    """
    image = image.convert("L" if channels == 1 else "RGB")
    if side and image.size != (side, side):
        width, height = image.size
        square = min(width, height)
        left, top = (width - square) / 2, (height - square) / 2
        box = (left, top, left + square, top + square)
        image = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def fitted(images: Pixels, *, side: int, channels: int) -> Pixels:
    """The pictures at another side or number of channels; the same array if nothing changes.

    Grey from colour is the usual luma (ITU-R 601, as Pillow computes it); colour from grey repeats the channel.
    """
    if images.shape[1:] == (side, side, channels):
        return images
    if images.shape[3] < channels:
        return np.repeat(fitted(images, side=side, channels=1), channels, axis=3)
    out = np.empty((len(images), side, side, channels), dtype=np.uint8)
    for row, pixels in zip(out, images, strict=True):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        row[:] = picture(image, side=side, channels=channels)
    return out


def statistics(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels in [0, 1], rounded to four decimals as is the custom.

    They are computed from the exact histogram, so that they do not depend on the order of summation.
    """
    means, spreads = [], []
    values = np.arange(256)
    for channel in range(images.shape[3]):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        number, total, squares = int(counts.sum()), int(counts @ values), int(counts @ values**2)
        means.append(round(total / number / 255, 4))
        spreads.append(round((max(squares * number - total**2, 0)) ** 0.5 / number / 255, 4))
    return tuple(means), tuple(spreads)
