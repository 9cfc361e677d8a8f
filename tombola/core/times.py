"""Points in a training, as people write them: `500it` or 500 are steps, `85ep` or `0.5ep` are epochs."""

import math
import re
from fractions import Fraction

from tombola.core.errors import Refused

Time = int | str
_FORM = re.compile(r"(\d+(?:\.\d+)?)(ep|it)")


def checked(value: Time, *, where: str) -> Time:
    """The value, if it is a time.

    Raises:
        Refused: If it is not, or lies before the start.
    """
    if isinstance(value, int):
        if value < 0:
            raise Refused(f"{where} is {value}. Steps are counted from 0.")
    elif not _FORM.fullmatch(value):
        raise Refused(f"{where} is '{value}'. Write steps as 500 or '500it', epochs as '85ep'.")
    return value


def in_steps(value: Time, *, epoch: int) -> int:
    """The time in steps, for epochs of so many steps; a fraction of a step counts as a whole one.

    Example:
        >>> (
        ...     in_steps("2ep", epoch=469),
        ...     in_steps("500it", epoch=469),
        ...     in_steps(500, epoch=469),
        ...     in_steps("0.5ep", epoch=3),
        ... )
        (938, 500, 500, 2)
    """
    if isinstance(value, int):
        return value
    found = _FORM.fullmatch(value)
    assert found is not None, "times are checked when a recipe is made"
    number = Fraction(found[1])  # As written: 0.07 of 100 steps is 7, not 7.000000000000001.
    return math.ceil(number * epoch) if found[2] == "ep" else math.ceil(number)
