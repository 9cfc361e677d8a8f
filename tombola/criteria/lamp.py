"""LAMP: magnitude on a scale of its own for each layer (Lee, Park, Mo, Ahn and Shin 2021, equation 4)."""

import torch
from torch import Tensor

from tombola.core.criterion import Habits
from tombola.core.layout import Prunable, Scores
from tombola.core.plugin import plugin


@plugin("criterion", "lamp")
class Lamp:
    """weight^2 over the sum of the squares of all weights in its tensor that are no smaller, ranked globally.

    The score of a weight is the least share of its layer's output that could be lost with it, after all smaller ones.
    A tensor's largest living weight scores 1 and every other at most 1/2. So where tensors are ranked together, as with
    the scope `everywhere`, none loses its last weight as long as at least as many weights as tensors are kept; below
    that the cut is refused. Within one tensor the order is that of magnitude: `per_layer` and `erk` give the same masks
    with both, and share density themselves.

    Equal weights are ordered as ties are everywhere: the one of the lower index counts as larger. The original leaves
    their order to the sort. It sums in float32, ours in float64.
    """

    @property
    def habits(self) -> Habits:
        """It is there to prevent that a layer vanishes."""
        return Habits(collapse="forbidden")

    def __call__(self, net: Prunable) -> Scores:
        """A number from 0 to 1 for each weight; made at once, since each tensor is sorted for it."""
        return {name: _shares(weight, net.mask[name]) for name, weight in net.weights.items()}


def _shares(weight: Tensor, alive: Tensor) -> Tensor:
    """The share of each living weight in what is left when all smaller ones are gone; 0 for dead ones.

    Example:
        >>> _shares(torch.tensor([1.0, -2.0, 2.0, 9.0]), torch.tensor([True, True, True, False])).tolist()
        [0.1111111111111111, 1.0, 0.5, 0.0]
    """
    scores = torch.zeros(weight.numel(), dtype=torch.float64)
    places = alive.flatten().nonzero().squeeze(1)
    if not len(places):
        return scores.view(alive.shape)
    sizes, order = weight.flatten()[places].abs().double().sort(descending=True, stable=True)
    squares = (sizes / sizes[0].clamp(min=torch.finfo(torch.float64).tiny)).square()
    shares = squares / squares.cumsum(0).clamp(min=torch.finfo(torch.float64).tiny)
    shares[0] = 1.0  # Also where all living weights are zero: such a tensor keeps one, too.
    scores[places[order]] = shares
    return scores.view(alive.shape)
