"""Random: no weight is worth more than another; the control of every criterion."""

import numpy as np
import torch

from tombola.core.layout import Prunable, Scores
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers


@plugin("criterion", "random")
class Random:
    """Uniform numbers from a stream named after seed and tensor: the same at every level, so that masks are nested."""

    seed: int = 0

    def __call__(self, net: Prunable) -> Scores:
        """A number in [0, 1) for each weight."""
        return {
            name: torch.from_numpy(numbers("criterion", self.seed, name).random(tuple(weight.shape), dtype=np.float32))
            for name, weight in net.weights.items()
        }
