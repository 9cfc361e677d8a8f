"""Wanda: a weight counts as much as what comes through it (Sun, Liu, Bair and Kolter 2023, equation 1)."""

from typing import Literal

from tombola.core.errors import Refused
from tombola.core.layout import Prunable, Scores
from tombola.core.lazily import Lazily
from tombola.core.plugin import plugin


@plugin("criterion", "wanda")
class Wanda:
    """|weight| x the norm of its input over some examples.

    The original compares only the weights of one output with one another, as the scope `per_row` does.
    Ranked more widely it is another method: sums over the places of an image favour the tensors with large inputs. The
    original also prunes block by block, and measures each block behind the pruned ones; here all inputs are those of
    the network before the cut. A convolution's input is measured by channel, over all examples and places.

    Args:
        batches: Batches of training examples that go through the network (0: one whole epoch).
        norm: "euclidean", as in the paper; or its square, which the Wanda sparsifier of torchao multiplies with.
    """

    batches: int = 1
    norm: Literal["euclidean", "squared"] = "euclidean"

    def __post_init__(self) -> None:
        if self.batches < 0:
            raise Refused(f"wanda: batches is {self.batches}. Give 1 or more, or 0 for one whole epoch.")

    def __call__(self, net: Prunable) -> Scores:
        """The product, one tensor at a time, from inputs that are measured once."""
        weights, inputs = net.weights, net.inputs(batches=self.batches)
        power = 1 if self.norm == "euclidean" else 2
        return Lazily(weights, lambda name: weights[name].abs() * inputs[name] ** power)
