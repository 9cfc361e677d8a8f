"""Image classification over arrays: crop, mirror and normalise as one gather and one multiply-add, no Python per image.

All pictures stay in memory as bytes, padded, with a mirrored copy beside them where the task mirrors. Every window that
a crop can show is a row of one strided view, so a batch is `windows[start]`, and what is drawn for an epoch comes down
to one number for each example. Batch t of seed s is computed from (s, t) alone.

Shape legend: N examples, S windows, H rows of W pixels of C channels, P = H + 2 * crop.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.plugin import registration
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import CPU, Holdout, Split
from tombola.tasks import sources
from tombola.tasks.arrays import Arrays, fitted, statistics
from tombola.tasks.epochs import Way
from tombola.tasks.sources import Source, Sourced

Constants = tuple[tuple[float, ...], tuple[float, ...]]

WHOLE = Holdout()
IMAGENET: dict[int, Constants] = {1: ((0.459,), (0.226,)), 3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class ImageTask(Sourced):
    """What all image tasks share; a plug-in adds its source, its constants and its own defaults.

    Fields: `size`, the side in pixels (another than the set's own resizes once, at load); `crop`, the padding of random
    crops; `flip`, whether half the training pictures are mirrored; `channels`, 1 (grey) or 3; `normalise`, by the set's
    own mean and standard deviation, by those of ImageNet (as some papers do for CIFAR), or only to [0, 1].

    `constants` has the set's mean and standard deviation for 1 and 3 channels, `mirrors` says whether a mirrored
    picture still is what its label says.
    """

    size: int = 32
    crop: int = 0
    flip: Literal["yes", "no"] = "no"
    channels: Literal[1, 3] = 3
    normalise: Literal["own", "imagenet", "none"] = "own"

    default_recipe: ClassVar[str] = "resnet20()"
    classes: ClassVar[int] = 10
    constants: ClassVar[dict[int, Constants]]
    mirrors: ClassVar[bool] = True
    smallest: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse fields that make no sense together."""
        name = registration(type(self)).name
        if self.size < self.smallest:
            raise Refused(f"{name}: size {self.size} is not a side in pixels. It must be at least 1.")
        if not 0 <= self.crop <= (self.size or self.crop):
            raise Refused(f"{name}: crop {self.crop} is not between 0 and the side of {self.size} pixels.")
        if self.flip == "yes" and not self.mirrors:
            raise Refused(f"{name}: flip='yes' would mirror digits, and a mirrored 2 is not a 2. Use flip='no'.")

    def __identity__(self) -> dict[str, Any]:
        """The digest of the data: keys change with the content, not with where it came from."""
        return {"data": self.source().pinned or facts(self.source()).digest}

    @property
    def io(self) -> Interface:
        """Shape of one picture and number of classes."""
        return Interface(inputs=(self.channels, self.size, self.size), classes=self.classes)

    def own_constants(self) -> Constants:
        """Mean and standard deviation of each channel of the training set, for pixels in [0, 1]."""
        return self.constants[self.channels]

    def train_size(self, holdout: Holdout = WHOLE) -> int:
        """The number of training examples that are not held out."""
        total = (self.source().sizes or facts(self.source()).sizes)[0]
        return total - _held_out(total, holdout)

    def batch(
        self, step: int, *, seeds: Seeds, size: int, holdout: Holdout = WHOLE, device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        """The augmented, normalised training batch of a step, and its targets; the epoch's last may be smaller."""
        drawn, targets = self.drawn(range(step, step + 1), seeds=seeds, size=size, holdout=holdout, device=device)
        return self.shown(drawn[0], device=device), targets[0].clone()

    def drawn(
        self, steps: range, *, seeds: Seeds, size: int, holdout: Holdout = WHOLE, device: torch.device = CPU
    ) -> tuple[Tensor, Tensor]:
        """What the batches of some steps show, (steps, batch): the window of each picture, and the targets."""
        if steps[0] < 0 or size < 1:
            raise Refused(
                f"batch of step {steps[0]} and size {size}: steps start at 0 and a batch has at least 1 example."
            )
        return way(self, holdout, seeds.stream("data"), seeds.stream("augment"), device).turns(steps, size)

    def shown(self, drawn: Tensor, *, device: torch.device = CPU) -> Tensor:
        """The pictures of drawn windows, (batch, channels, side, side): one gather and one multiply-add."""
        data = prepared(self, device)
        return data.normalised(data.windows.index_select(0, drawn))

    def evaluation(
        self, split: Split, *, size: int = 2000, holdout: Holdout = WHOLE, device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples of a split in batches, not augmented, in their order.

        Raises:
            Refused: For "validation" if nothing is held out.
        """
        data = prepared(self, device)
        if split == "test":
            return _batches(data, data.test, data.test_labels, None, size)
        train, held = divided(len(data.labels), holdout)
        chosen = train if split == "train" else held
        if not len(chosen):
            raise Refused(
                f"{self}: there is no validation part, {holdout.fraction} of {len(data.labels):,} examples are held "
                "out. Hold out a larger fraction, or evaluate on the test set."
            )
        return _batches(data, data.centre, data.labels, torch.from_numpy(chosen) if len(held) else None, size)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The mean cross-entropy of a batch."""
        return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which examples are answered wrongly; an answer that is not a number is wrong."""
        values, answers = outputs.max(dim=1)
        return (answers != targets) | values.isnan()


def _held_out(total: int, holdout: Holdout) -> int:
    if not (0 <= holdout.fraction < 1 and round(holdout.fraction * total) < total):
        raise Refused(
            f"holdout fraction {holdout.fraction} leaves nothing of {total:,} examples to train on. It is 0 or more "
            "and below 1."
        )
    return round(holdout.fraction * total)


@functools.lru_cache(maxsize=16)
def divided(total: int, holdout: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the training and of the held-out examples, each in ascending order.

    Held out are the first round(fraction x total) of a permutation that the holdout's seed names.
    """
    order = numbers("validation", holdout.seed).permutation(total)
    number = _held_out(total, holdout)
    return np.sort(order[number:]), np.sort(order[:number])


class Facts(NamedTuple):
    """What is known of a set only by reading it."""

    digest: str
    sizes: tuple[int, int]
    classes: int
    side: int
    constants: Constants


@functools.lru_cache(maxsize=64)
def facts(source: Source) -> Facts:
    """The facts of a set, read once in a process."""
    arrays, digest = sources.load(source)
    sizes = len(arrays.train_labels), len(arrays.test_labels)
    height, width = arrays.train_images.shape[1:3]
    if height != width:
        raise Refused(
            f"{source.name}: pictures are {width} x {height}, not square. Give a size: their middle is taken."
        )
    return Facts(digest, sizes, arrays.classes, height, statistics(arrays.train_images))


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
def prepared(task: ImageTask, device: torch.device) -> Prepared:
    """The task's data on a device: read, fitted, padded and mirrored once in a process."""
    arrays = _shaped(task)
    train, test = (torch.from_numpy(np.ascontiguousarray(x)) for x in (arrays.train_images, arrays.test_images))
    (number, side, _, channels), pad = train.shape, task.crop
    across = side + 2 * pad
    if pad or task.flip == "yes":
        padded = torch.zeros(2 if task.flip == "yes" else 1, number, across, across, channels, dtype=torch.uint8)
        inner = padded[:, :, pad : pad + side, pad : pad + side]
        inner[0] = train
        if task.flip == "yes":
            inner[1] = train.flip(2)
        padded = padded.to(device)
    else:
        padded = train[None].to(device)
    if pad:
        starts = padded.numel() // channels - (side - 1) * across - side + 1
        windows = padded.as_strided((starts, side, side * channels), (channels, across * channels, 1))
    else:
        windows = padded.view(-1, side * side * channels)
    mean, sd = _constants(task, channels)
    return Prepared(
        windows=windows,
        centre=padded[0, :, pad : pad + side, pad : pad + side],
        labels=torch.from_numpy(arrays.train_labels).to(device),
        test=test.to(device),
        test_labels=torch.from_numpy(arrays.test_labels).to(device),
        scale=torch.tensor([1 / (255 * s) for s in sd]).repeat(side * side).to(device),
        shift=torch.tensor([-m / s for m, s in zip(mean, sd, strict=True)]).repeat(side * side).to(device),
    )


def _constants(task: ImageTask, channels: int) -> Constants:
    if task.normalise == "none":
        return (0.0,) * channels, (1.0,) * channels
    return IMAGENET[channels] if task.normalise == "imagenet" else task.own_constants()


def _shaped(task: ImageTask) -> Arrays:
    arrays, _ = sources.load(task.source())
    channels, side, _ = task.io.inputs
    return arrays._replace(
        train_images=fitted(arrays.train_images, side=side, channels=channels),
        test_images=fitted(arrays.test_images, side=side, channels=channels),
    )


@functools.lru_cache(maxsize=256)
def way(task: ImageTask, holdout: Holdout, data: int, augment: int, device: torch.device) -> Way:
    """A pair of seeds' way through the task's training examples."""
    labels = prepared(task, device).labels
    chosen, _ = divided(len(labels), holdout)
    return Way(chosen, labels, task.io.inputs[1], task.crop, task.flip == "yes", data, augment)


def _batches(
    data: Prepared, pixels: Tensor, labels: Tensor, chosen: Tensor | None, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    if size < 1:
        raise Refused(f"batches of {size} examples: a batch has at least 1.")
    for start in range(0, len(labels) if chosen is None else len(chosen), size):
        part = slice(start, start + size)
        rows = part if chosen is None else chosen[part].to(labels.device)
        yield data.normalised(pixels[rows]), labels[rows].clone()
