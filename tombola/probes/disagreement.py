"""Where two networks answer differently, and who of them is right there."""

import numpy as np
import torch

from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.probes.paired import check_held_out
from tombola.probes.predictions import check_same, in_split, predictions
from tombola.study.step import Context, step
from tombola.train.trained import Trained


@step("disagreement", prepare=in_split)
def disagreement(
    a: Trained, b: Trained, task: Task | None = None, split: Split = "test", *, context: Context = Context()
) -> Measurement:
    """The share of examples that two networks answer differently, and what lies behind it.

    `disagreement` is also called churn; `double_fault` is the share that both answer wrongly, alike or not. `lost` is
    how much of what `a` answers rightly `b` gets wrong, `gained` how much of what `b` answers rightly `a` gets wrong (0
    where there is nothing). `kl_nats` is the mean divergence of b's probabilities from a's, the sum of p_a log(p_a /
    p_b), and `kl_nats_reversed` that with the two exchanged. `ensemble_accuracy` is that of the mean of their
    probabilities, and `ensemble_gain` how far it is above the mean of the two accuracies. Give the dense network as `a`
    and the pruned one as `b`. Two trainings that differ in their seed disagree too: measure that beside it.

    Args:
        task: That of a's training unless told.

    Raises:
        Refused: If a network is for other inputs or classes, the split is empty, or it is a part of the training data
            that the two recipes divide in different ways.
        Failed: If outputs are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> one = train(draw(Mlp(hidden=(8,)), Digits(), recipe), Digits(), recipe)
        >>> disagreement(one, one).numbers()["disagreement"]
        0.0
    """
    from torchmetrics.functional import kl_divergence  # Takes a second to import.

    task = a.task if task is None else task
    for one in (a, b):
        check_same("disagreement", one, task)
    check_held_out("disagreement", a, b, (split,))
    first, second = (predictions(one, task, split, context) for one in (a, b))
    right_a, right_b = ~first.wrong, ~second.wrong
    logs = [torch.from_numpy(one.logarithms) for one in (first, second)]
    mean = torch.from_numpy(first.probabilities + second.probabilities) / 2
    ensemble = 1 - float(task.wrong(mean, torch.from_numpy(first.targets)).double().mean())
    numbers = {
        "disagreement": float((first.answers != second.answers).mean()),
        "double_fault": float((first.wrong & second.wrong).mean()),
        "lost": _share(second.wrong, right_a),
        "gained": _share(first.wrong, right_b),
        "kl_nats": float(kl_divergence(logs[0], logs[1], log_prob=True)),
        "kl_nats_reversed": float(kl_divergence(logs[1], logs[0], log_prob=True)),
        "accuracy_a": first.accuracy,
        "accuracy_b": second.accuracy,
        "ensemble_accuracy": ensemble,
        "ensemble_gain": ensemble - (first.accuracy + second.accuracy) / 2,
        "examples": len(first.targets),
    }
    return Measurement(numbers)


def _share(what: np.ndarray, among: np.ndarray) -> float:
    return float(what[among].mean()) if among.any() else 0.0
