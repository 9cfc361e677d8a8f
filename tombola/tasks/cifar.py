"""Small photographs: CIFAR-10, CIFAR-100, and a fixed part of the latter (Krizhevsky, 2009)."""

from typing import ClassVar, Literal

from tombola.core.layout import Interface
from tombola.core.plugin import plugin
from tombola.tasks.images import Constants, ImageTask
from tombola.tasks.sources import Source

_CIFAR10 = "f145327a58a941f792793c2629c3c8b092df1e7f611532ae50e7de17a326c8ee"
_SUBSET = {
    "fine": "2190f236e9738b5a2254bfd3364548a253452b16d767be2683e9befe8c875e0a",
    "coarse": "2b3a1f0c3f80464652c67abb919db4717c12168394715b88536bcc1d7a9b110b",
}
_CONSTANTS_100: dict[int, Constants] = {
    1: ((0.4874,), (0.2512,)),
    3: ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


@plugin("task", "cifar10")
class Cifar10(ImageTask):
    """Photographs, 32 x 32, ten classes (Krizhevsky, 2009)."""

    crop: int = 4
    flip: Literal["yes", "no"] = "yes"

    label_space: ClassVar[str] = "the objects of CIFAR-10"
    constants: ClassVar[dict[int, Constants]] = {
        1: ((0.4809,), (0.2392,)),
        3: ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    }

    def source(self) -> Source:
        """Folder `cifar10`, or the hub."""
        return Source(
            name="cifar10",
            folder="cifar10",
            hub_id="uoft-cs/cifar10",
            image="img",
            channels=3,
            pinned=_CIFAR10,
            sizes=(50_000, 10_000),
        )


@plugin("task", "cifar100")
class Cifar100(ImageTask):
    """Photographs, 32 x 32, a hundred fine or twenty coarse classes (Krizhevsky, 2009)."""

    crop: int = 4
    flip: Literal["yes", "no"] = "yes"
    labels: Literal["fine", "coarse"] = "fine"

    label_space: ClassVar[str] = "the objects of CIFAR-100"
    constants: ClassVar[dict[int, Constants]] = _CONSTANTS_100

    @property
    def io(self) -> Interface:
        """Shape of one picture and number of classes."""
        return _io(self, self.labels)

    def source(self) -> Source:
        """Folder `cifar100`, or the hub."""
        return Source(
            name="cifar100",
            folder="cifar100",
            hub_id="uoft-cs/cifar100",
            image="img",
            label=f"{self.labels}_label",
            channels=3,
            sizes=(50_000, 10_000),
        )


@plugin("task", "cifar100_subset")
class Cifar100Subset(ImageTask):
    """60 training and 15 test pictures of each class of CIFAR-100; results do not compare with the whole set's."""

    crop: int = 4
    flip: Literal["yes", "no"] = "yes"
    labels: Literal["fine", "coarse"] = "fine"

    label_space: ClassVar[str] = "the objects of CIFAR-100"
    constants: ClassVar[dict[int, Constants]] = _CONSTANTS_100

    @property
    def io(self) -> Interface:
        """Shape of one picture and number of classes."""
        return _io(self, self.labels)

    def source(self) -> Source:
        """Folder `cifar100_subset`; the hub has no copy."""
        return Source(
            name="cifar100_subset",
            folder="cifar100_subset",
            image="img",
            label=f"{self.labels}_label",
            channels=3,
            pinned=_SUBSET[self.labels],
            sizes=(6_000, 1_500),
        )


def _io(task: ImageTask, labels: str) -> Interface:
    return Interface(inputs=(task.channels, task.size, task.size), classes=100 if labels == "fine" else 20)
