"""Scikit-learn's digits: 1,797 real scans of 8 x 8 pixels, on every machine (Alpaydin & Kaynak, 1998)."""

from typing import Any, ClassVar, Literal

import numpy as np

from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.tasks.arrays import Arrays, Labels
from tombola.tasks.images import Constants, ImageTask
from tombola.tasks.sources import Source

TRAIN, TEST = 1437, 360
_PIN = "ceae7ca9722e5b178f26fd16ec4d29e7938e5f85be42bd4f41cb9185495051db"


def scans() -> Arrays:
    """The scans as bytes: the 17 levels of ink become 0..255, rounded, and `(16 * byte + 127) // 255` is the way back.

    Training examples are the first 1,437 of a permutation folded from ("split", "digits"), each part in original order.
    """
    from sklearn.datasets import load_digits  # Takes a second to import, and is needed once.

    bunch: Any = load_digits()
    images = ((bunch.data.astype(np.int64) * 255 + 8) // 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels: Labels = bunch.target.astype(np.int64)
    order = numbers("split", "digits").permutation(len(labels))
    train, test = np.sort(order[:TRAIN]), np.sort(order[TRAIN:])
    return Arrays(images[train], labels[train], images[test], labels[test], classes=10)


@plugin("task", "digits")
class Digits(ImageTask):
    """Handwritten digits, 8 x 8, ten classes; comes with scikit-learn and needs no network."""

    size: int = 8
    channels: Literal[1, 3] = 1

    default_recipe: ClassVar[str] = "quickstart()"
    mirrors: ClassVar[bool] = False
    label_space: ClassVar[str] = "digits"
    constants: ClassVar[dict[int, Constants]] = {1: ((0.3048,), (0.3752,)), 3: ((0.3048,) * 3, (0.3752,) * 3)}

    def source(self) -> Source:
        """Scikit-learn's own copy."""
        return Source(name="digits", make=scans, pinned=_PIN, sizes=(TRAIN, TEST))
