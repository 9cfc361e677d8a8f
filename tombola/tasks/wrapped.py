"""Tasks made of another task's pictures: what they leave as it is, they ask of that task."""

import abc
import dataclasses
import functools
from typing import Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from tombola.core.layout import Interface
from tombola.core.task import Holdout, Split
from tombola.tasks.arrays import Arrays, Groups, Labels, Pixels
from tombola.tasks.digits import Digits
from tombola.tasks.images import WHOLE, Pictures, grouped
from tombola.tasks.prepared import Constants, Look


class Half(NamedTuple):
    """The training or the test examples of a task."""

    split: Literal["train", "test"]
    images: Pixels
    labels: Labels
    groups: Groups | None


class _Inner:
    """An attribute that is the inner task's own; of the class, which has none, it is the default's."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, task: Any, owner: type) -> Any:
        return getattr(Digits() if task is None else task.task, self.name)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Wrapped(Pictures):
    """A task with the pictures of another, changed: all of them, or those of the test only.

    Shape, classes, crops, mirroring and few labels are those of the inner task, and so is the digest: what is done to
    the pictures follows from the fields. Normalised is by the inner task's constants: a network that was trained on the
    clean pictures must see the others through the same eyes.
    """

    task: Pictures = Digits()
    of: Literal["all", "test"] = "all"

    default_recipe: ClassVar[str] = cast(str, _Inner())
    label_space: ClassVar[str] = cast(str, _Inner())

    @abc.abstractmethod
    def changed(self, half: Half) -> Half:
        """Half of the inner task's examples as this task has them."""

    def __identity__(self) -> dict[str, Any]:
        """The digest of the data of the inner task."""
        return self.task.__identity__()

    @property
    def io(self) -> Interface:
        """As that of the inner task."""
        return self.task.io

    @property
    def crop(self) -> int:
        """The padding of random crops."""
        return self.task.look().crop

    @property
    def flip(self) -> Literal["yes", "no"]:
        """Whether half the training pictures are mirrored."""
        return "yes" if self.task.look().flip else "no"

    def look(self) -> Look:
        """As that of the inner task."""
        return self.task.look()

    def used_constants(self) -> Constants:
        """As those of the inner task."""
        return self.task.used_constants()

    def examples(self) -> int:
        """As that of the inner task."""
        return self.task.examples()

    def arrays(self) -> Arrays:
        """The inner task's arrays, changed."""
        inner = clean(self.task)
        train_groups, test_groups = inner.groups or (None, None)
        train = Half("train", inner.train_images, inner.train_labels, train_groups)
        test = self.changed(Half("test", inner.test_images, inner.test_labels, test_groups))
        if self.of == "all":
            train = self.changed(train)
        groups = None if train.groups is None or test.groups is None else (train.groups, test.groups)
        return Arrays(train.images, train.labels, test.images, test.labels, inner.classes, groups, inner.group_names)

    def groups(self, split: Split, *, holdout: Holdout = WHOLE) -> tuple[np.ndarray, tuple[str, ...]]:
        """The groups of the inner task, where it has any (see `tombola.tasks.hub`)."""
        return grouped(self, split, holdout)


@functools.lru_cache(maxsize=1)
def clean(task: Pictures) -> Arrays:
    """A task's arrays, kept: all its corruptions are made of the same."""
    return task.arrays()
