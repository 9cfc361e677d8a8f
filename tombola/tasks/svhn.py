"""House numbers (Netzer et al., 2011)."""

from typing import ClassVar

from tombola.core.plugin import plugin
from tombola.tasks.images import Constants, ImageTask
from tombola.tasks.sources import Source


@plugin("task", "svhn")
class Svhn(ImageTask):
    """House numbers, 32 x 32, ten digits (Netzer et al., 2011), without the set's extra part.

    Not mirrored unless asked: a mirrored 2 is not a 2, but published ticket studies mirrored this set, so they can be
    repeated.
    """

    crop: int = 4

    label_space: ClassVar[str] = "digits"
    constants: ClassVar[dict[int, Constants]] = {
        1: ((0.445,), (0.198,)),
        3: ((0.438, 0.444, 0.473), (0.198, 0.201, 0.197)),
    }

    def source(self) -> Source:
        """Folder `svhn`, or the hub."""
        return Source(
            name="svhn",
            folder="svhn",
            hub_id="ufldl-stanford/svhn",
            config="cropped_digits",
            channels=3,
            sizes=(73_257, 26_032),
        )
