"""Loss and accuracy over all examples of a split."""

import dataclasses

import torch
from torch import nn

from tombola.core.task import CPU, Holdout, Split, Task


@dataclasses.dataclass(frozen=True)
class Score:
    """Mean loss and accuracy (a fraction) over `examples` examples."""

    loss: float
    accuracy: float
    examples: int


@torch.no_grad()
def evaluate(
    net: nn.Module, task: Task, split: Split, *, holdout: Holdout = Holdout(), device: torch.device = CPU
) -> Score:
    """The network's score on a split, in evaluation mode; the network's mode is put back afterwards."""
    training = net.training
    net.eval()
    loss, wrong, examples = 0.0, 0, 0
    for inputs, targets in task.evaluation(split, holdout=holdout, device=device):
        outputs = net(inputs)
        loss += float(task.loss(outputs, targets)) * len(targets)
        wrong += int(task.wrong(outputs, targets).sum())
        examples += len(targets)
    net.train(training)
    return Score(loss / examples, 1 - wrong / examples, examples)
