"""What a study wants: deferred results, each with the labels by which its numbers are compared."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tombola.core.errors import Refused
from tombola.study.deferred import Deferred

Label = str | int | float | bool


@dataclasses.dataclass(frozen=True)
class Goal:
    """A result that is wanted, and what is said of it: seed, level, name, ..."""

    of: Deferred
    labels: Mapping[str, Label]


def row(of: Any, **labels: Any) -> Goal:
    """A row of a study's table: the numbers of a deferred result, under these labels.

    Raises:
        Refused: If `of` is not deferred, or a label is no plain value.
    """
    if not isinstance(of, Deferred):
        raise Refused(
            f"row() takes a deferred call and was given a {type(of).__name__}. In a study every step is called through "
            "defer: row(defer(train, ticket=..., ...), seed=0)."
        )
    for name, value in labels.items():
        if not isinstance(value, str | int | float | bool):
            raise Refused(
                f"row(): label '{name}' is a {type(value).__name__}. Labels are text, numbers, or yes and no."
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"row(): label '{name}' is {value}. A label that is a number is finite.")
    return Goal(of, labels)
