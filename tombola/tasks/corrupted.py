"""Corrupted pictures: how a network fares in noise, blur and weather (Hendrycks & Dietterich, 2019)."""

import functools
import hashlib
from collections.abc import Callable
from typing import Literal

import numpy as np

from tombola.core.errors import Refused
from tombola.core.plugin import plugin, registration_of
from tombola.tasks import kept
from tombola.tasks.arrays import Pixels
from tombola.tasks.corruptions import blur, digital, noise, weather
from tombola.tasks.corruptions.shared import Draws, Floats
from tombola.tasks.wrapped import Half, Wrapped

Kind = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
Severity = Literal[1, 2, 3, 4, 5]
Slips = Literal["mended", "kept"]
SMALLEST = 4
_CHUNK = 500
_CHANGES: dict[str, Callable[[Floats, int, Draws], Floats]] = {
    name: getattr(module, name)
    for module, names in (
        (noise, ("gaussian_noise", "shot_noise", "impulse_noise")),
        (blur, ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur")),
        (weather, ("snow", "frost", "fog", "brightness")),
        (digital, ("contrast", "elastic_transform", "pixelate", "jpeg_compression")),
    )
    for name in names
}


@plugin("task", "corrupted")
class Corrupted(Wrapped):
    """Another task's pictures under one of the fifteen corruptions of CIFAR-10-C, at one of five severities.

    After Hendrycks & Dietterich (2019), with the constants that their code has for CIFAR. Pictures are made here, not
    downloaded, and picture i of a split is the same whatever else is made: its draws are named by kind, severity, split
    and i. They are kept, decoded, beside the other sets.

    `of="test"` leaves the training pictures clean, as the benchmark does; `of="all"` makes a domain of its own. At
    another side than 32 pixels lengths are scaled by side / 32: the disk of a defocus, the sigma of glass, radius and
    sigma of motion blur and of the streaks of snow. The clouds of fog and frost and the elastic field span the picture;
    zoom factors, shares and levels stay. At 8 pixels motion blur of severity 1 and 2 hardly shows.

    What differs from the published files: the draws; zooming is about the middle to a fraction of a pixel; elastic
    deformation samples once; frost has no photographs (see `corruptions.weather.frost`). With `slips="kept"` two
    slips of the released code are as they were: levels are cut down to whole numbers, not rounded, and glass blur
    overwrites pixels and does not exchange them.

    Example:
        >>> Corrupted(kind="fog", severity=2).io
        interface(inputs=(1, 8, 8), classes=10)
    """

    kind: Kind = "gaussian_noise"
    severity: Severity = 3
    slips: Slips = "mended"

    def changed(self, half: Half) -> Half:
        """The pictures corrupted: as they are kept, or made and kept."""
        if self.io.inputs[1] < SMALLEST:
            raise Refused(
                f"{self}: pictures of {self.io.inputs[1]} pixels have nothing to bend or blur. The smallest side is "
                f"{SMALLEST}; give the inner task a larger size."
            )
        content = hashlib.sha256(f"{half.images.shape}".encode() + np.ascontiguousarray(half.images).tobytes())
        made = f"{self.kind} {self.severity} {self.slips} {half.split} version {registration_of(self).version}"
        content.update(made.encode())
        name = f"{self.kind}-{self.severity}-{content.hexdigest()[:16]}"
        if (found := kept.read(name)) is not None:
            return half._replace(images=found["pixels"])
        pixels = corrupt(half.images, kind=self.kind, severity=self.severity, split=half.split, slips=self.slips)
        kept.write(name, {"pixels": pixels})
        return half._replace(images=pixels)


def corrupt(
    images: Pixels, *, kind: Kind, severity: Severity, split: Literal["train", "test"], slips: Slips = "mended"
) -> Pixels:
    """Pictures of a split, corrupted; those given are the first of it.

    Example:
        >>> grey = np.full((1, 8, 8, 1), 100, np.uint8)
        >>> corrupt(grey, kind="brightness", severity=5, split="test")[0, 0, 0].tolist()  # 100 + 0.3 * 255
        [176]
    """
    change = _CHANGES[kind]
    if kind == "glass_blur":
        change = functools.partial(blur.glass_blur, swap=slips == "mended")
    out = np.empty_like(images)
    for start in range(0, len(images), _CHUNK):
        rows = range(start, min(start + _CHUNK, len(images)))
        draws = Draws("corrupted", kind, severity, split, pictures=rows)
        levels = 255 * np.clip(change(images[rows.start : rows.stop] / 255, severity, draws), 0, 1)
        out[rows.start : rows.stop] = np.floor(levels) if slips == "kept" else np.rint(levels)
    return out
