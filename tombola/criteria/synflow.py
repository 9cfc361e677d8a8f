"""Synaptic flow: what a weight carries of all that flows through the network (Tanaka et al., 2020)."""

from typing import Literal

import torch
from torch import Tensor

from tombola.core.criterion import Habits, Pace
from tombola.core.errors import Refused
from tombola.core.layout import Biases, Norm, Prunable, Scores
from tombola.core.plugin import plugin


@plugin("criterion", "synflow")
class SynFlow:
    """Synaptic flow: dR/dw times w, where R = 1'|W_L|...|W_1|1 is all that flows through the network made linear.

    The score of a weight is the sum, over all paths through it, of the products of the absolute weights along them
    (Tanaka et al. 2020, equation 2). What flows into a hidden unit flows out of it, so that no layer is left empty
    before the others if few weights are pruned at a time (theorem 3); in one round the guarantee is lost. Where a
    shortcut bypasses a layer, the flow may go by the shortcut alone: such a layer can be left empty.

    Args:
        rounds: Times that the network is scored and pruned; 100 in the paper, 1 in some ports.
        pace: How the density falls: exponentially in the paper; linear rounds cut too much in the last ones.
        power: 2 takes squares for absolute values: SynFlow-L2 (Gebhart et al. 2021; Patil and Dovrolis 2021).
        norm: Batch norm multiplies by its absolute scale, as in the paper at initialisation; "folded", divides by the
            running standard deviation too, as the authors' code does after training; "identity" leaves it out.
        bias: Zero as in R; "absolute" lets |bias| flow too, as in the authors' code, and then the sums are not equal.
        collapse: Whether a cut that leaves a layer empty is refused; "allowed" for shortcuts, or a single round.
    """

    rounds: int = 100
    pace: Pace = "exponential"
    power: Literal[1, 2] = 1
    norm: Norm = "scale"
    bias: Biases = "zero"
    collapse: Literal["forbidden", "allowed"] = "forbidden"

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 100_000:
            raise Refused(f"synflow: field 'rounds' is {self.rounds:,}. It must be between 1 and 100,000.")

    @property
    def habits(self) -> Habits:
        return Habits(moment="before", rounds=self.rounds, pace=self.pace, collapse=self.collapse, passes=1)

    def __call__(self, net: Prunable) -> Scores:
        """The flow through each weight, in float64; with squares, half of dR/dw times w."""
        weights: dict[str, Tensor] = {}
        for name, weight in net.weights.items():
            value = weight.detach().double().abs() ** self.power
            if name.endswith("bias") and self.bias == "zero":  # A scope may ask for scores of every parameter.
                value = torch.zeros_like(value)
            weights[name] = value.requires_grad_()
        total = net.flow(weights, norm=self.norm, bias=self.bias, power=self.power)
        if not total > 0:
            raise Refused(
                f"nothing flows through this network at density {net.mask.density:.4g}: no path from an input to an "
                "output is alive. Begin with a denser mask, or use magnitude."
            )
        found = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
        slopes = zip(weights.items(), found, strict=True)
        return {n: torch.zeros_like(w) if slope is None else w.detach() * slope for (n, w), slope in slopes}
