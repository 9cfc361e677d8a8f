"""How far two domains are from each other: by their tokens, by a classifier, by kernel means, by features."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_matrix, vstack
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.seeds import numbers
from tombola.core.task import Split, Task
from tombola.probes.distances import a_error, frechet, jensen_shannon, mmd, proxy_a_distance
from tombola.probes.predictions import Numbers, Whole, check_inputs, features, in_split
from tombola.study.step import Context, step
from tombola.train.device import threads
from tombola.train.trained import Trained


@step("shift", prepare=in_split)
def shift(
    a: Task,
    b: Task,
    through: Trained | None = None,
    split: Split = "train",
    examples: int = 2000,
    seed: int = 0,
    folds: int = 5,
    *,
    context: Context = Context(),
) -> Measurement:
    """The distance between the inputs of two tasks; labels do not enter.

    Of token tasks, the Jensen-Shannon divergence of unigrams over all tokens of the split as a network is shown them,
    cut at the longest length, padding not counted: `jsd_nats`, `jsd_bits`, and `jsd_mean_1e5`, the first one's mean
    over the vocabulary times 1e5, the scale on which Desai et al. 2019 seem to print it.

    Of any task, on so many examples of each domain: `proxy_a_distance` by a logistic regression on the inputs with its
    cross-validated `domain_error`, and `mmd2`, the unbiased squared maximum mean discrepancy with a Gaussian kernel of
    the median distance. Inputs are pixels as a network is shown them, or for tokens the counts of each in an example,
    divided by their Euclidean norm. Through a trained network, on what its head is given: `mmd2_features`, and
    `frechet_features`, which has the formula of FID and is not FID: the features are not those of Inception.

    A task and itself are compared in two halves that share no example, which shows how far from 0 the numbers are by
    chance. All but the divergence of tokens depend on `examples`: compare pairs at equal numbers (table "domains").

    Args:
        through: The network whose penultimate layer gives features, usually the one trained on the source.
        split: Of both tasks. Nothing is held out, so that "train" is all that a task has for training. Ask for "test"
            where only that part is another one, as with `corrupted(..., of='test')`.
        examples: The most of each domain; as many of both are drawn.
        seed: Of the draw and of the folds.
        folds: Of the cross-validation.

    Raises:
        Refused: If inputs differ, or a domain has too few examples.

    Example:
        >>> from tombola.tasks.digits import Digits
        >>> found = shift(Digits(), Digits(size=8), examples=50).numbers()
        >>> found["examples"], bool(abs(found["proxy_a_distance"]) < 1)
        (50, True)
    """
    check_inputs("shift", a.io, b)
    if through is not None:
        check_inputs("shift", through.ticket.io, a)
    device = torch.device(context.machine.device)
    with threads(context.machine), torch.no_grad():
        counted = [_counted(task, split, device) for task in ((a,) if a == b else (a, b))]
        chosen = _chosen([one.examples for one in counted], examples, seed, least=folds)
        take = None if through is None else features(through, device)
        x, y = (_sample(task, split, some, take, device) for task, some in zip((a, b), chosen, strict=True))
        found: dict[str, float] = {}
        if a.io.tokens:
            nats = jensen_shannon(counted[0].tokens, counted[-1].tokens)
            found = {"jsd_nats": nats, "jsd_bits": nats / math.log(2), "jsd_mean_1e5": nats / a.io.tokens * 1e5}
        distance = proxy_a_distance(x.inputs, y.inputs, seed, folds=folds)
        found |= {"proxy_a_distance": distance, "domain_error": a_error(distance), "mmd2": mmd(x.inputs, y.inputs)}
        if x.features is not None and y.features is not None:
            found["mmd2_features"] = mmd(x.features, y.features)
            found["frechet_features"] = frechet(x.features, y.features)
            found["features"] = x.features.shape[1]
    domains = tuple(
        {"domain": str(task), "n": one.examples, "drawn": len(some), "tokens": int(one.tokens.sum())}
        for task, one, some in zip((a, b), (counted[0], counted[-1]), chosen, strict=True)
    )
    return Measurement({**found, "examples": len(chosen[0])}, tables={"domains": domains})


class Counted(NamedTuple):
    """How many examples a split has, and how often each token occurs in it (empty where inputs are numbers)."""

    examples: int
    tokens: Whole


def _counted(task: Task, split: Split, device: torch.device) -> Counted:
    examples, tokens = 0, np.zeros(task.io.tokens, dtype=np.int64)
    for inputs, _ in task.evaluation(split, device=device):
        examples += len(inputs)
        if task.io.tokens:
            tokens += np.bincount(inputs.cpu().numpy().ravel(), minlength=task.io.tokens)
    tokens[:1] = 0  # Padding.
    return Counted(examples, tokens)


def token_counts(task: Task, split: Split, device: torch.device) -> Whole:
    """How often each token occurs in a split as a network is shown it; padding, token 0, is not counted."""
    return _counted(task, split, device).tokens


def _chosen(sizes: list[int], most: int, seed: int, *, least: int) -> tuple[Whole, Whole]:
    """As many positions of each domain; of a single one two parts that share none."""
    number = min(most, min(sizes) // (3 - len(sizes)))
    if number < max(least, 2):
        raise Refused(
            f"shift: {most} examples of each domain are asked for, of {' and '.join(f'{n:,}' for n in sizes)}; a "
            f"distance of {number} to {number} is none. It needs {max(least, 2)} of each, or fewer folds."
        )
    orders = [numbers("shift", seed, place).permutation(size) for place, size in enumerate(sizes)]
    parts = (orders[0][:number], orders[1][:number] if len(orders) > 1 else orders[0][number : 2 * number])
    return np.sort(parts[0]), np.sort(parts[1])


class Sample(NamedTuple):
    """Some examples of a domain, a row each: their inputs (sparse where they are tokens), and features of them."""

    inputs: Any
    features: Numbers | None


def _sample(
    task: Task, split: Split, chosen: Whole, take: Callable[[Tensor], Numbers] | None, device: torch.device
) -> Sample:
    rows: list[Any] = []
    taken: list[Numbers] = []
    start = 0
    for inputs, _ in task.evaluation(split, device=device):
        here = chosen[(chosen >= start) & (chosen < start + len(inputs))] - start
        start += len(inputs)
        if len(here):
            some = inputs[torch.from_numpy(here).to(device)]
            rows.append(bags(some, task.io.tokens) if task.io.tokens else some.flatten(1).double().cpu().numpy())
            taken += [] if take is None else [take(some)]
    inputs = vstack(rows).tocsr() if task.io.tokens else np.concatenate(rows)
    return Sample(inputs, np.concatenate(taken) if taken else None)


def bags(batch: Tensor, tokens: int) -> Any:
    """Token numbers as a sparse matrix: how often each occurs in a row, divided by the row's Euclidean norm.

    Example:
        >>> bags(torch.tensor([[3, 1, 0], [2, 2, 0]]), 4).toarray().round(4).tolist()
        [[0.0, 0.7071, 0.0, 0.7071], [0.0, 0.0, 1.0, 0.0]]
    """
    from sklearn.preprocessing import normalize  # Takes a second to import.

    found = batch.cpu().numpy()
    row, place = np.nonzero(found)
    counts = coo_matrix((np.ones(len(row)), (row, found[row, place])), shape=(len(found), tokens)).tocsr()
    return normalize(counts)
