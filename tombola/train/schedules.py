"""Learning-rate schedules: step -> factor of the optimiser's rate."""

import math
from typing import Protocol, Self, runtime_checkable

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.times import Time, checked, in_steps


@runtime_checkable
class Schedule(Protocol):
    """A factor of the learning rate for each step."""

    def __call__(self, step: int, steps: int) -> float:
        """The factor at a step of a training of so many steps."""
        ...

    def in_steps(self, epoch: int) -> Self:
        """The same schedule with every time in steps."""
        ...


@plugin("schedule", "constant")
class Constant:
    """The same rate throughout."""

    def __call__(self, step: int, steps: int) -> float:
        """Always 1."""
        return 1.0

    def in_steps(self, epoch: int) -> "Constant":
        """Itself: it has no times."""
        return self


@plugin("schedule", "step")
class StepDecay:
    """The rate is multiplied by `factor` at each of the times `at`.

    Example:
        >>> schedule = StepDecay(at=(80, 120))
        >>> schedule(79, 160), schedule(80, 160), round(schedule(120, 160), 9)
        (1.0, 0.1, 0.01)
    """

    at: tuple[Time, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Times are checked as soon as they are written."""
        for time in self.at:
            checked(time, where="step: field 'at'")
        if self.factor < 0:
            raise Refused(f"step: field 'factor' is {self.factor}. The rate is multiplied by it: 0 or more.")

    def __call__(self, step: int, steps: int) -> float:
        """`factor` to the power of the number of drops behind."""
        return self.factor ** sum(int(time) <= step for time in self.at)

    def in_steps(self, epoch: int) -> "StepDecay":
        """The same drops, counted in steps."""
        return StepDecay(at=tuple(in_steps(time, epoch=epoch) for time in self.at), factor=self.factor)


@plugin("schedule", "cosine")
class Cosine:
    """Half a cosine from 1 down to `floor` (Loshchilov and Hutter 2017, without restarts).

    Example:
        >>> Cosine()(0, 100), round(Cosine()(50, 100), 9)
        (1.0, 0.5)
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        """The floor is a fraction of the rate."""
        _fraction(self.floor)

    def __call__(self, step: int, steps: int) -> float:
        """floor + (1 - floor) (1 + cos(pi step / steps)) / 2."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * step / steps)) / 2

    def in_steps(self, epoch: int) -> "Cosine":
        """Itself: it has no times."""
        return self


@plugin("schedule", "linear")
class Linear:
    """A straight line from 1 down to `floor`.

    Example:
        >>> Linear()(25, 100), Linear(floor=0.5)(50, 100)
        (0.75, 0.75)
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        """The floor is a fraction of the rate."""
        _fraction(self.floor)

    def __call__(self, step: int, steps: int) -> float:
        """1 - (1 - floor) step / steps."""
        return 1 - (1 - self.floor) * step / steps

    def in_steps(self, epoch: int) -> "Linear":
        """Itself: it has no times."""
        return self


@plugin("schedule", "drawn_in")
class DrawnIn:
    """What another schedule has from a step to its end, in the time from that step to an earlier end.

    A short training from a late rewind point so passes through the rates that the whole training has behind it.

    Example:
        >>> short = DrawnIn(of=StepDecay(at=(100, 150)), start=100, end=200)
        >>> short(100, 120), short(109, 120), round(short(110, 120), 9)
        (0.1, 0.1, 0.01)
    """

    of: Schedule
    start: int
    end: int

    def __post_init__(self) -> None:
        """There is a part that is drawn in."""
        if not 0 <= self.start < self.end:
            raise Refused(f"drawn_in: from step {self.start} to {self.end} there is no part of a training.")

    def __call__(self, step: int, steps: int) -> float:
        """The factor at the step that lies as far from the start, in parts of the rest."""
        if step <= self.start or steps <= self.start:
            return self.of(step, self.end)
        return self.of(self.start + (step - self.start) * (self.end - self.start) // (steps - self.start), self.end)

    def in_steps(self, epoch: int) -> "DrawnIn":
        """The same, with the other schedule's times in steps."""
        return DrawnIn(of=self.of.in_steps(epoch), start=self.start, end=self.end)


def _fraction(floor: float) -> None:
    if not 0 <= floor <= 1:
        raise Refused(f"floor is {floor}. It is a fraction of the rate, between 0 and 1.")
