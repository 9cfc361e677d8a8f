"""Taylor against the loss by finite differences, and against what a removal really does."""

import pytest
import torch

from tests.criteria.tiny import Loss, Scale, Smooth, Squares, close, flat, slopes, tiny
from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.criteria.taylor import Taylor


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("batches, per_class", [(1, 0), (0, 0), (1, 3)])
def test_it_is_the_first_order_change_of_the_loss(mode, batches, per_class):
    net = tiny(Smooth(norm="yes"), density=0.7)
    weights, data = flat(net.weights), {"batches": batches, "per_class": per_class, "mode": mode}
    loss = Loss(net, **data)
    change = -slopes(lambda c: loss(c * weights), torch.ones_like(weights))
    assert close(flat(Taylor(form="signed", **data)(net)), change, within=1e-7)
    assert close(flat(Taylor(**data)(net)), change.abs(), within=1e-7)


def test_of_a_loss_that_is_linear_it_is_the_whole_change():
    """Outputs are w x and the loss is their sum: removing a weight changes it by exactly -w times the mean of x."""
    net = tiny(Scale(), Squares(inputs=(5,), train=25, power=1))
    loss, weights = Loss(net), flat(net.weights)
    gone = torch.stack([loss(weights.index_fill(0, torch.tensor(i), 0.0)) - loss(weights) for i in range(5)])
    assert close(flat(Taylor(form="signed", batches=1)(net)), gone, within=1e-12)


def test_squares_rank_alike():
    net = tiny()
    scores = flat(Taylor()(net))
    assert scores.argsort().equal(scores.square().argsort())


def test_its_habits_and_refusals():
    assert habits_of(Taylor()).moment == "after" and habits_of(Taylor()).rounds == 1
    for fields in ({"batches": -1}, {"per_class": -1}, {"batches": 0, "per_class": 1}):
        with pytest.raises(Refused, match="^taylor: "):
            Taylor(**fields)
