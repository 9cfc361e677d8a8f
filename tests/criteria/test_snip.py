"""SNIP against the loss itself: what it does when a weight's mask moves a little, by finite differences."""

import dataclasses

import pytest
import torch

from tests.criteria.tiny import Loss, Smooth, close, flat, slopes, tiny
from tests.train.toys import Points
from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.criteria.magnitude import Magnitude
from tombola.criteria.snip import Snip
from tombola.prune import Everywhere, in_rounds, prune


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("batches, per_class", [(1, 0), (2, 0), (0, 0), (2, 3)])
def test_it_is_how_the_loss_feels_the_mask(mode, batches, per_class):
    net = tiny(Smooth(norm="yes"), density=0.7)
    weights = flat(net.weights)
    loss = Loss(net, batches=batches, per_class=per_class, mode=mode)
    felt = slopes(lambda c: loss(c * weights), torch.ones_like(weights))
    scores = flat(Snip(mode=mode, batches=batches, per_class=per_class)(net))
    assert close(scores, felt.abs(), within=1e-7)
    assert (scores[~flat(net.mask)] == 0).all() and (scores[flat(net.mask)] > 0).all()


def test_the_sum_of_the_paper_changes_no_rank():
    net = tiny()
    scores = Snip()(net)
    total = sum(score.sum() for score in scores.values())
    shares = {name: score / total for name, score in scores.items()}
    assert prune(net.mask, scores, density=0.3) == prune(net.mask, shares, density=0.3)


def test_fresh_weights_are_scored_and_the_network_keeps_its_own():
    net = tiny(density=0.7)
    before = {name: value.clone() for name, value in net.state.items()}
    own, fresh, head = (Snip(weights=w, seed=3)(net) for w in ("own", "fresh", "fresh_head"))
    assert torch.equal(flat(fresh), flat(Snip()(net.fresh(3))))
    assert torch.equal(flat(head), flat(Snip()(net.fresh(3, part="head"))))
    assert len({float(flat(s).sum()) for s in (own, fresh, head, Snip(weights="fresh", seed=4)(net))}) == 4
    assert all(torch.equal(before[name], net.state[name]) for name in before)


def test_rounds_score_again_what_is_left():
    """Iterative SNIP by hand: each round ranks the living by finite differences at the pruned weights."""
    net = tiny(Smooth(hidden=8))
    criterion = Snip(rounds=4)
    whole = flat(net.whole)
    alive = torch.ones(len(whole), dtype=torch.bool)
    for number, count in enumerate((29, 17, 10, 6)):  # 48 weights times 1/8 to the power 1/4, 2/4, 3/4, 1
        loss = Loss(net.in_round(number))  # Each round has batches of its own.
        felt = slopes(lambda c, at=whole * alive, loss=loss: loss(c * at), torch.ones_like(whole)).abs()
        kept = felt.masked_fill(~alive, -1.0).argsort(descending=True)[:count]
        alive = torch.zeros_like(alive).index_fill(0, kept, True)
    found = in_rounds(net, criterion, scope=Everywhere(), density=0.125)
    assert flat(found).equal(alive)
    assert found != in_rounds(net, Snip(), scope=Everywhere(), density=0.125)


def test_its_habits():
    assert habits_of(Snip()).moment == "before" and habits_of(Snip()).rounds == 1
    habits = habits_of(Snip(rounds=7, pace="linear"))
    assert (habits.rounds, habits.pace, habits.revives) == (7, "linear", "no")


def test_another_network_than_magnitude_leaves():
    net = tiny(Smooth(hidden=8))
    assert prune(net.mask, Snip()(net), density=0.5) != prune(net.mask, Magnitude()(net), density=0.5)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"batches": -1}, "snip: field 'batches' is -1. It is 0 or more."),
        ({"rounds": 0}, "snip: field 'rounds' is 0. It is 1 or more."),
        ({"per_class": -2}, "snip: field 'per_class' is -2. It is 0 or more."),
        ({"per_class": 2, "batches": 0}, "snip: batches=0 is a whole epoch, and per_class=2 makes batches of equal"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(Refused) as caught:
        Snip(**fields)
    assert str(caught.value).startswith(message)


def test_without_data_it_is_refused():
    with pytest.raises(Refused, match="needs data, and here is none"):
        Snip()(dataclasses.replace(tiny(), examples=None))
    with pytest.raises(Refused, match="Give arch and io"):
        Snip()(dataclasses.replace(tiny(), arch=None))
    with pytest.raises(Refused, match="an epoch of toy_points.* has fewer of some"):
        Snip(per_class=9)(tiny(task=Points(inputs=(3,), train=26)))
