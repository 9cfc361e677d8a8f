"""Movement: what training did to a weight, not where it ended (Zhou et al. 2019; Sanh, Wolf and Rush 2020)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Prunable, Scores
from tombola.core.lazily import Lazily
from tombola.core.plugin import plugin

FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "signed": lambda end, start: (end - start) * end.sign(),
    "sum": lambda end, start: (end.square() - start.square()) / 2,
    "increase": lambda end, start: end.abs() - start.abs(),
    "distance": lambda end, start: (end - start).abs(),
}


@plugin("criterion", "movement")
class Movement:
    """How far training took a weight w from its start w0: away from zero, or anywhere.

    Only the two ends are known here. The start is that of the training before the cut: the rewind point of a ticket, or
    the trained weights that it was restarted from.

    Sanh, Wolf and Rush score a weight by the sum of -w_t g_t over the training. A step of gradient descent at a
    constant rate a, without momentum or decay, is w_{t+1} - w_t = -a g_t. So a times their score is the sum of
    w_t (w_{t+1} - w_t), which is (w^2 - w0^2) / 2 less half the sum of (w_{t+1} - w_t)^2. The latter is of the order
    of a: form "sum" is their score at small steps. Other optimisers, and their learned masks, give other numbers.

    Where no weight changed its sign, "signed", "increase" and "sum" have equal signs, and the first two are the same.
    A weight that crossed zero gains |w| + |w0| in "signed", and |w| - |w0| in "increase".

    Args:
        form: "signed" is (w - w0) sign(w); "sum" is (w^2 - w0^2) / 2; "increase" is |w| - |w0| (Zhou et al.'s magnitude
            increase, with their factor at 1); "distance" is |w - w0| (their movement).
    """

    form: Literal["signed", "sum", "increase", "distance"] = "signed"

    def __call__(self, net: Prunable) -> Scores:
        """The movement of each living weight, one tensor at a time; negative where it went towards zero."""
        ends, starts = net.weights, Lazily(net.mask, lambda name: net.mask.living(name, net.start[name]))
        if all(torch.equal(ends[name], starts[name]) for name in net.mask):
            raise Refused(
                "movement scores what a training did to the weights, and these are where they began. Cut after "
                "training, or use a criterion that needs none: magnitude, random, snip."
            )
        return Lazily(ends, lambda name: FORMS[self.form](ends[name], starts[name]))
