"""What a trained network answers to all examples of a split: asked once, without gradients, kept in float64."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from tombola.checks import check_word
from tombola.core.errors import Failed, Refused
from tombola.core.layout import Interface
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.train.device import threads
from tombola.train.trained import Trained

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs before the softmax (examples, classes), the right classes, and which examples are answered wrongly."""

    outputs: Numbers
    targets: Whole
    wrong: NDArray[np.bool_]

    @property
    def answers(self) -> Whole:
        """The class with the largest output; of equal ones the first."""
        return self.outputs.argmax(1)

    @property
    def probabilities(self) -> Numbers:
        """The softmax of the outputs."""
        return softmax(self.outputs, axis=1)

    @property
    def logarithms(self) -> Numbers:
        """The logarithms of the probabilities, finite where a probability is not told from 0."""
        return log_softmax(self.outputs, axis=1)

    @property
    def accuracy(self) -> float:
        """The fraction of examples answered rightly."""
        return 1 - float(self.wrong.mean())


def predictions(trained: Trained, task: Task, split: Split, context: Context) -> Predictions:
    """All answers of a network on a split of a task; what is held out of its training data, its recipe says.

    Raises:
        Refused: If the split is empty, or the task has no classes.
        Failed: If an output is not finite.
    """
    device = torch.device(context.machine.device)
    ask = asked(trained, device)
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    wrong: list[Tensor] = []
    with threads(context.machine), torch.no_grad():
        for inputs, right in task.evaluation(split, holdout=trained.recipe.holdout, device=device):
            answered = ask(inputs)
            outputs.append(answered.double().cpu())
            targets.append(right.cpu())
            wrong.append(task.wrong(answered, right).cpu())
    if not outputs:
        raise Refused(f"{task} has no example in its {split} part. Ask for another split, or hold out a larger part.")
    made = Predictions(*(torch.cat(part).numpy() for part in (outputs, targets, wrong)))
    if made.outputs.ndim != 2 or made.outputs.shape[1] < 2 or made.targets.ndim != 1 or made.targets.dtype.kind != "i":
        raise Refused(f"{task} has no classes to choose from. Accuracy and calibration are of tasks with two or more.")
    if not np.isfinite(made.outputs).all():
        odd = int((~np.isfinite(made.outputs)).any(1).sum())
        raise Failed(
            f"{trained!r} gives outputs that are not finite for {odd:,} of {len(made.targets):,} examples of the "
            f"{split} part of {task}. Look at its weights; no probability can be had of it."
        )
    return made


def asked(trained: Trained, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network as a function of inputs, in evaluation mode; numbers become of the type of its weights."""
    net = trained.module().to(device).eval()
    return lambda inputs: net(typed(inputs, net))


def features(trained: Trained, device: torch.device) -> Callable[[Tensor], Numbers]:
    """The network's penultimate layer as a function of inputs: what the last part of the head in its layout is given.

    Raises:
        Refused: If that part is not called.
    """
    net, name = trained.module().to(device).eval(), trained.ticket.arch.layout().head[-1]
    caught: list[Tensor] = []
    net.get_submodule(name).register_forward_pre_hook(lambda module, given: caught.append(given[0]))

    def penultimate(inputs: Tensor) -> Numbers:
        caught.clear()
        with torch.no_grad():
            net(typed(inputs, net))
        if not caught:
            raise Refused(f"{trained.ticket.arch} names '{name}' as its head and does not call it: no features there.")
        return caught[0].flatten(1).double().cpu().numpy()

    return penultimate


def typed(inputs: Tensor, net: nn.Module) -> Tensor:
    """Inputs as a network takes them: numbers of the type of its weights, tokens as they are."""
    return in_numbers(inputs, next(net.parameters()).dtype)


def in_numbers(inputs: Tensor, exact: torch.dtype) -> Tensor:
    """Inputs in numbers of a type, unless they are tokens."""
    return inputs.to(exact) if inputs.is_floating_point() else inputs


def check_same(probe: str, trained: Trained, task: Task) -> None:
    """Refuse a task with other inputs or classes than a network is for."""
    if trained.ticket.io != task.io:
        raise Refused(
            f"{probe}: {trained!r} is a network for {trained.ticket.io}; {task} needs {task.io}. A test without any "
            "further training needs equal inputs and classes: carry the ticket there and train it."
        )


def check_inputs(probe: str, io: Interface, task: Task) -> None:
    """Refuse a task with other inputs, or tokens of another meaning; classes may differ."""
    if dataclasses.replace(io, classes=task.io.classes) != task.io:
        raise Refused(f"{probe}: {task} has {task.io}; inputs as in {io} are needed. Only the classes may differ.")


def network_of(one: Ticket | Trained) -> Ticket:
    """The ticket itself, or that of a training."""
    return one.ticket if isinstance(one, Trained) else one


def in_split(split: Any, **others: Any) -> dict[str, Any]:
    """The arguments of a probe, after a look at the name of the split: calls may be made much later."""
    check_word("split", split, get_args(Split))
    return {"split": split, **others}


def share_error(share: float, number: int) -> float:
    """The standard error of a share of so many examples, by the binomial distribution; 0 at shares 0 and 1.

    Example:
        >>> share_error(0.8, 400)
        0.02
    """
    return float(np.sqrt(share * (1 - share) / number))
