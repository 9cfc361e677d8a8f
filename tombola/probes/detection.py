"""Whether a network's own confidence tells examples of another kind from those that it was trained for."""

import numpy as np
from scipy.special import logsumexp

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.probes.predictions import Numbers, check_inputs, check_same, in_split, predictions
from tombola.study.step import Context, step
from tombola.train.trained import Trained


@step("detection", prepare=in_split)
def detection(
    trained: Trained,
    outside: Task,
    inside: Task | None = None,
    split: Split = "test",
    *,
    context: Context = Context(),
) -> Measurement:
    """Detection of out-of-distribution examples by the largest softmax probability and by energy.

    Scores are high where the network finds itself at home: `max_softmax_...` (Hendrycks and Gimpel 2017), and
    `energy_...`, the log of the sum of exponentials of the outputs, which is the negative energy at temperature 1 (Liu
    et al. 2020, equation 4). Examples of `inside` are the positive ones. `..._auroc` is the chance that one of them
    scores above one from outside (1/2 for a tie), `..._aupr` the average precision, whose value by chance is the share
    of examples from inside, and `..._fpr95` the share of examples from outside that pass at the highest threshold that
    lets at least 95 % of those from inside pass.

    Args:
        outside: A task with the same inputs; its classes, and whether it shares some, do not matter to the numbers. One
            that shows known classes in another style is a shift, not another kind.
        inside: The task of the training unless told.

    Raises:
        Refused: If inputs differ, or a split is empty.
        Failed: If outputs are not finite.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> detection(train(draw(Mlp(hidden=(8,)), Digits(), recipe), Digits(), recipe), Digits()).numbers()[
        ...     "energy_auroc"
        ... ]
        0.5
    """
    inside = trained.task if inside is None else inside
    check_same("detection", trained, inside)
    check_inputs("detection", trained.ticket.io, outside)
    known, other = (_outputs(trained, task, split, context) for task in (inside, outside))
    numbers: dict[str, float] = {}
    for name, score in (("max_softmax", max_softmax), ("energy", energy)):
        numbers |= {f"{name}_{what}": value for what, value in told_apart(score(known), score(other)).items()}
    return Measurement({**numbers, "examples_inside": len(known), "examples_outside": len(other)})


def max_softmax(outputs: Numbers) -> Numbers:
    """The largest probability, as its logarithm: the order is the same, and fewer values are rounded to one.

    Example:
        >>> max_softmax(np.array([[0.0, 0.0], [3.0, 0.0]])).round(4).tolist()
        [-0.6931, -0.0486]
    """
    first = outputs.max(1)
    others = np.where(np.arange(outputs.shape[1]) == outputs.argmax(1)[:, None], -np.inf, outputs)
    return -np.log1p(np.exp(logsumexp(others, axis=1) - first))


def energy(outputs: Numbers) -> Numbers:
    """The negative energy at temperature 1.

    Example:
        >>> energy(np.array([[0.0, 0.0]])).round(4).tolist()
        [0.6931]
    """
    return np.asarray(logsumexp(outputs, axis=1))


def told_apart(inside: Numbers, outside: Numbers) -> dict[str, float]:
    """How well a score that is high inside tells two sets apart: auroc, aupr, and fpr95.

    Example:
        >>> told_apart(np.array([3.0, 2.0]), np.array([1.0, 2.5]))
        {'auroc': 0.75, 'aupr': 0.8333333333333333, 'fpr95': 0.5}
    """
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve  # Takes a second to import.

    if not (len(inside) and len(outside)):
        raise Refused("told_apart: one of the two sets is empty. Give at least one example of each.")
    positive, scores = np.repeat([1, 0], [len(inside), len(outside)]), np.concatenate([inside, outside])
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(positive, scores)),
        "aupr": float(average_precision_score(positive, scores)),
        "fpr95": float(false[np.argmax(true >= 0.95)]),
    }


def _outputs(trained: Trained, task: Task, split: Split, context: Context) -> Numbers:
    return predictions(trained, task, split, context).outputs
