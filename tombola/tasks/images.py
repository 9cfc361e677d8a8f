"""Image classification over arrays: crop, mirror and normalise as one gather and one multiply-add, no Python per image.

All pictures stay in memory as bytes, padded, with a mirrored copy beside them where the task mirrors. Every window that
a crop can show is a row of one strided view, so a batch is `windows[start]`, and what is drawn for an epoch comes down
to one number for each example. Batch t of seed s is computed from (s, t) alone.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.plugin import registration
from tombola.core.seeds import Seeds
from tombola.core.task import CPU, Holdout, Split
from tombola.tasks import sources
from tombola.tasks.arrays import Arrays, fitted, statistics
from tombola.tasks.classified import Classified
from tombola.tasks.epochs import Way
from tombola.tasks.prepared import Constants, Look, batches, prepared
from tombola.tasks.sources import Source, Sourced
from tombola.tasks.subsets import check_few, divided, fewer, held_out, warn_of_absent

WHOLE = Holdout()
IMAGENET: dict[int, Constants] = {1: ((0.459,), (0.226,)), 3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


class Pictures(Classified, abc.ABC):
    """What every task of classified pictures does, whether they are read or made from those of another task."""

    @property
    @abc.abstractmethod
    def io(self) -> Interface:
        """Shape of one picture and number of classes."""

    @abc.abstractmethod
    def __identity__(self) -> dict[str, Any]:
        """The digest of the data that were read, under "data"."""

    @abc.abstractmethod
    def arrays(self) -> Arrays:
        """The pictures as the network sees them, but for augmentation and normalisation."""

    @abc.abstractmethod
    def look(self) -> Look:
        """How they are shown; known without reading them."""

    @abc.abstractmethod
    def used_constants(self) -> Constants:
        """Mean and standard deviation by which they are normalised."""

    @abc.abstractmethod
    def examples(self) -> int:
        """The number of training examples, before any is held out."""

    def train_size(self, holdout: Holdout = WHOLE) -> int:
        """The number of training examples that are not held out, or the few that are used of them."""
        left = self.examples() - held_out(self.examples(), holdout)
        few = self.look().few
        check_few(self, few, left)
        return few or left

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
            return batches(data, data.test, data.test_labels, None, size)
        chosen = part(self, split, holdout, device)
        everything = len(chosen) == len(data.labels)
        return batches(data, data.centre, data.labels, None if everything else torch.from_numpy(chosen), size)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class ImageTask(Pictures, Sourced):
    """What all image tasks share; a plug-in adds its source, its constants and its own defaults.

    Fields: `size`, the side in pixels (another than the set's own resizes once, at load); `crop`, the padding of random
    crops; `flip`, whether half the training pictures are mirrored; `channels`, 1 (grey) or 3; `normalise`, by the set's
    own mean and standard deviation, by those of ImageNet (as some papers do for CIFAR), or only to [0, 1]; `few`, the
    number of labelled examples to train on, balanced over classes and drawn by the holdout's seed (0: all that are not
    held out; see `subsets.fewer`); `order`, whether each epoch has an order of its own or all have that of the first.

    `constants` has the set's mean and standard deviation for 1 and 3 channels, `mirrors` says whether a mirrored
    picture still is what its label says.
    """

    size: int = 32
    crop: int = 0
    flip: Literal["yes", "no"] = "no"
    channels: Literal[1, 3] = 3
    normalise: Literal["own", "imagenet", "none"] = "own"
    few: int = 0
    order: Literal["new", "fixed"] = "new"

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
        if self.few < 0:
            raise Refused(f"{name}: few={self.few} is no number of examples. Use 1 or more, or 0 for all.")

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

    def used_constants(self) -> Constants:
        """Those that the field `normalise` names."""
        if self.normalise == "none":
            return (0.0,) * self.channels, (1.0,) * self.channels
        return IMAGENET[self.channels] if self.normalise == "imagenet" else self.own_constants()

    def look(self) -> Look:
        """As the fields have it."""
        return Look(self.crop, self.flip == "yes", self.few, self.order == "fixed")

    def arrays(self) -> Arrays:
        """The set as it was read, at the task's size and channels."""
        arrays, _ = sources.load(self.source())
        channels, side, _ = self.io.inputs
        return arrays._replace(
            train_images=fitted(arrays.train_images, side=side, channels=channels),
            test_images=fitted(arrays.test_images, side=side, channels=channels),
        )

    def examples(self) -> int:
        """As its source says, or else as many as were read."""
        return (self.source().sizes or facts(self.source()).sizes)[0]


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
    only = f" (only {', '.join(source.only)})" if source.only else ""
    warn_of_absent(f"{source.name}{only}", arrays.train_labels, arrays.classes)
    return Facts(digest, sizes, arrays.classes, height, statistics(arrays.train_images))


@functools.lru_cache(maxsize=256)
def way(task: Pictures, holdout: Holdout, data: int, augment: int, device: torch.device) -> Way:
    """A pair of seeds' way through the task's training examples."""
    labels, look = prepared(task, device).labels, task.look()
    chosen = part(task, "train", holdout, device)
    return Way(chosen, labels, task.io.inputs[1], look.crop, look.flip, look.fixed, data, augment)


def part(task: Pictures, split: Split, holdout: Holdout, device: torch.device = CPU) -> np.ndarray:
    """The positions of a split's examples among the training ones, or among the test ones.

    Raises:
        Refused: For "validation" if nothing is held out.
    """
    data = prepared(task, device)
    if split == "test":
        return np.arange(len(data.test_labels))
    total, few = len(data.labels), task.look().few
    train, held = divided(total, holdout)
    if split == "validation":
        if not len(held):
            raise Refused(
                f"{task}: there is no validation part, {holdout.fraction} of {total:,} examples are held out. Hold out "
                "a larger fraction, or evaluate on the test set."
            )
        return held
    if not few:
        return train
    task.train_size(holdout)  # Says what is wrong where there are fewer.
    return fewer(train, data.labels.cpu().numpy(), few, "few", holdout.seed)


def grouped(task: Pictures, split: Split, holdout: Holdout = WHOLE) -> tuple[np.ndarray, tuple[str, ...]]:
    """The group number of each example of a split, in the order of `evaluation`, and the groups' names.

    Raises:
        Refused: If the task's data name no groups.
    """
    data = prepared(task, CPU)
    if data.groups is None:
        raise Refused(f"{task} has no groups. Groups are a column of a set: hub(id=..., group='domain').")
    return data.groups[split == "test"][part(task, split, holdout)], data.names
