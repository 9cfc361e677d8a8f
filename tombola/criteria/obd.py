"""Optimal brain damage: weights whose removal would raise the loss, to second order (LeCun, Denker and Solla 1990)."""

from typing import Literal

import torch
from torch import Tensor

from tombola.core.criterion import Habits
from tombola.core.layout import Mode, Prunable, Scores
from tombola.core.plugin import plugin
from tombola.core.seeds import numbers
from tombola.criteria._derivatives import checked


@plugin("criterion", "obd")
class Obd:
    """h w^2 / 2 after training, h being the Hessian's diagonal: the rise of the loss without a weight.

    At a minimum, with the Hessian taken as diagonal (LeCun, Denker and Solla 1990, section 2). Its diagonal is
    estimated as in Bekas, Kokiopoulou and Saad 2007 (after Hutchinson): the mean of z x (Hz) over probes z of random
    signs. The variance of h_ii is the sum of the squares of its row off the diagonal, over the number of probes.

    Args:
        form: "absolute" ranks |h| w^2 / 2; "raw" ranks the formula as it is, so that negative curvature, real or
            estimated, goes first. The original cannot be negative: it drops the term that could be.
        samples: Probes; each costs about as much as three gradients.
        batches: Batches of the recipe's size (0: a whole epoch).
        per_class: Batches of so many examples of each class instead (0: not).
        mode: What batch norm does; in "eval" the network is scored as it will be used.
        seed: Of the probes.
    """

    form: Literal["absolute", "raw"] = "absolute"
    samples: int = 10
    batches: int = 1
    per_class: int = 0
    mode: Mode = "eval"
    seed: int = 0

    def __post_init__(self) -> None:
        checked(self, samples=1, batches=0, per_class=0)

    @property
    def habits(self) -> Habits:
        """After training, at once."""
        return Habits(moment="after", order=2)

    def __call__(self, net: Prunable) -> Scores:
        """h w^2 / 2, or its absolute value."""
        diagonal = {name: torch.zeros_like(weight) for name, weight in net.weights.items()}
        for sample in range(self.samples):
            # Dead weights are in no probe: they would only add to the variance of the others.
            probe = net.mask.apply({name: self._signs(sample, name, value) for name, value in diagonal.items()})
            found = net.curvature(probe, batches=self.batches, per_class=self.per_class, mode=self.mode)
            for name, signs in probe.items():
                diagonal[name].addcmul_(signs, found[name], value=1 / self.samples)
        rises = {name: diagonal[name] * weight.square() / 2 for name, weight in net.weights.items()}
        return rises if self.form == "raw" else {name: rise.abs() for name, rise in rises.items()}

    def _signs(self, sample: int, name: str, like: Tensor) -> Tensor:
        bits = numbers("obd", self.seed, sample, name).integers(0, 2, size=tuple(like.shape), dtype="int8")
        return torch.from_numpy(bits).to(like.dtype).mul_(2).sub_(1)
