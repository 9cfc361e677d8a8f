"""Taylor: weights whose removal would change the loss, to first order, after training (Molchanov et al. 2019)."""

from typing import Literal

from tombola.core.criterion import Habits
from tombola.core.layout import Mode, Prunable, Scores
from tombola.core.plugin import plugin
from tombola.criteria._derivatives import checked


@plugin("criterion", "taylor")
class Taylor:
    """|gradient x weight| after training: the change of the loss without a weight, to first order.

    L(w = 0) - L(w) is about -gw. "absolute" ranks |gw|, and so (gw)^2 too (Molchanov et al. 2019, section 3, with
    one weight a group; 2017 for feature maps). "signed" ranks -gw: weights whose removal should lower
    the loss go first. The gradient is the mean over all batches; Molchanov et al. square first and then take the mean
    over batches, which ranks otherwise where the sign changes from batch to batch.

    Args:
        batches: Batches of the recipe's size (0: a whole epoch, where a converged network has hardly a gradient).
        per_class: Batches of so many examples of each class instead (0: not).
        mode: What batch norm does; in "eval" the network is scored as it will be used.
    """

    form: Literal["absolute", "signed"] = "absolute"
    batches: int = 10
    per_class: int = 0
    mode: Mode = "eval"

    def __post_init__(self) -> None:
        checked(self, batches=0, per_class=0)

    @property
    def habits(self) -> Habits:
        """After training, at once."""
        return Habits(moment="after", order=1)

    def __call__(self, net: Prunable) -> Scores:
        """|gradient x weight|, or minus the product."""
        gradients = net.gradients(batches=self.batches, per_class=self.per_class, mode=self.mode)
        changes = {name: -weight * gradients[name] for name, weight in net.weights.items()}
        return changes if self.form == "signed" else {name: change.abs() for name, change in changes.items()}
