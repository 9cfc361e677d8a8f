"""The data that a criterion may have: an epoch is an epoch, balanced is balanced, and it repeats."""

import itertools

import pytest
import torch

from tests.train.toys import Points, points
from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.train.examples import Examples
from tombola.train.recipe import Recipe

TASK = Points(inputs=(3,), train=25)  # 9 of the first class, 8 of the others


def examples(*, batch: int = 8, validation: float = 0.0, seeds: Seeds = Seeds(), task: Points = TASK) -> Examples:
    return Examples(task, Recipe(steps=1, batch=batch, validation=validation), seeds, torch.device("cpu"))


def rows(batches) -> list[tuple[float, ...]]:
    return [tuple(row) for inputs, _ in batches for row in inputs.tolist()]


def test_no_batches_is_one_epoch():
    values, labels = points((3,), 3, 25, "train")
    found = list(examples().batches(0, 0))
    assert [len(targets) for _, targets in found] == [8, 8, 8, 1]
    assert sorted(rows(found)) == sorted(tuple(row) for row in values.tolist())
    label = {tuple(row): int(y) for row, y in zip(values.tolist(), labels, strict=True)}
    assert all(label[tuple(row)] == int(y) for xs, ys in found for row, y in zip(xs.tolist(), ys.tolist(), strict=True))
    assert len(rows(examples(validation=0.2).batches(0, 0))) == 20


def test_batches_are_so_many_and_go_on_in_the_next_epoch():
    found = list(examples().batches(6, 0))
    assert [len(targets) for _, targets in found] == [8, 8, 8, 1, 8, 8]
    assert rows(found[:3]) == rows(examples().batches(3, 0))


def test_held_out_examples_are_not_seen():
    part = examples(validation=0.2)
    held = {
        tuple(row)
        for inputs, _ in TASK.evaluation("validation", holdout=part.recipe.holdout)
        for row in inputs.tolist()
    }
    assert len(held) == 5
    for found in (part.batches(0, 0), part.batches(2, 3)):
        assert not held & set(rows(found))


@pytest.mark.parametrize("number, per_class, batch", [(1, 1, 8), (1, 8, 8), (2, 3, 4), (3, 8, 25), (5, 2, 1)])
def test_balanced_batches(number, per_class, batch):
    found = list(examples(batch=batch).batches(number, per_class))
    assert len(found) == number
    values, labels = points((3,), 3, 25, "train")
    label = {tuple(row): int(y) for row, y in zip(values.tolist(), labels, strict=True)}
    for inputs, targets in found:
        assert torch.bincount(targets, minlength=3).tolist() == [per_class] * 3
        assert [label[tuple(row)] for row in inputs.tolist()] == targets.tolist()
    again = list(examples(batch=batch).batches(number, per_class))
    assert rows(found) == rows(again)


def test_balanced_batches_take_new_examples_while_there_are_some():
    """Two batches of 4 of each class need 8 of each, which the epoch has: nothing is seen twice."""
    found = rows(examples().batches(2, 4))
    assert len(set(found)) == len(found) == 24


def test_the_order_is_of_the_seed_and_not_that_of_the_training():
    seeds = [Seeds(), Seeds(1), Seeds(data=1)]
    orders = [rows(examples(seeds=s).batches(0, 0)) for s in seeds]
    training = [TASK.batch(step, seeds=Seeds(), size=8) for step in range(4)]
    orders = [orders[0], orders[1], rows(training)]
    assert orders[1] == rows(examples(seeds=Seeds(data=1)).batches(0, 0))
    assert all(one != other for one, other in itertools.combinations(orders, 2))


def test_refusals():
    few = examples()
    with pytest.raises(Refused, match="^9 examples of each of the 3 classes are asked for; an epoch of .* has fewer"):
        list(few.batches(1, 9))
    with pytest.raises(Refused, match="^a whole epoch .0 batches. has the classes that it has, not 2 examples of each"):
        list(few.batches(0, 2))
    for number, per_class in ((-1, 0), (1, -1)):
        with pytest.raises(Refused, match="neither is below 0"):
            list(few.batches(number, per_class))


@plugin("task", "toy_values")
class Values(Points):
    """The same with a number to be predicted instead of a class."""

    def batch(self, step, **given):  # type: ignore[override]
        inputs, targets = super().batch(step, **given)
        return inputs, targets.double()


def test_a_task_without_classes():
    one = Values(inputs=(3,), train=25)
    assert len(list(examples(task=one).batches(2, 0))) == 2
    with pytest.raises(Refused, match="has no classes to balance. Use per_class=0"):
        list(examples(task=one).batches(1, 2))
