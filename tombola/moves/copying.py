"""Depth maps that copy blocks: how a deeper network is made (Chen et al. 2021, sections 3.2 and 4.2)."""

import math
from collections.abc import Sequence
from typing import Literal

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.moves.depthmap import Sources, check_blocks

Extra = Literal["first", "even", "last"]
"""Who is copied once more where a depth is no multiple of the other: the first blocks, as in the paper's scripts."""


@plugin("depth_map", "interpolate")
class Interpolate:
    """Copies right behind their sources: 1 1 2 2; with `blocks`, of these blocks alone.

    The default of `stretch`, and the paper's rule of thumb: as many different blocks as possible, each as few times as
    possible (section 3.2).

    Example:
        >>> Interpolate()(4, 8, 1), Interpolate(blocks=(1, 2))(4, 8, 1), Interpolate(extra="even")(4, 6, 1)
        ((1, 1, 2, 2, 3, 3, 4, 4), (1, 1, 1, 2, 2, 2, 3, 4), (1, 1, 2, 3, 3, 4))
    """

    blocks: tuple[int, ...] = ()
    extra: Extra = "first"

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """Every block, those to be copied as often as the depth needs."""
        chosen = _deeper(self, have, want, stage, self.blocks)
        shares = dict(zip(chosen, _shared(want - have + len(chosen), len(chosen), self.extra), strict=True))
        return tuple(block for block in range(1, have + 1) for _ in range(shares.get(block, 1)))


@plugin("depth_map", "early")
class Early:
    """The first blocks of each stage are copied, interpolated: 1 1 1 2 3. The paper prefers them to late ones."""

    blocks: int = 1

    def __post_init__(self) -> None:
        _at_least_one("early", self.blocks)

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The first so many blocks several times."""
        return Interpolate(blocks=tuple(range(1, min(self.blocks, have) + 1)))(have, want, stage)


@plugin("depth_map", "late")
class Late:
    """The last blocks of each stage are copied, interpolated: 1 2 3 3 3."""

    blocks: int = 1

    def __post_init__(self) -> None:
        _at_least_one("late", self.blocks)

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The last so many blocks several times."""
        return Interpolate(blocks=tuple(range(max(1, have - self.blocks + 1), have + 1)))(have, want, stage)


@plugin("depth_map", "append")
class Append:
    """All blocks again, in a row: 1 2 1 2. What is left over repeats the first (or last) blocks where they stand.

    So 4 blocks become 6 as 1 2 1 2 3 4, which is how the paper's scripts stretch ResNet-32 to 44.

    Example:
        >>> Append()(4, 8, 1), Append()(4, 6, 1), Append(extra="last")(3, 5, 1)
        ((1, 2, 3, 4, 1, 2, 3, 4), (1, 2, 1, 2, 3, 4), (1, 2, 3, 2, 3))
    """

    extra: Literal["first", "last"] = "first"

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """Whole rows, the first of them with what is left over."""
        every = _deeper(self, have, want, stage)
        times, rest = divmod(want, have)
        few = every[:rest] if self.extra == "first" else every[have - rest :]
        first = (*few, *every) if self.extra == "first" else (*every, *few)
        return first + tuple(every) * (times - 1)


@plugin("depth_map", "append_group")
class AppendGroup:
    """A run of blocks again and again, right behind itself: 1 2 1 2 1 2 3 4 is append_group(blocks=(1, 2)).

    Example:
        >>> AppendGroup(blocks=(2, 3))(4, 8, 1)
        (1, 2, 3, 2, 3, 2, 3, 4)
    """

    blocks: tuple[int, ...]

    def __call__(self, have: int, want: int, stage: int) -> Sources:
        """The run as often as the depth needs; the others once."""
        group = _deeper(self, have, want, stage, self.blocks)
        if list(group) != list(range(group[0], group[0] + len(group))):
            raise Refused(f"{self}: blocks {_shown(group)} do not follow one another. Name a run, such as (1, 2).")
        times, rest = divmod(want - have, len(group))
        if rest:
            raise Refused(
                f"{self}: stage {stage} is to have {want} blocks, {want - have} more than there are, and a group of "
                f"{len(group)} does not divide that. Use another group, append(), or explicit()."
            )
        return (*range(1, group[0]), *(tuple(group) * (times + 1)), *range(group[-1] + 1, have + 1))


def _deeper(rule: object, have: int, want: int, stage: int, blocks: Sequence[int] = ()) -> Sequence[int]:
    """The blocks to be copied in a stage that gets no shallower; all if none are named, or it keeps its depth."""
    if want < have:
        raise Refused(
            f"{rule} copies blocks, and stage {stage} has {have} of them and is to have {want}. Use one that drops "
            "some: keep_first(), keep_last(), keep_even() or keep(); squeeze(to=...) takes the first by itself."
        )
    check_blocks(rule, [one for one in blocks if one < 1 or have != want], have, stage)
    if list(blocks) != sorted(set(blocks)):
        raise Refused(f"{rule}: blocks {_shown(blocks)} are not in their order, each once. For others use explicit().")
    return range(1, have + 1) if have == want else blocks or range(1, have + 1)


def _shared(total: int, among: int, extra: Extra) -> list[int]:
    """A number shared equally, what is left over by one each.

    Example:
        >>> _shared(6, 4, "first"), _shared(6, 4, "even"), _shared(6, 4, "last")
        ([2, 2, 1, 1], [2, 1, 2, 1], [1, 1, 2, 2])
    """
    if extra == "even":
        bounds = [math.ceil(place * total / among) for place in range(among + 1)]
        return [high - low for low, high in zip(bounds, bounds[1:], strict=False)]
    each, rest = divmod(total, among)
    more = range(rest) if extra == "first" else range(among - rest, among)
    return [each + (place in more) for place in range(among)]


def _at_least_one(name: str, blocks: int) -> None:
    if blocks < 1:
        raise Refused(f"{name}: field 'blocks' is {blocks}. It is how many blocks of a stage are copied: 1 or more.")


def _shown(blocks: Sequence[int]) -> str:
    return ", ".join(map(str, blocks))
