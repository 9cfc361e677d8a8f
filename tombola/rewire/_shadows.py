"""What methods with dense shadows share: which weights compute at a density, as a scope says, to the exact weight."""

import functools
import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import registration_of
from tombola.core.rewire import number
from tombola.prune.scope import Scope, ranks_freely
from tombola.rewire._cubic import check_scope
from tombola.rewire._parts import top

log = logging.getLogger(__name__)


def best(scores: Mapping[str, Tensor], density: float, scope: Scope) -> dict[str, Tensor]:
    """Masks of the best scores at a density, on their device; ties fall to the earlier tensor and the lower index.

    Example:
        >>> from tombola.prune.everywhere import Everywhere
        >>> from tombola.prune.per_layer import PerLayer
        >>> scores = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1.0, 2.0])}
        >>> [mask.tolist() for mask in best(scores, 0.5, Everywhere()).values()]
        [[True, True], [False, False]]
        >>> [mask.tolist() for mask in best(scores, 0.5, PerLayer()).values()]
        [[False, True], [False, True]]
    """
    dense = _dense(tuple((name, tuple(value.shape)) for name, value in scores.items()))
    shares = scope.shares(dense, keep=None, density=density)
    found: dict[str, Tensor] = {}
    if not ranks_freely(scope):
        found = scope.chosen(dense, scores, shares)
    else:  # What it ranks can be ranked where it lies.
        for names, count in shares:
            flat = [scores[name].reshape(-1) for name in names]
            parts = top(torch.cat(flat) if len(flat) > 1 else flat[0], count).split([len(part) for part in flat])
            found |= {name: part.view(scores[name].shape) for name, part in zip(names, parts, strict=True)}
    return {name: found.get(name, dense[name]).to(value.device) for name, value in scores.items()}


def check_density(method: object, density: float) -> None:
    """Whether a density is one that prunes.

    Raises:
        Refused: If it is not between 0 and 1.
    """
    if not 0 < density < 1:
        raise Refused(
            f"{registration_of(method).name}: field 'density' is {density}. It is the fraction of all weights that are "
            "alive in the end: above 0, below 1."
        )


def check_layers(method: object, scope: Scope, mask: Mask, density: float) -> None:
    """Whether a scope can share a density, and every tensor a weight.

    Raises:
        Refused: If it cannot, or if a tensor would vanish for certain.
    """
    for names, count in check_scope(method, scope, mask, density):
        if count < len(names):
            raise Refused(
                f"{method} leaves {count} of {sum(mask[name].numel() for name in names)} weights to {len(names)} "
                "tensors: some would vanish. Use a higher density."
            )


def warn_of_collapse(masks: Mapping[str, Tensor], *, before: Mapping[str, Tensor]) -> None:
    """Warn of tensors that lose their last weight, once when it happens; shadows may bring it back."""
    for name, mask in masks.items():
        if not number(mask) and number(before[name]):
            log.warning(
                "layer collapse: '%s' has no weight left; use a higher density, or scope per_layer() or erk().", name
            )


@functools.lru_cache(maxsize=2)  # A method asks for the same at every change.
def _dense(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Mask:
    return Mask.dense(dict(shapes))
