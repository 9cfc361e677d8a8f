"""Every output on its own: as many weights in each row of a tensor (Sun et al. 2023, Wanda's comparison group)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.select import keep_best
from tombola.prune.per_layer import PerLayer
from tombola.prune.scope import Share
from tombola.prune.units import numbers_of


@plugin("scope", "per_row")
class PerRow(PerLayer):
    """As `per_layer`, and within a tensor as many weights for each output: constant fan-in, but for a remainder.

    A row of a linear weight, or a filter of a convolution, is ranked by itself. What does not come out even goes to the
    rows in order, one each; a row with fewer living weights keeps them all, and the others share the rest.
    """

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """The best of every row, then the second best of every row, and so on, until there are enough."""
        kept: dict[str, Tensor] = {}
        for (name,), count in shares:
            kept.update(keep_best(mask, {name: _places(numbers_of(scores, name), mask[name])}, [name], count))
        return kept


def _places(scores: Tensor, alive: Tensor) -> Tensor:
    """Minus the place of each weight among the living of its row; of equal scores the first is ahead."""
    rows = (len(scores), -1) if scores.dim() > 1 else (1, -1)
    values, living = scores.reshape(rows).numpy(), alive.reshape(rows).numpy()
    # Numbers that are none come last in an order, after -inf.
    order = np.argsort(np.where(living, -values, np.nan), axis=1, kind="stable")
    places = np.empty(order.shape, dtype=np.float32)  # Exact: a row has fewer than 2^24 weights.
    np.put_along_axis(places, order, -np.arange(order.shape[1], dtype=np.float32)[None], axis=1)
    return torch.from_numpy(places).reshape(scores.shape)
