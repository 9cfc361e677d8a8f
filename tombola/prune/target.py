"""How many weights a cut leaves, exactly."""

import math
from fractions import Fraction
from typing import Literal

from tombola.core.errors import Refused

Rounding = Literal["ceil", "floor", "one_more"]


def target(
    living: int, size: int, *, keep: float | None, density: float | None, rounding: Rounding = "ceil", of: str = ""
) -> int:
    """How many weights stay, exactly: decimal fractions are taken as written, not as binary approximations.

    Example:
        >>> target(20, 20, keep=0.65, density=None), target(20, 20, keep=0.64, density=None, rounding="floor")
        (13, 13)
    """
    where = f" of '{of}'" if of else ""
    if (keep is None) == (density is None):
        raise Refused(
            "a cut takes the fraction of the living weights to keep (keep=0.8, say) or a density: one of them, and "
            f"{'neither was' if keep is None else 'both were'} given."
        )
    if keep is not None:
        if not 0 < keep <= 1:
            raise Refused(
                f"keep is {keep}. It is the fraction of the living weights that a cut keeps: above 0, up to 1."
            )
        pruned = (1 - Fraction(repr(float(keep)))) * living
        if rounding == "floor":
            return living - math.floor(pruned)
        return max(0, living - math.ceil(pruned) - (1 if rounding == "one_more" and keep < 1 else 0))
    assert density is not None
    if not 0 < density <= 1:
        raise Refused(f"density is {density}. It is the fraction of all weights to keep: above 0, up to 1.")
    wanted = math.floor(Fraction(repr(float(density))) * size + Fraction(1, 2))
    if wanted > living:
        raise Refused(
            f"density {density:.4f} asks for {wanted} weights{where}, only {living} are alive (density "
            f"{living / size:.4f}). Pruning cannot revive weights."
        )
    return wanted
