"""Magnitude: large trained weights are worth keeping (Janowsky 1989; Han et al. 2015; Frankle and Carbin 2019)."""

import torch

from tombola.core.layout import Prunable, Scores
from tombola.core.lazily import Elementwise
from tombola.core.plugin import plugin


@plugin("criterion", "magnitude")
class Magnitude:
    """|weight| after training."""

    def __call__(self, net: Prunable) -> Scores:
        """The absolute value of each weight, made as it is read."""
        return Elementwise(net.weights, torch.abs)
