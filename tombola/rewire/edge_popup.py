"""Edge-popup: what is hidden in a randomly weighted network (Ramanujan et al. 2020)."""

import math
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire
from tombola.prune.per_layer import PerLayer
from tombola.prune.scope import Scope
from tombola.rewire._shadows import best, check_density, check_layers, warn_of_collapse


@plugin("rewire", "edge_popup")
class EdgePopup(Rewire):
    """Edge-popup: weights stay as they were drawn, and scores learn which of them compute.

    The network computes with w on the fraction `density` of the best scores of each tensor, chosen anew at each step.
    The optimiser changes scores alone, by the gradient passed straight through the choice: g w. The authors' code ranks
    by |score|, so that the gradient is g w sign(score): rank="absolute"; the paper's text ranks by the score itself:
    "signed". Scores begin uniform within `bound` / sqrt(fan-in): 1 in the code, and sqrt(6) is He's.

    `values`: the ticket's "own", or their signs alone, times sqrt(2 / fan-in): "signed_constant". `scale` "density"
    divides them by sqrt(density), as the fan-in is that much smaller. Biases and norms, of which no mask knows, learn
    as usual; the original has none.

    Example:
        >>> str(EdgePopup(density=0.3, values="signed_constant"))
        "edge_popup(density=0.3, values='signed_constant')"
    """

    dead = "shadow"
    begins = "dense"
    told = "point"

    density: float = 0.5
    rank: Literal["absolute", "signed"] = "absolute"
    values: Literal["own", "signed_constant"] = "own"
    scale: Literal["no", "density"] = "no"
    bound: float = 1.0
    scope: Scope = PerLayer()

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        check_density(self, self.density)
        if self.bound <= 0:
            raise Refused(f"edge_popup: field 'bound' is {self.bound}. Scores begin within it: above 0.")

    def check(self, mask: Mask) -> None:
        """A dense ticket, of which no tensor vanishes."""
        super().check(mask)
        check_layers(self, self.scope, mask, self.density)

    def begin(self, live: Live) -> Masks:
        """Scores are drawn, and take the place of the weights in the optimiser."""
        for name, variable in live.variables.items():
            drawn = live.numbers(name).random(tuple(variable.shape)) * 2 - 1
            variable.copy_(torch.from_numpy(drawn * self.bound / math.sqrt(variable[0].numel())))
        return self.rewired(live)

    def due(self, step: int, steps: int) -> bool:
        """At every step."""
        return True

    def rewired(self, live: Live) -> Masks:
        """The best scores."""
        scores = {n: v.abs() if self.rank == "absolute" else v for n, v in live.variables.items()}
        masks = best(scores, self.density, self.scope)
        warn_of_collapse(masks, before=live.masks)
        return masks

    def weights(self, name: str, live: Live) -> Tensor:
        """The first weights, or what stands for them."""
        weight = live.first[name]
        if self.values == "signed_constant":
            weight = weight.sign() * math.sqrt(2 / weight[0].numel())
        return weight / math.sqrt(self.density) if self.scale == "density" else weight

    def pulled(self, name: str, live: Live) -> Tensor:
        """The gradient by the scores, straight through the choice."""
        gradient = live.gradients[name] * self.weights(name, live)
        return gradient * live.variables[name].sign() if self.rank == "absolute" else gradient
