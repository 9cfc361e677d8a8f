"""Which block of a ticket each block of a deeper or shallower network takes: depth maps, as data.

A stage has an entry, which stands once and is carried as it is, and interchangeable blocks, numbered 1, 2, 3, ... from
the input on, here as in Chen et al. 2021. A map gives for each block of the target the number of the source's block:
`1 1 2 2` makes four blocks of two. The maps are plug-ins: those that copy, those that keep, and the one written out.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tombola.core.errors import Refused

Sources = tuple[int | None, ...]
"""For each block of a target stage the number of the source's block, from 1; None where nothing is carried."""


@runtime_checkable
class DepthMap(Protocol):
    """A rule that says which blocks a stage of another depth is made of."""

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The sources of `want` blocks in a stage that has `have`, 1 or more; `stage` counts from 1."""
        ...


@runtime_checkable
class Listed(Protocol):
    """A depth map that is written out, stage by stage."""

    @property
    def lists(self) -> int:
        """How many stages it speaks of; 1 is for all."""
        ...


def check_blocks(rule: object, blocks: Sequence[int], have: int, stage: int) -> None:
    """Whether blocks are numbered as those of a stage are.

    Raises:
        Refused: If one is not there, or is the entry.
    """
    if 0 in blocks:
        raise Refused(
            f"{rule}: block 0 of stage {stage} is the entry, where there is one, which may change shape (it "
            "down-samples): it is carried by itself and is no copy of another. Blocks count from 1."
        )
    if strange := [block for block in blocks if not 1 <= block <= have]:
        raise Refused(f"{rule}: stage {stage} has blocks 1 to {have}, and no block {strange[0]}.")


def check_count(rule: object, count: int, want: int, stage: int) -> None:
    """Whether a list has a block for each place.

    Raises:
        Refused: If it has too few or too many.
    """
    if count < want:
        raise Refused(
            f"{rule} leaves block {count + 1} of stage {stage} unfilled: it is to have {want} blocks, not {count}."
        )
    if count > want:
        raise Refused(f"{rule} names {count} blocks for stage {stage}, which is to have {want}.")
