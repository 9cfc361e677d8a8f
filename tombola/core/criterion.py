"""What a criterion is, and the habits that some have: when they score, and in how many rounds."""

import dataclasses
from typing import Literal, Protocol, runtime_checkable

from tombola.core.layout import Prunable, Scores

Moment = Literal["before", "after"]
Pace = Literal["exponential", "linear"]


@runtime_checkable
class Criterion(Protocol):
    """What makes a weight worth keeping: a score for each weight of each prunable tensor; the highest are kept."""

    def __call__(self, net: Prunable) -> Scores:
        """Scores of the shapes of the weights, finite."""
        ...


@dataclasses.dataclass(frozen=True)
class Habits:
    """How a criterion is meant to be used; these are the habits of one that says nothing.

    `moment`: whether the network is scored "before" it is trained, or "after". `rounds`: it is scored and pruned so
    many times on the way to its density, which falls at this `pace`. `revives`: whether a round may take back what an
    earlier one pruned. `collapse`: whether it may leave a tensor without a weight. `order`: of which order derivatives
    of the loss are that it needs; second ones are not to be had in bfloat16. `passes`: how often in a round the network
    computes for one example that is no data (`batches` and `per_class` tell of data).
    """

    moment: Moment = "after"
    rounds: int = 1
    pace: Pace = "exponential"
    revives: Literal["no", "yes"] = "no"
    collapse: Literal["allowed", "forbidden"] = "allowed"
    order: Literal[0, 1, 2] = 0
    passes: int = 0


@runtime_checkable
class Habitual(Protocol):
    """A criterion that says how it is meant to be used."""

    @property
    def habits(self) -> Habits:
        """When and in how many rounds."""
        ...


def habits_of(criterion: object) -> Habits:
    """The habits of a criterion.

    Example:
        >>> from tombola.criteria.magnitude import Magnitude
        >>> habits_of(Magnitude()).moment
        'after'
    """
    return criterion.habits if isinstance(criterion, Habitual) else Habits()


def computes(criterion: object) -> bool:
    """Whether scores come of running the network, so that their last bits depend on the device and its libraries.

    Example:
        >>> from tombola.criteria.magnitude import Magnitude
        >>> from tombola.criteria.snip import Snip
        >>> computes(Magnitude()), computes(Snip())
        (False, True)
    """
    habits = habits_of(criterion)
    return bool(habits.order or habits.passes or hasattr(criterion, "batches"))
