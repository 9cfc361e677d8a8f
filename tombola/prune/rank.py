"""Keep the best of what is alive, to the exact weight."""

from collections.abc import Mapping

from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.select import keep_best
from tombola.prune.layers import warn_of_collapse
from tombola.prune.scopes import Everywhere, Scope


def prune(
    mask: Mask, scores: Scores, *, keep: float | None = None, density: float | None = None, scope: Scope = Everywhere()
) -> Mask:
    """Keep the best-scoring weights among those still alive.

    Weights are ranked within each group of `scope` (all tensors together by default). Dead weights stay dead, and ties
    fall to the lower index, so the number kept is met exactly.

    Args:
        keep: Fraction of the living weights to keep. Either this or `density` is given.
        density: Fraction of *all* weights to keep, not of the living ones.

    Raises:
        Refused: If more weights are asked for than are alive, or a score is not a number.

    Example:
        >>> import torch
        >>> prune(Mask.dense({"w": (4,)}), {"w": torch.tensor([3.0, 1.0, 2.0, 0.0])}, density=0.5)["w"].tolist()
        [True, False, True, False]
    """
    alive = dict(mask)
    for names, count in scope.shares(mask, keep=keep, density=density):
        alive.update(keep_best(mask, scores, names, count))
    result = Mask(alive)
    warn_of_collapse(result, before=mask)
    return result


def widened(mask: Mask, shapes: Mapping[str, tuple[int, ...]], scope: Scope) -> Mask:
    """The mask with every parameter in it (alive where it was not), if the scope prunes all of them."""
    if scope.tensors == "prunable":
        return mask
    return Mask({**Mask.dense(shapes), **mask}) if set(shapes) - set(mask) else mask
