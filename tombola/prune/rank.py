"""Keep the best of what is alive, to the exact weight."""

from collections.abc import Mapping, Sequence

from tombola.core.errors import Refused
from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.select import check_fit
from tombola.prune.everywhere import Everywhere
from tombola.prune.layers import warn_of_collapse
from tombola.prune.scope import Scope, Share, ranks_freely


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
    return pruned(mask, scores, scope.shares(mask, keep=keep, density=density), scope)


def pruned(mask: Mask, scores: Scores, shares: Sequence[Share], scope: Scope) -> Mask:
    """What a scope chooses to keep, in these numbers; what no group names stays as it is."""
    for name in (name for names, _ in shares for name in names):
        if name not in scores:
            raise Refused(f"there are no scores of '{name}': a criterion gives one for each weight of each tensor.")
        if not ranks_freely(scope):  # Else whoever reads them sees to it, and need not make them twice.
            check_fit(name, scores[name].shape, mask[name].shape)
    # Tensors that no group names are shared with the mask: neither ever changes.
    result = Mask.taking({**mask, **scope.chosen(mask, scores, shares)})
    warn_of_collapse(result, before=mask)
    return result


def widened(mask: Mask, shapes: Mapping[str, tuple[int, ...]], scope: Scope) -> Mask:
    """The mask with every parameter in it (alive where it was not), if the scope prunes all of them."""
    if scope.tensors == "prunable":
        return mask
    return Mask({**Mask.dense(shapes), **mask}) if set(shapes) - set(mask) else mask
