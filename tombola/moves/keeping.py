"""Depth maps that keep some blocks: how a shallower network is made (Chen et al. 2021, section 4.3)."""

import math
from typing import Literal

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.moves.depthmap import Sources, check_blocks, check_count


@plugin("depth_map", "keep_first")
class KeepFirst:
    """The first blocks of each stage stay: the default of `squeeze`."""

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """1, 2, 3, ..."""
        return _shallower(self, have, want, stage)[:want]


@plugin("depth_map", "keep_last")
class KeepLast:
    """The last blocks of each stage stay."""

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """..., n - 1, n."""
        return _shallower(self, have, want, stage)[have - want :]


@plugin("depth_map", "keep_even")
class KeepEven:
    """Blocks at even distances stay: 1 3 5 7 of 8, or with `start` "last" 2 4 6 8.

    Example:
        >>> KeepEven()(8, 4, 1), KeepEven(start="last")(8, 4, 1), KeepEven()(6, 4, 1)
        ((1, 3, 5, 7), (2, 4, 6, 8), (1, 3, 4, 6))
    """

    start: Literal["first", "last"] = "first"

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """One block of each of `want` parts: its first or its last. So it undoes interpolate(extra="even")."""
        every = _shallower(self, have, want, stage)
        places = [math.ceil(place * have / want) for place in range(want)]
        if self.start == "last":
            places = [have - 1 - place for place in reversed(places)]
        return tuple(every[place] for place in places)


@plugin("depth_map", "keep")
class Keep:
    """The named blocks stay, in their order: keep(blocks=(1, 4, 7)). A stage that keeps its depth keeps all."""

    blocks: tuple[int, ...]

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The blocks as they are named."""
        every = _shallower(self, have, want, stage)
        check_blocks(self, [one for one in self.blocks if one < 1 or have != want], have, stage)
        if list(self.blocks) != sorted(set(self.blocks)):
            raise Refused(f"{self}: the blocks are not in their order, each once. To change the order, use explicit().")
        if have == want:
            return every
        check_count(self, len(self.blocks), want, stage)
        return self.blocks


def _shallower(rule: object, have: int, want: int, stage: int) -> tuple[int, ...]:
    """All blocks of a stage that gets no deeper."""
    if want > have:
        raise Refused(
            f"{rule} drops blocks, and stage {stage} has {have} of them and is to have {want}. Use one that copies "
            "some: interpolate(), append(), early() or late(); stretch(to=...) interpolates by itself."
        )
    return tuple(range(1, have + 1))
