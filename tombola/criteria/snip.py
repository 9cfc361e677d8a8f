"""SNIP: weights whose removal would move the loss most, before training (Lee, Ajanthan and Torr 2019)."""

from tombola.core.criterion import Habits, Pace
from tombola.core.layout import Mode, Prunable, Scores
from tombola.core.plugin import plugin
from tombola.criteria._derivatives import Weights, checked, seen


@plugin("criterion", "snip")
class Snip:
    """|gradient x weight| before training: how much the loss feels a weight's mask.

    With c for the mask, |dL/dc| = |dL/dw w| (Lee et al. 2019, section 4). They divide by the sum over all weights,
    which changes no rank and is left out. With more `rounds` it is iterative SNIP (de Jorge et al. 2021, section 4),
    which scores again what each round leaves.

    Args:
        batches: Batches of the recipe's size (0: a whole epoch, as in the code of Chen et al. 2021).
        per_class: Batches of so many examples of each class instead (0: not).
        mode: What batch norm does; "eval" in the code of Chen et al. 2021.
        weights: Lee et al. score newly drawn weights ("fresh", of `seed`) and train others; "own" scores those that
            are trained.
        rounds: Scored and pruned so many times on the way to the density.
        pace: How the density falls from round to round.
    """

    batches: int = 1
    per_class: int = 0
    mode: Mode = "train"
    weights: Weights = "own"
    seed: int = 0
    rounds: int = 1
    pace: Pace = "exponential"

    def __post_init__(self) -> None:
        checked(self, batches=0, per_class=0, rounds=1)

    @property
    def habits(self) -> Habits:
        """Before training, in `rounds`."""
        return Habits(moment="before", rounds=self.rounds, pace=self.pace, order=1)

    def __call__(self, net: Prunable) -> Scores:
        """|gradient x weight|, of the mean loss."""
        net = seen(net, self.weights, self.seed)
        gradients = net.gradients(batches=self.batches, per_class=self.per_class, mode=self.mode)
        return {name: (weight * gradients[name]).abs() for name, weight in net.weights.items()}
