"""What methods share: the weights that go and come, counts, times and their checks."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import registration_of
from tombola.core.rewire import Live, Masks, Rewire, number
from tombola.core.times import Time, checked, in_steps
from tombola.rewire._best import bottom as bottom
from tombola.rewire._best import drawn as drawn
from tombola.rewire._best import top as top

Regrow = Literal["allowed", "forbidden"]
Regrown = Literal["zero", "kept"]


def share(fraction: float, of: int) -> int:
    """A fraction of a number of weights, as whole ones: rounded down, as RigL's code does.

    Example:
        >>> share(0.3, 10), share(0.29, 100), share(0.3, 3)
        (3, 29, 0)
    """
    return min(of, int(fraction * of + 1e-9))  # 0.29 * 100 is 28.999999999999996.


def cosine(step: int, end: int) -> float:
    """Half a cosine from 1 at the start to 0 at the end, and 0 from there on.

    Example:
        >>> cosine(0, 100), round(cosine(50, 100), 9), cosine(100, 100)
        (1.0, 0.5, 0.0)
    """
    return (1 + math.cos(math.pi * step / end)) / 2 if step < end else 0.0


def changed(old: Tensor, dropped: Tensor, grown: Tensor) -> Tensor:
    """A mask after dropping and growing; a weight that is dropped and grown at once lives.

    Example:
        >>> import torch
        >>> old, dropped = torch.tensor([True, True, False]), torch.tensor([True, False, False])
        >>> changed(old, dropped, torch.tensor([False, False, True])).tolist()
        [False, True, True]
    """
    return (old & ~dropped) | grown


def room(live: Live, name: str, count: int, regrow: Regrow) -> int:
    """How many weights of a tensor may be dropped, of a number that is wished, so that as many can be grown.

    A tensor without dead weights stays as it is.
    """
    kept = live.kept(name)
    dead = live.masks[name].numel() - kept
    return min(count, kept if dead and regrow == "allowed" else dead)


def exchanged(
    live: Live, name: str, dropped: Tensor, grow: Callable[[int, Tensor], Tensor], *, regrow: Regrow, regrown: Regrown
) -> Tensor:
    """A tensor's mask when some weights are dropped and as many grown, by `grow(count, among)`.

    Args:
        regrow: Whether a weight that is dropped now may be grown at once.
        regrown: Its value then: "zero", with fresh optimiser state, or "kept", both as they were.
    """
    old = live.masks[name]
    grown = grow(number(dropped), ~old | dropped if regrow == "allowed" else ~old)
    if regrow == "allowed" and regrown == "zero":
        live.renew(name, dropped & grown)
    return changed(old, dropped, grown)


class Moving(Rewire):
    """What methods share that move living weights of a sparse ticket: times and checks; they have these fields."""

    begins: ClassVar[Literal["sparse", "dense", "any"]] = "sparse"

    if TYPE_CHECKING:
        every: Time
        drop: float
        end: float

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_every(self, self.every)
        check_drop(self, self.drop)
        check_part(self, "end", self.end)

    def in_steps(self, epoch: int, steps: int) -> Self:
        """The same with the interval in steps; it must be shorter than the time in which masks change."""
        every = in_steps(self.every, epoch=epoch)
        check_interval(self, every, end=end_of(self.end, steps), steps=steps)
        return dataclasses.replace(cast(Any, self), every=every)

    def check(self, mask: Mask) -> None:
        """A sparse ticket, with a weight in each tensor."""
        super().check(mask)
        check_alive(self, mask)

    def begin(self, live: Live) -> Masks:
        """The ticket's masks, if there is time to change them from its step on."""
        check_interval(self, int(self.every), end=end_of(self.end, live.steps), steps=live.steps, start=live.step)
        return live.masks

    def due(self, step: int, steps: int) -> bool:
        """After every `every` steps, before `end`."""
        return is_due(step, int(self.every), end_of(self.end, steps))


def check_drop(method: object, drop: float) -> None:
    """Whether a fraction to drop is one.

    Raises:
        Refused: If it is not above 0 and at most 1.
    """
    if not 0 < drop <= 1:
        raise Refused(f"{_name(method)}: field 'drop' is {drop}. It is the fraction of living weights: above 0, to 1.")


def check_every(method: object, every: Time) -> None:
    """Whether a time between two updates of the mask is one.

    Raises:
        Refused: If it is no time, or 0.
    """
    checked(every, where=f"{_name(method)}: field 'every'")
    if every == 0:
        raise Refused(f"{_name(method)}: field 'every' is 0. It is the time between two updates: 1 or more.")


def check_part(method: object, field: str, value: float) -> None:
    """Whether a part of the training is one.

    Raises:
        Refused: If it is not above 0 and at most 1.
    """
    if not 0 < value <= 1:
        raise Refused(f"{_name(method)}: field '{field}' is {value}. It is a part of the training: above 0, to 1.")


def check_interval(method: object, every: int, *, end: int, steps: int, start: int = 0) -> None:
    """Whether the mask changes at all between a start and an end, given in steps.

    Raises:
        Refused: If the first update would come at the end or after it.
    """
    if every < 1:
        raise Refused(f"{method}: updates of the mask are {every} steps apart. At least 1.")
    if start // every * every + every >= end:
        stops = "the training ends" if end >= steps else f"updates end (the training at step {steps})"
        begins = f", the training begins at step {start}" if start else ""
        raise Refused(
            f"{method}: every {every} steps the mask is to change, and before step {end}, where {stops}{begins}; so "
            "it never would. Use a smaller `every`, or train longer."
        )


def is_due(step: int, every: int, end: int) -> bool:
    """Whether the mask changes at a step: after every so many updates, before the end.

    Example:
        >>> [step for step in range(10) if is_due(step, 3, 9)]
        [2, 5]
    """
    return (step + 1) % every == 0 and step + 1 < end


def end_of(part: float, steps: int) -> int:
    """The step at which a part of the training is over.

    Example:
        >>> end_of(0.75, 100), end_of(1.0, 7)
        (75, 7)
    """
    return int(part * steps + 1e-9)


def check_alive(method: object, mask: Mask) -> None:
    """Whether every tensor of a mask has a weight: where counts stay, one without stays without.

    Raises:
        Refused: If one has none.
    """
    for name in mask:
        if not mask.kept_in(name):
            raise Refused(
                f"{method} keeps the number of weights of each tensor, and '{name}' has none: nothing would ever pass "
                "through it. Cut the ticket less, or by a scope that leaves each tensor some: erk(), per_layer()."
            )


def _name(method: object) -> str:
    return registration_of(method).name
