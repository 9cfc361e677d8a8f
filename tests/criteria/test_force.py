"""FORCE against the loss by finite differences, at masks that are not ones, and its rounds worked out beside it."""

import pytest
import torch

from tests.criteria.tiny import Loss, Smooth, close, flat, slopes, tiny
from tombola.core.criterion import habits_of
from tombola.core.errors import Refused
from tombola.criteria.force import Force
from tombola.criteria.snip import Snip
from tombola.prune import Everywhere, in_rounds


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_it_is_how_the_pruned_network_feels_the_mask(mode):
    """The slope by each mask entry at the mask itself, of dead entries too: they start at 0, not at 1.

    One unit is all dead. Batch norm divides by the root of its variance, which is 0, so the slope there is steep.
    """
    net = tiny(Smooth(norm="yes"), density=0.6)
    whole, alive = flat(net.whole), flat(net.mask)
    loss = Loss(net, batches=2, mode=mode)
    felt = slopes(lambda c: loss(c * whole), alive.double(), step=1e-7)
    scores = flat(Force(batches=2, mode=mode)(net))
    assert close(scores, felt.abs(), within=1e-7)
    assert (scores[~alive] > 0).all()


def test_of_a_dense_network_it_is_snip():
    net = tiny()
    assert torch.equal(flat(Force()(net)), flat(Snip()(net)))


def rounds_by_hand(net, counts: list[int]) -> list[torch.Tensor]:
    whole, found = flat(net.whole), []
    alive = torch.ones(len(whole), dtype=torch.bool)
    for number, count in enumerate(counts):
        loss = Loss(net.in_round(number))  # Each round has batches of its own.
        felt = slopes(lambda c, loss=loss: loss(c * whole), alive.double()).abs()
        alive = torch.zeros_like(alive).index_fill(0, felt.argsort(descending=True)[:count], True)
        found.append(alive)
    return found


def test_rounds_take_back_what_an_earlier_one_pruned():
    net = tiny(Smooth(hidden=8))
    masks = rounds_by_hand(net, [29, 17, 10, 6])
    assert any((later & ~earlier).any() for earlier, later in zip(masks, masks[1:], strict=False)), "nothing revived"
    found = in_rounds(net, Force(rounds=4), scope=Everywhere(), density=0.125)
    assert flat(found).equal(masks[-1])
    assert found != in_rounds(net, Snip(rounds=4), scope=Everywhere(), density=0.125)


def test_what_was_dead_before_the_first_round_stays_dead():
    net = tiny(Smooth(hidden=8), density=0.5)
    assert in_rounds(net, Force(rounds=5), scope=Everywhere(), density=0.2) <= net.mask


def test_its_habits_and_refusals():
    habits = habits_of(Force())
    assert (habits.moment, habits.rounds, habits.pace, habits.revives) == ("before", 60, "exponential", "yes")
    assert habits_of(Force(rounds=3, pace="linear")).pace == "linear"
    for fields in ({"rounds": 0}, {"batches": -1}, {"per_class": -1}, {"batches": 0, "per_class": 1}):
        with pytest.raises(Refused, match="^force: "):
            Force(**fields)
