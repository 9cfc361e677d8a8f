"""What all tasks of classes have in common: their loss, and what counts as wrong."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional


class Classified:
    """Examples that belong to one class each; `outputs` are (batch, classes), `targets` (batch) class numbers.

    `label_space` says what the classes stand for, such as "digits"; "" if that is unknown.
    """

    label_space: ClassVar[str] = ""

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The mean cross-entropy of a batch, in nats."""
        return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Which examples are answered wrongly; an answer that is not a number is wrong."""
        values, answers = outputs.max(dim=1)
        return (answers != targets) | values.isnan()
