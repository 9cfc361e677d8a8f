"""Magnitude: large trained weights are worth keeping (Janowsky 1989; Han et al. 2015; Frankle and Carbin 2019)."""

from tombola.core.layout import Prunable, Scores
from tombola.core.plugin import plugin


@plugin("criterion", "magnitude")
class Magnitude:
    """|weight| after training."""

    def __call__(self, net: Prunable) -> Scores:
        """The absolute value of each weight."""
        return {name: weight.abs() for name, weight in net.weights.items()}
