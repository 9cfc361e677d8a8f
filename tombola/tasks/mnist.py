"""Handwritten digits of MNIST (LeCun et al., 1998) and USPS (Hull, 1994), and the garments of Fashion-MNIST."""

from typing import ClassVar, Literal

from tombola.core.plugin import plugin
from tombola.tasks.images import Constants, ImageTask
from tombola.tasks.sources import Source

_MNIST = "6ea7122855394fc05b55ca5762c9affa03fe3d1808eb73b0c96816915e582259"
_FASHION = "ec5d5463462611247645e07cd8b6298b1e2de327b3c30b8f4cb9470e8d328b47"
_USPS = "49653129cfd5a1dcd0dc320bff34f03553dc5a2b3de0c5e0db7678471c9c6fe4"


@plugin("task", "mnist")
class Mnist(ImageTask):
    """Handwritten digits, 28 x 28, ten classes (LeCun et al., 1998)."""

    size: int = 28
    channels: Literal[1, 3] = 1

    default_recipe: ClassVar[str] = "lenet()"
    mirrors: ClassVar[bool] = False
    label_space: ClassVar[str] = "digits"
    constants: ClassVar[dict[int, Constants]] = {1: ((0.1307,), (0.3081,)), 3: ((0.1307,) * 3, (0.3081,) * 3)}

    def source(self) -> Source:
        """Folder `mnist`, or the hub."""
        return Source(name="mnist", folder="mnist", hub_id="ylecun/mnist", pinned=_MNIST, sizes=(60_000, 10_000))


@plugin("task", "fashion_mnist")
class FashionMnist(ImageTask):
    """Photographs of garments, 28 x 28, ten classes (Xiao et al., 2017)."""

    size: int = 28
    channels: Literal[1, 3] = 1

    default_recipe: ClassVar[str] = "lenet()"
    label_space: ClassVar[str] = "garments"
    constants: ClassVar[dict[int, Constants]] = {1: ((0.2860,), (0.3530,)), 3: ((0.2860,) * 3, (0.3530,) * 3)}

    def source(self) -> Source:
        """Folder `fashion_mnist`, or the hub."""
        hub_id = "zalando-datasets/fashion_mnist"
        return Source(
            name="fashion_mnist", folder="fashion_mnist", hub_id=hub_id, pinned=_FASHION, sizes=(60_000, 10_000)
        )


@plugin("task", "usps")
class Usps(ImageTask):
    """Handwritten digits from envelopes, 16 x 16, ten classes (Hull, 1994)."""

    size: int = 16
    channels: Literal[1, 3] = 1

    default_recipe: ClassVar[str] = "lenet()"
    mirrors: ClassVar[bool] = False
    label_space: ClassVar[str] = "digits"
    constants: ClassVar[dict[int, Constants]] = {1: ((0.2545,), (0.3846,)), 3: ((0.2545,) * 3, (0.3846,) * 3)}

    def source(self) -> Source:
        """Folder `usps`, or the hub."""
        return Source(name="usps", folder="usps", hub_id="flwrlabs/usps", pinned=_USPS, sizes=(7_291, 2_007))
