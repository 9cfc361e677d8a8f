"""What is refused before anything is trained, so that nobody waits for hours to be told."""

from collections.abc import Iterator

import torch

from tombola.core.criterion import Criterion, habits_of
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank
from tombola.core.mask import Mask
from tombola.core.ticket import RESTARTS
from tombola.prune import Scope, widened
from tombola.train.network import no_curvature
from tombola.train.recipe import Recipe


def check_search(
    mask: Mask,
    arch: Arch,
    io: Interface,
    recipe: Recipe,
    *,
    criterion: Criterion,
    scope: Scope,
    keep: float = 0.8,
    densities: tuple[float, ...] = (),
    levels: int = 0,
    restart: str = "weights",
    moment: str = "",
) -> None:
    """Refuse now what a search from this mask on would refuse after hours of training.

    Raises:
        Refused: If the densities rise, the scope cannot cut the network so, a level would leave nothing, a word is not
            known, or the criterion needs second derivatives where the recipe's numbers are too rough for them.
    """
    check_plugins(criterion, scope)
    check_word("moment", moment, ("", "before", "after"))
    check_word("restart", restart, RESTARTS)
    if is_early(criterion, moment) and restart != "weights":
        raise Refused(f"restart='{restart}' goes on from trained weights; cut before training, there are none.")
    if isinstance(densities, float):
        raise Refused(f"densities is {densities}. Give one for each level: densities=({densities},).")
    if habits_of(criterion).order == 2 and recipe.precision != "float32":
        raise no_curvature(recipe.precision)
    if list(densities) != sorted(densities, reverse=True):
        raise Refused(f"densities {densities} rise. Pruning cannot revive weights: give them from high to low.")
    parameters = {name: tuple(value.shape) for name, value in blank(arch, io).named_parameters()}
    begun = widened(mask, parameters, scope)
    for density in densities:
        if not _left(begun, scope, density=density).kept:
            raise Refused(f"density {density:g} would leave none of {begun.kept:,} weights: ask for a higher one.")
    if not densities:
        scope.shares(begun, keep=keep, density=None)
        for level, left in enumerate(ladder(begun, scope, keep=keep, levels=levels), start=1):
            if not left:
                raise Refused(f"the cut to level {level} would leave no weight: ask for {level - 1} levels at most.")


def is_early(criterion: Criterion, moment: str) -> bool:
    """Whether a search cuts before training: by the word, or else by the criterion's habit."""
    return (moment or habits_of(criterion).moment) == "before"


def check_plugins(criterion: Criterion, scope: Scope) -> None:
    """Refuse what is no criterion or no scope, such as the class of one."""
    for what, value, kind in (("criterion", criterion, Criterion), ("scope", scope, Scope)):
        if isinstance(value, type) or not isinstance(value, kind):
            raise Refused(
                f"{what} is {value!r}. Give a plug-in, such as Magnitude() or Everywhere(); a text by parse()."
            )


def check_word(what: str, word: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of those known."""
    if word not in known:
        raise Refused(f"{what} is '{word}'. It is {' or '.join(one for one in known if one)}.")


def ladder(mask: Mask, scope: Scope, *, keep: float, levels: int) -> Iterator[float]:
    """The densities that so many cuts after one another would leave.

    Example:
        >>> from tombola.prune import Everywhere
        >>> [round(d, 4) for d in ladder(Mask.dense({"w": (10, 100)}), Everywhere(), keep=0.8, levels=3)]
        [0.8, 0.64, 0.512]
    """
    for _ in range(levels):
        mask = _left(mask, scope, keep=keep)
        yield mask.density


def _left(mask: Mask, scope: Scope, *, keep: float | None = None, density: float | None = None) -> Mask:
    """What a cut by equal scores leaves: as many as by any others. It is counted only, and need not work."""
    equal = {name: torch.zeros(shape) for name, shape in mask.shapes.items()}
    return Mask.taking({**mask, **scope.chosen(mask, equal, scope.shares(mask, keep=keep, density=density))})
