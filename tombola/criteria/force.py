"""FORCE: SNIP that looks at the network as pruned so far, and may take weights back (de Jorge et al. 2021)."""

from tombola.core.criterion import Habits, Pace
from tombola.core.layout import Mode, Prunable, Scores
from tombola.core.plugin import plugin
from tombola.criteria._derivatives import checked


@plugin("criterion", "force")
class Force:
    """|gradient of the pruned network x weight of the whole one|, in many rounds, before training.

    S = |dL/dw at (w c) x w| (de Jorge et al. 2021, "Progressive skeletonization"): a pruned weight keeps its
    value in the score, though the network computes without it, and returns when it would be felt. `rounds` and `pace`
    are those of the original's experiments on CIFAR; each round has batches of its own, as in its code. For SNIP in
    rounds that takes nothing back see `snip(rounds=60)`.

    Args:
        batches: Batches of the recipe's size (0: a whole epoch). The original has 10 for CIFAR-100, 40 for ImageNet.
        per_class: Batches of so many examples of each class instead (0: not).
        mode: What batch norm does. In "train", as in the original, it blows up the gradient of a unit that is all dead
            (its variance is 0) by 1 / sqrt(eps), about 300 times, so that such units come back; in "eval" it does not.
        rounds: Scored and pruned so many times on the way to the density.
        pace: How the density falls from round to round.
    """

    batches: int = 1
    per_class: int = 0
    mode: Mode = "train"
    rounds: int = 60
    pace: Pace = "exponential"

    def __post_init__(self) -> None:
        checked(self, batches=0, per_class=0, rounds=1)

    @property
    def habits(self) -> Habits:
        """Before training, in `rounds`, any of which may revive."""
        return Habits(moment="before", rounds=self.rounds, pace=self.pace, order=1, revives="yes")

    def __call__(self, net: Prunable) -> Scores:
        """|gradient x weight|, with the values of dead weights too."""
        gradients = net.gradients(batches=self.batches, per_class=self.per_class, mode=self.mode)
        return {name: (weight * gradients[name]).abs() for name, weight in net.whole.items()}
