"""Pictures as they lie in a device's memory: padded bytes, a mirrored copy where the task mirrors, and the constants.

Shape legend: N examples, S windows, H rows of W pixels of C channels.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.tasks.arrays import Arrays, Groups

Constants = tuple[tuple[float, ...], tuple[float, ...]]


class Look(NamedTuple):
    """How a task shows its pictures: the padding of crops, whether half are mirrored, how many have labels (0: all).

    With a `fixed` order all epochs have that of the first.
    """

    crop: int
    flip: bool
    few: int
    fixed: bool


@runtime_checkable
class Pictured(Protocol):
    """What is asked of a task whose pictures are prepared."""

    def arrays(self) -> Arrays:
        """The pictures as the network sees them, but for augmentation and normalisation."""
        ...

    def look(self) -> Look:
        """How they are shown; known without reading them."""
        ...

    def used_constants(self) -> Constants:
        """Mean and standard deviation by which they are normalised."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A set as it lies in a device's memory."""

    windows: Tensor  # (S, H * W * C), or (S, H, W * C) where windows overlap
    centre: Tensor  # (N, H, W, C)
    labels: Tensor
    test: Tensor  # (N, H, W, C)
    test_labels: Tensor
    scale: Tensor  # (H * W * C)
    shift: Tensor
    groups: tuple[Groups, Groups] | None = None  # of the training and of the test examples
    names: tuple[str, ...] = ()  # of the groups

    def normalised(self, pixels: Tensor) -> Tensor:
        """Chosen pixels as a float batch (N, C, H, W), channels last in memory.

        The product and the sum are two roundings on purpose: a fused one rounds differently at the end of a vector.
        """
        side, channels = self.test.shape[2:]
        flat = pixels.reshape(len(pixels), -1).float().mul_(self.scale).add_(self.shift)
        if channels == 1:
            return flat.view(-1, 1, side, side)
        return flat.view(-1, side, side, channels).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=4)
def prepared(task: Pictured, device: torch.device) -> Prepared:
    """The task's data on a device: read, fitted, padded and mirrored once in a process."""
    arrays, look = task.arrays(), task.look()
    train, test = (torch.from_numpy(np.ascontiguousarray(x)) for x in (arrays.train_images, arrays.test_images))
    (number, side, _, channels), pad = train.shape, look.crop
    across = side + 2 * pad
    if pad or look.flip:
        padded = torch.zeros(2 if look.flip else 1, number, across, across, channels, dtype=torch.uint8)
        inner = padded[:, :, pad : pad + side, pad : pad + side]
        inner[0] = train
        if look.flip:
            inner[1] = train.flip(2)
        padded = padded.to(device)
    else:
        padded = train[None].to(device)
    if pad:
        starts = padded.numel() // channels - (side - 1) * across - side + 1
        windows = padded.as_strided((starts, side, side * channels), (channels, across * channels, 1))
    else:
        windows = padded.view(-1, side * side * channels)
    mean, sd = task.used_constants()
    return Prepared(
        windows=windows,
        centre=padded[0, :, pad : pad + side, pad : pad + side],
        labels=torch.from_numpy(arrays.train_labels).to(device),
        test=test.to(device),
        test_labels=torch.from_numpy(arrays.test_labels).to(device),
        scale=torch.tensor([1 / (255 * s) for s in sd]).repeat(side * side).to(device),
        shift=torch.tensor([-m / s for m, s in zip(mean, sd, strict=True)]).repeat(side * side).to(device),
        groups=arrays.groups,
        names=arrays.group_names,
    )


def batches(
    data: Prepared, pixels: Tensor, labels: Tensor, chosen: Tensor | None, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures and labels in batches, those at the chosen positions or all."""
    if size < 1:
        raise Refused(f"batches of {size} examples: a batch has at least 1.")
    for start in range(0, len(labels) if chosen is None else len(chosen), size):
        part = slice(start, start + size)
        rows = part if chosen is None else chosen[part].to(labels.device)
        yield data.normalised(pixels[rows]), labels[rows].clone()
