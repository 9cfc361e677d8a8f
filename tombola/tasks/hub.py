"""Any image-classification set: of the hub, by its id, or of your own, by its folder."""

from typing import ClassVar

import numpy as np

from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.plugin import plugin
from tombola.core.task import Holdout, Split
from tombola.tasks.images import WHOLE, Constants, ImageTask, facts, grouped
from tombola.tasks.sources import Source, check_id, is_hub_id


@plugin("task", "hub")
class Hub(ImageTask):
    """A set by its hub id, a path (/..., ./..., ~...), or the name of a folder in $TOMBOLA_DATA.

    `image` and `label` name its columns, `train` and `test` its splits; a split may be a part, as in
    `train='train[:80%]', test='train[80%:]'`. With size 0 the pictures stay as they are, and must all be of one size.
    Mean and standard deviation are measured on the training split.

    `group` names a column by which examples belong together, as in WILDS (Koh et al., 2021): a domain, a hospital, a
    user; it holds whole numbers, text or class labels. With `only=('books',)` only the examples of these groups are
    kept, in both splits: one domain of a set of many. The classes stay those of the whole set, so that what is found in
    one domain fits another; mean and standard deviation are the domain's own.
    """

    id: str
    config: str = ""
    image: str = "image"
    label: str = "label"
    train: str = "train"
    test: str = "test"
    size: int = 0
    group: str = ""
    only: tuple[str, ...] = ()

    smallest: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse an id of another form, and testing on the training split."""
        super().__post_init__()
        check_id(self.id)
        if self.train == self.test:
            raise Refused(f"hub: train and test are both '{self.train}'. Testing on training examples proves nothing.")
        if self.only and not self.group:
            raise Refused(f"hub: only={self.only} names groups, but no column has them. Give group='...' too.")
        if len(set(self.only)) < len(self.only):
            raise Refused(f"hub: only={self.only} names a group twice. Name each once.")

    @property
    def io(self) -> Interface:
        """Shape of one picture and number of classes, as the data have them."""
        known = facts(self.source())
        return Interface(inputs=(self.channels, known.side, known.side), classes=known.classes)

    def own_constants(self) -> Constants:
        """Measured mean and standard deviation of the training split."""
        return facts(self.source()).constants

    def source(self) -> Source:
        """The folder, or the hub."""
        return Source(
            name=f"hub(id={self.id!r})",
            folder=self.id,
            hub_id=self.id if is_hub_id(self.id) else "",
            config=self.config,
            image=self.image,
            label=self.label,
            train=self.train,
            test=self.test,
            side=self.size,
            channels=self.channels,
            group=self.group,
            only=self.only,
        )

    def groups(self, split: Split, *, holdout: Holdout = WHOLE) -> tuple[np.ndarray, tuple[str, ...]]:
        """The group number of each example of a split, in the order of `evaluation`, and the groups' names."""
        return grouped(self, split, holdout)
