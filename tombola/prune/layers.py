"""Layers in trouble: those that a cut leaves without a weight, and units that nothing reaches."""

import logging

from tombola.core.mask import Mask

log = logging.getLogger(__name__)
CUT_OFF = 0.5
"""People are warned of a layer more of whose units than this share have no living input."""


def collapsed(mask: Mask, *, before: Mask) -> list[str]:
    """The tensors that lost their last weight in a cut."""
    return [name for name in mask if mask.kept_in(name) == 0 and before.kept_in(name) > 0]


def warn_of_collapse(mask: Mask, *, before: Mask) -> list[str]:
    """The tensors that lost their last weight in a cut; each is warned of once, when it happens."""
    gone = collapsed(mask, before=before)
    for name in gone:
        log.warning(
            "layer collapse: '%s' has no weight left at density %.4g; prune less, or use scope per_layer() or erk().",
            name,
            mask.density,
        )
    return gone


def weak_layers(mask: Mask, *, most: float = 0.0) -> list[str]:
    """What is wrong with a mask's layers, in words: those without a weight, and those with units that nothing reaches.

    A unit (a row of a linear weight, a filter of a convolution) without a living weight gives a constant. Layers are
    named in which more than the fraction `most` of the units have none.

    Example:
        >>> import torch
        >>> weak_layers(Mask({"w": torch.tensor([[True, False], [False, False]])}))
        ["'w': 1 of 2 units have no living input"]
    """
    found: list[str] = []
    for name in mask:
        if mask.kept_in(name) == 0:
            found.append(f"'{name}' has no weight left (layer collapse)")
        elif mask[name].dim() > 1:
            reached = mask[name].flatten(1).any(dim=1)
            if int((~reached).sum()) > most * len(reached):
                found.append(f"'{name}': {int((~reached).sum())} of {len(reached)} units have no living input")
    return found
