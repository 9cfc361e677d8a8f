"""A recipe: everything about a training that is neither network nor data nor seed."""

import dataclasses
import functools
import math
from fractions import Fraction
from typing import Any, Literal, Self, cast

from tombola.core.errors import Refused
from tombola.core.plugin import hints, plugin
from tombola.core.rewire import Rewire, Static
from tombola.core.task import Holdout, Task
from tombola.core.times import Time, checked, in_steps
from tombola.train.optimizers import Optimizer, Sgd
from tombola.train.schedules import Constant, Schedule


@plugin("recipe", "recipe")
class Recipe:
    """Steps, batch size, optimiser, schedule, rewind point, validation.

    Times are steps (500 or "500it") or epochs ("85ep"); `in_steps` turns them all into steps, before any key is made.
    The rate rises linearly over the first `warmup` and then follows the schedule. Tickets restart from the weights at
    `rewind`, at that place of the schedule, with a fresh optimiser. Gradients are clipped to the norm `clip` (0: not).
    Each batch is taken in parts of `batch / accumulate` examples (rounded up), one after the other, whose gradients are
    added: the same update in less memory, but for batch norm, which then sees each part by itself.
    The fraction `validation` of the training data is held out, drawn by `split_seed`. Curves have a point every
    `evaluate`. The weights given back are the "last" or, by validation accuracy, the "best"; `patience` ends a
    training after so many evaluations without a better one (0: never). `rewire` changes the mask while training.

    Example:
        >>> Recipe(steps="2ep", rewind=100)
        recipe(steps='2ep', rewind=100)
    """

    steps: Time = "20ep"
    batch: int = 128
    optimizer: Optimizer = Sgd()
    schedule: Schedule = Constant()
    warmup: Time = 0
    rewind: Time = 0
    smoothing: float = 0.0
    clip: float = 0.0
    validation: float = 0.1
    split_seed: int = 0
    evaluate: Time = "1ep"
    select: Literal["last", "best"] = "last"
    patience: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    rewire: Rewire = Static()
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        for name in ("steps", "warmup", "rewind", "evaluate"):
            checked(getattr(self, name), where=f"recipe: field '{name}'")
        for name, low, high in (("smoothing", 0, 1), ("validation", 0, 0.9)):
            if not low <= getattr(self, name) <= high:
                raise Refused(f"recipe: field '{name}' is {getattr(self, name)}. It lies between {low} and {high}.")
        for name, low in (("batch", 1), ("clip", 0), ("patience", 0), ("accumulate", 1)):
            if getattr(self, name) < low:
                raise Refused(f"recipe: field '{name}' is {getattr(self, name)}. It is {low} or more.")
        if self.accumulate > self.batch:
            raise Refused(
                f"a batch of {self.batch} in {self.accumulate} parts: lower accumulate to {self.batch} or less."
            )
        if (self.select == "best" or self.patience) and not self.validation:
            raise Refused("choosing the best weights or stopping early needs validation data: set validation=0.1, say.")
        if (self.select == "best" or self.patience) and self.rewire != Static():
            raise Refused(
                f"{self.rewire} has its mask and density at the end of the training: weights from before the end "
                "(select='best', patience) have others. Use select='last' and patience=0."
            )

    @property
    def holdout(self) -> Holdout:
        """What is held out of the training data."""
        return Holdout(self.validation, self.split_seed)

    def parts(self, examples: int) -> int:
        """In how many parts a batch of so many examples is computed; the last of an epoch has fewer of the usual size.

        Example:
            >>> [Recipe(batch=60, accumulate=4).parts(examples) for examples in (60, 20)]
            [4, 2]
        """
        usual = -(-self.batch // self.accumulate)
        return -(-examples // usual)

    def in_steps(self, task: Task) -> Self:
        """The recipe with every time in steps, checked against the data.

        Raises:
            Refused: If the batch is larger than the data, or the rewind point lies beyond the end.
        """
        size = task.train_size(self.holdout)
        if self.batch > size:
            raise Refused(
                f"a batch of {self.batch} from {task}, which has {size} training examples: use batch={size} or less."
            )
        return cast(Self, _in_steps(self, size))

    def rate(self, step: int) -> float:
        """The learning rate of a step; times must be in steps.

        Example:
            >>> recipe = Recipe(steps=10, warmup=4, optimizer=Sgd(lr=1.0))
            >>> [recipe.rate(step) for step in (0, 1, 3, 4)]
            [0.25, 0.5, 1.0, 1.0]
        """
        assert isinstance(self.steps, int) and isinstance(self.warmup, int), "in_steps comes first"
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.optimizer.lr * warm * self.schedule(step, self.steps)


def longer(recipe: Recipe, factor: float) -> Recipe:
    """The same recipe drawn out in time: steps, warm-up and the times of its schedule, each times the factor.

    So RigL-5x (Evci et al. 2020) is `longer(recipe, 5)`. The rewind point stays where it is, as a state of the dense
    network, and so do the distances between points of the curve and between two updates of the mask. A time in epochs
    stays one in epochs; half a step counts as a whole one.

    Raises:
        Refused: If the factor is not above 0.

    Example:
        >>> from tombola.train.schedules import StepDecay
        >>> longer(Recipe(steps="2ep", warmup=100, schedule=StepDecay(at=("1.5ep", 700))), 5)
        recipe(steps='10ep', schedule=step(at=('7.5ep', 3500)), warmup=500)
    """
    if not (math.isfinite(factor) and factor > 0):
        raise Refused(f"a training {factor} times as long is asked for. The factor is above 0.")
    schedule = recipe.schedule
    times = {name: _longer(getattr(schedule, name), factor) for name in _times_of(schedule)}
    return dataclasses.replace(
        recipe,
        steps=_longer(recipe.steps, factor),
        warmup=_longer(recipe.warmup, factor),
        schedule=dataclasses.replace(cast(Any, schedule), **times) if times else schedule,
    )


def _times_of(schedule: Schedule) -> list[str]:
    """The fields of a schedule that are times."""
    types = hints(type(schedule))
    return [name for name, kind in types.items() if kind in (Time, tuple[Time, ...])]


def _longer(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_longer(one, factor) for one in cast(tuple[Time, ...], value))
    by = Fraction(str(factor))  # As written: 0.1 of 30 epochs is 3 of them.
    if isinstance(value, int):
        return math.floor(value * by + Fraction(1, 2))
    number, unit = Fraction(value[:-2]) * by, value[-2:]
    number = Fraction(math.floor(number + Fraction(1, 2))) if unit == "it" else number
    text = f"{float(number):.6f}".rstrip("0").rstrip(".")
    return text + unit


@functools.lru_cache(maxsize=256)  # A study asks for the same few thousands of times.
def _in_steps(recipe: Recipe, size: int) -> Recipe:
    epoch = -(-size // recipe.batch)
    times = {name: in_steps(getattr(recipe, name), epoch=epoch) for name in ("steps", "warmup", "rewind", "evaluate")}
    if times["steps"] < 1:
        raise Refused("a training of 0 steps trains nothing: give the recipe steps.")
    if times["rewind"] >= times["steps"]:
        raise Refused(
            f"the rewind point, step {times['rewind']}, is not before the end of the training, step "
            f"{times['steps']}. Rewind earlier or train longer."
        )
    rewire = recipe.rewire.in_steps(epoch, times["steps"])
    return dataclasses.replace(recipe, schedule=recipe.schedule.in_steps(epoch), rewire=rewire, **times)
