"""GraSP: weights whose removal would take most from the gradient's norm, before training (Wang et al. 2020)."""

from typing import Literal

from tombola.core.criterion import Habits, Pace
from tombola.core.errors import Refused
from tombola.core.layout import Mode, Prunable, Scores
from tombola.core.plugin import plugin
from tombola.criteria._derivatives import Weights, checked, seen


@plugin("criterion", "grasp")
class Grasp:
    """weight x (Hessian x gradient) before training: what the gradient flow would lose with a weight.

    Removing a weight changes the squared norm of the gradient by -2 w (Hg), to first order. Wang, Zhang and Grosse
    2020 (section 4) write S = -w (Hg) and remove the highest S, so that the norm falls least or even grows; here the
    highest score is kept, so the score is w (Hg). Only living weights make up the norm.

    Args:
        form: "signed" as above; "absolute" ranks |w (Hg)|, as Frankle et al. 2021 advise and as in the code of Chen et
            al. 2021.
        temperature: The network's outputs are divided by it.
        batches: Batches of the recipe's size, where `per_class` is 0 (0: a whole epoch, as in Chen et al.).
        per_class: Batches of so many examples of each class: 10 for CIFAR-10 in the original.
        mode: What batch norm does; "eval" in the code of Chen et al. 2021.
        weights: The original scores a newly drawn head ("fresh_head", of `seed`) and trains another; "own" scores the
            weights that are trained.
        rounds: Scored and pruned so many times on the way to the density.
        pace: How the density falls from round to round.
    """

    form: Literal["signed", "absolute"] = "signed"
    temperature: float = 200.0
    batches: int = 1
    per_class: int = 10
    mode: Mode = "train"
    weights: Weights = "own"
    seed: int = 0
    rounds: int = 1
    pace: Pace = "exponential"

    def __post_init__(self) -> None:
        checked(self, batches=0, per_class=0, rounds=1)
        if self.temperature <= 0:
            raise Refused(f"grasp: field 'temperature' is {self.temperature}. It is above 0; the original has 200.")

    @property
    def habits(self) -> Habits:
        """Before training, in `rounds`."""
        return Habits(moment="before", rounds=self.rounds, pace=self.pace, order=2)

    def __call__(self, net: Prunable) -> Scores:
        """weight x (Hessian x gradient), or its absolute value."""
        net = seen(net, self.weights, self.seed)
        data = {"batches": self.batches, "per_class": self.per_class, "mode": self.mode}
        flow = net.mask.apply(net.gradients(temperature=self.temperature, **data))
        pulls = net.curvature(flow, temperature=self.temperature, **data)
        scores = {name: weight * pulls[name] for name, weight in net.weights.items()}
        return scores if self.form == "signed" else {name: score.abs() for name, score in scores.items()}
