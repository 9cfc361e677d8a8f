"""Depth maps that are written out, block by block."""

from collections.abc import Sequence
from typing import TypeVar

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.moves.depthmap import Sources, check_blocks, check_count

T = TypeVar("T")


@plugin("depth_map", "explicit")
class Explicit:
    """The map written out: a list for each stage, or one for all: explicit(blocks=((1, 1, 2, 2),)).

    Example:
        >>> Explicit(blocks=((2, 1),))(2, 2, 1), Explicit(blocks=((1,), (1, 1, 2)))(2, 3, 2)
        ((2, 1), (1, 1, 2))
    """

    blocks: tuple[tuple[int, ...], ...]

    @property
    def lists(self) -> int:
        """How many stages it speaks of; 1 is for all."""
        return len(self.blocks)

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The list of the stage."""
        own = _of_stage(self, self.blocks, stage)
        check_blocks(self, own, have, stage)
        check_count(self, len(own), want, stage)
        return own


@plugin("depth_map", "pairs")
class Pairs:
    """The notation of the code of Chen et al. 2021: '0:0;1:1,2;2:3,4' sends block 1 to places 1 and 2, and so on.

    Stages are divided by "|"; one is for all. 0 is the entry, which goes to 0 or is left out; in a stage without an
    entry blocks count from 1 all the same, where that code has them from 0 (its MobileNets). Places that are not named
    stay unfilled, and must be said to begin afresh.

    Example:
        >>> Pairs(text="0:0;1:1,2;2:3,4")(2, 4, 3)
        (1, 1, 2, 2)
    """

    text: str

    @property
    def lists(self) -> int:
        """How many stages it speaks of; 1 is for all."""
        return self.text.count("|") + 1

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The stage's pairs, turned round."""
        found: dict[int, int] = {}
        for item in filter(None, (part.strip() for part in _of_stage(self, self.text.split("|"), stage).split(";"))):
            block, places = self._read(item)
            if block == 0 and places == [0]:
                continue
            check_blocks(self, (block,), have, stage)
            for place in places:
                if place == 0:
                    raise Refused(f"{self}: place 0 of stage {stage} is its entry, which only block 0 goes to.")
                if not 1 <= place <= want:
                    raise Refused(f"{self}: stage {stage} of the target has {want} blocks, and none is number {place}.")
                if place in found:
                    raise Refused(
                        f"{self} fills block {place} of stage {stage} twice, from {found[place]} and {block}."
                    )
                found[place] = block
        return tuple(found.get(place) for place in range(1, want + 1))

    def _read(self, item: str) -> tuple[int, list[int]]:
        source, _, places = item.partition(":")
        try:
            return int(source), [int(place) for place in places.split(",")]
        except ValueError:
            raise Refused(f"{self}: cannot read '{item}'. Write source:place,place, such as 1:1,2.") from None


def _of_stage(rule: object, lists: Sequence[T], stage: int) -> T:
    """A stage's own list, or the one for all."""
    if len(lists) == 1:
        return lists[0]
    if not 1 <= stage <= len(lists):
        raise Refused(f"{rule} has {len(lists)} lists, and there is a stage {stage}. Give one a stage, or one for all.")
    return lists[stage - 1]
