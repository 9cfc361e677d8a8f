"""What criteria share that score by derivatives of the loss: the checks of their fields, and which weights they see."""

from typing import Literal

from tombola.core.errors import Refused
from tombola.core.layout import Prunable
from tombola.core.plugin import registration_of

Weights = Literal["own", "fresh", "fresh_head"]
"""Score the weights that will be trained, newly drawn ones in their place, or with a newly drawn head only."""


def checked(criterion: object, **least: int) -> None:
    """Refuse numbers below the least that makes sense.

    Raises:
        Refused: If a field is smaller, or a whole epoch is asked for in batches of equal classes.
    """
    name = registration_of(criterion).name
    for field, low in least.items():
        if (value := getattr(criterion, field)) < low:
            raise Refused(f"{name}: field '{field}' is {value}. It is {low} or more.")
    batches, per_class = getattr(criterion, "batches"), getattr(criterion, "per_class")  # noqa: B009
    if per_class and not batches:
        raise Refused(
            f"{name}: batches=0 is a whole epoch, and per_class={per_class} makes batches of equal classes; an epoch "
            "has the classes that it has. Give a number of batches, or per_class=0."
        )


def seen(net: Prunable, weights: Weights, seed: int) -> Prunable:
    """The network that is scored."""
    if weights == "own":
        return net
    return net.fresh(seed, part="all" if weights == "fresh" else "head")
